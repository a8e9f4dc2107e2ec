"""Recording a corpus: who reads which digit next, and where each clip goes.

A `Session` is a folder. Everything it knows is in the folder's files, which are written atomically as soon as a clip is
accepted, so it goes on where it stopped, whatever happened in between. It knows nothing of browsers or terminals.
"""

import datetime
import hashlib
import io
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from utils import InputError
from utils.data.digit_words import read_words, words_as_text
from utils.data.metadata import COLUMNS, SPLITS, read_metadata, write_table
from utils.data.synthesis.words import DIGITS
from utils.files import check_writable, one_process, write_atomically, write_text

RATE = 16000  # Hz, of the clips
CONSENT = {  # what a speaker agrees to: the entry in the table, and the question
    "publish": "My recordings may be published as part of a corpus.",
    "project": "My recordings may be used in this project only, and not be passed on.",
}
SPEAKER = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")  # safe in file names; "_" separates the parts of those
LONGEST_NAME = 40
MOST_REPETITIONS = 100
OWN_COLUMNS = (*COLUMNS, "word", "consent", "date")


class OutOfStep(InputError):
    """A page or terminal that shows an old state: the prompt that it answers has already been answered."""


@dataclass(frozen=True)
class Prompt:
    """What the speaker reads: a word, and the digit that it means."""

    digit: int
    word: str


@dataclass(frozen=True)
class Speaker:
    """A speaker's progress: `done` clips out of `total`. `consent` is a key of `CONSENT`, or "" for a new speaker."""

    name: str
    done: int
    total: int
    consent: str


class Session:
    """The recording of a corpus in a folder: `clips/`, `metadata.tsv`, and `words.tsv` with the words that are read.

    Args:
        folder: need not exist yet; it is created with the first clip.
        words: for each digit, one or more words (see `read_words`). By default those that the folder was begun with, or
            the English ones.
        repetitions: how often each speaker reads each digit.
        split: of new speakers: TRAIN, DEV or TEST.

    Raises:
        InputError: the folder cannot be written, its table is wrong, or it was begun with other words.
    """

    def __init__(
        self,
        folder: str | Path,
        words: tuple[tuple[str, ...], ...] | None = None,
        repetitions: int = 5,
        split: str = "TRAIN",
    ):
        if split not in SPLITS:
            raise InputError(f"'{split}' is not a split; use {', '.join(SPLITS)}")
        if not 1 <= repetitions <= MOST_REPETITIONS:
            raise InputError(f"{repetitions} repetitions: a speaker reads each digit 1 to {MOST_REPETITIONS} times")
        self.folder = Path(folder)
        self.metadata = self.folder / "metadata.tsv"
        self.words_file = self.folder / "words.tsv"
        self.repetitions = repetitions
        self.split = split
        check_writable(self.folder)
        self.words = words or self._earlier_words() or tuple((word,) for word in DIGITS)
        self._check_words()
        self._read()  # a table that is wrong is reported before anybody speaks

    def speakers(self) -> list[Speaker]:
        """The speakers who have begun and may go on, in the order in which they began."""
        table, found = self._read(), []
        for name in table["speaker"].unique():
            with suppress(InputError):  # in a table from elsewhere: no consent, or a name that no clip of ours can have
                found.append(self._progress(name, table))
        return found

    def speaker(self, name: str) -> Speaker:
        """The progress of a speaker, who may be new. Raises `InputError` if the name cannot be used."""
        return self._progress(name, self._read())

    def prompts(self, name: str) -> list[Prompt]:
        """What a speaker still has to read, in order.

        Each digit comes once per repetition, in an order that is random but always the same for this speaker.
        """
        return list(self._remaining(name, self._read()))

    def keep(self, name: str, consent: str, digit: int, done: int, clip: np.ndarray) -> Path:
        """Write an accepted clip and its row in the table. When this returns, both are on the disk.

        Args:
            name: of the speaker.
            consent: a key of `CONSENT`. What a speaker agreed to with the first clip stays.
            digit: of the prompt that was read.
            done: how many clips of this speaker there were when the prompt was shown.
            clip: (samples,) at `RATE`.

        Raises:
            OutOfStep: this is not the speaker's next prompt, for example because the clip has already been kept.
            InputError: the name or consent cannot be used, the folder has other words by now, or the disk is full.
                Nothing has been written.
        """
        with one_process(self.metadata):  # two sessions may record to one folder
            table = self._read()
            speaker = self._progress(name, table)
            self._check_step(speaker, done)
            prompt = next(self._remaining(name, table), None)
            if prompt is None or prompt.digit != digit:
                raise OutOfStep(f"{digit} is not the next digit of speaker '{name}'")
            if (speaker.consent or consent) not in CONSENT:
                raise InputError(f"speaker '{name}' has not said what the recordings may be used for")
            identifier, path = self._free_name(digit, name, set(table["identifier"]))
            encoded = encode_wav(clip)
            row = {
                "identifier": identifier,
                "speaker": name,
                "split": table.loc[table["speaker"] == name, "split"].iloc[0] if speaker.done else self.split,
                "label": digit,
                "file": path.relative_to(self.folder).as_posix(),
                "word": prompt.word,
                "consent": speaker.consent or consent,
                "date": datetime.date.today().isoformat(),
            }
            if "sha256" in table.columns:  # a table from elsewhere
                row["sha256"] = hashlib.sha256(encoded).hexdigest()
            self._check_words()  # again, as two sessions may have begun the folder
            if not self.words_file.exists():
                write_text(self.words_file, words_as_text(self.words))
            write_atomically(path, lambda file: file.write_bytes(encoded))
            try:
                self._write(pd.concat([table, pd.DataFrame([row])], ignore_index=True))
            except InputError:
                path.unlink()
                raise
            return path

    def undo(self, name: str, done: int) -> None:
        """Delete a speaker's last clip, so that its word is read again. `done` and the errors are as for `keep`."""
        with one_process(self.metadata):
            table = self._read()
            self._check_step(self._progress(name, table), done)
            if not done:
                raise InputError(f"speaker '{name}' has no clip to take back")
            last = table.index[table["speaker"] == name][-1]
            path = Path(table.loc[last, "path"])
            if path.parent != self.folder / "clips":
                raise InputError(f"{path}: was not recorded here, so it is not deleted")
            self._write(table.drop(index=last))  # first, so that the table never lists a clip that is gone
            path.unlink(missing_ok=True)

    def _earlier_words(self) -> tuple[tuple[str, ...], ...] | None:
        """The words that the folder was begun with, if it was."""
        return read_words(self.words_file) if self.words_file.exists() else None

    def _check_words(self) -> None:
        if self._earlier_words() not in (None, self.words):
            raise InputError(
                f"{self.folder}: was begun with other words ({self.words_file.name}); "
                "leave --words out, or record to another folder"
            )

    def _progress(self, name: str, table: pd.DataFrame) -> Speaker:
        if not SPEAKER.fullmatch(name) or len(name) > LONGEST_NAME:
            raise InputError(
                f"'{name[: 2 * LONGEST_NAME]}' cannot be a speaker's name: use up to {LONGEST_NAME} letters from a to "
                "z, digits and single hyphens, such as ada or speaker-7"
            )
        for other in table["speaker"].unique():
            if other != name and other.casefold() == name.casefold():
                raise InputError(f"there is already a speaker '{other}'; names must differ in more than case")
        rows = table[table["speaker"] == name]
        consent = rows["consent"].iloc[0] if len(rows) else ""
        if len(rows) and consent not in CONSENT:
            raise InputError(
                f"{self.metadata}: no consent is noted for speaker '{name}'; ask, and write {' or '.join(CONSENT)} in "
                "the column 'consent' of each row"
            )
        return Speaker(name, len(rows), len(rows) + sum(1 for _ in self._remaining(name, table)), consent)

    def _check_step(self, speaker: Speaker, done: int) -> None:
        if speaker.done != done:
            raise OutOfStep(f"speaker '{speaker.name}' has {speaker.done} clips by now, not {done}")

    def _remaining(self, name: str, table: pd.DataFrame) -> Iterator[Prompt]:
        """The prompts of a speaker that no clip in the table answers."""
        recorded = Counter(table.loc[table["speaker"] == name, "label"].tolist())
        before = None
        for repetition in range(self.repetitions):
            random = np.random.default_rng([repetition, *name.encode()])
            order = random.permutation(10).tolist()
            if order[0] == before:  # the same digit twice in a row would look as if nothing had happened
                order.reverse()
            before = order[-1]
            for digit in order:
                if recorded[digit]:
                    recorded[digit] -= 1
                else:
                    forms = self.words[digit]
                    yield Prompt(digit, forms[repetition % len(forms)])

    def _free_name(self, digit: int, name: str, identifiers: set[str]) -> tuple[str, Path]:
        """An identifier and a path that are not in use. A file without a row, from a killed session, is left alone."""
        number = 0
        while True:
            identifier = f"{digit}_{name}_{number}"
            path = self.folder / "clips" / f"{identifier}.wav"
            if identifier not in identifiers and not path.exists():
                return identifier, path
            number += 1

    def _read(self) -> pd.DataFrame:
        """The table, read anew each time, since it may be edited, or written by another session, in between."""
        if not self.metadata.exists():
            return pd.DataFrame({column: [] for column in (*OWN_COLUMNS, "path")}, dtype=object)
        table = read_metadata(self.metadata)
        for column in OWN_COLUMNS:
            if column not in table.columns:
                table[column] = ""
        return table

    def _write(self, table: pd.DataFrame) -> None:
        """Replace the table on the disk; a table without clips is no table."""
        if table.empty:
            return self.metadata.unlink()
        plain = table.drop(columns="path").fillna("")
        write_atomically(self.metadata, lambda new: write_table(new, list(plain), plain.to_dict("records")))


def encode_wav(clip: np.ndarray) -> bytes:
    """A clip, (samples,) at `RATE`, as a mono WAV file of 16 bits: what is kept, and what the speaker hears before."""
    samples = np.int16(np.clip(np.round(32768 * np.float64(clip)), -32768, 32767))
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()
