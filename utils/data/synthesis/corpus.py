"""Corpora of synthetic speech: digits spoken by as many voices as asked for; and other words, and noises."""

import csv
import hashlib
import io
import os
import shutil
import wave
from pathlib import Path

import numpy as np
from tqdm import tqdm

from utils import InputError
from utils.data.metadata import COLUMNS, read_metadata
from utils.data.synthesis.espeak import NATIVE_RATE, speak_word
from utils.data.synthesis.noises import make_noise
from utils.data.synthesis.voices import draw_speaker, generator
from utils.data.synthesis.words import ALL_WORDS, DIGITS, TEST_WORDS, TRAIN_WORDS
from utils.files import sha256


def speak(
    folder: Path,
    *,
    speakers: int = 12,
    repetitions: int = 10,
    seed: int = 0,
    sample_rate: int = 8000,
    progress: bool = True,
) -> Path:
    """Speak a corpus of digits: `{digit}_{speaker}_{repetition}.wav` (mono PCM16) and `metadata.tsv` in a folder.

    A clip depends on the seed, its speaker, digit and repetition, and on nothing else: the clips of a small corpus
    are among those of a larger one, though the split is drawn anew. A corpus that is already there, whole and
    the same, is kept; another that was spoken into the same folder is replaced.

    Args:
        folder: where to; it is made if need be. Anything there that is not a synthetic clip stays.
        speakers: at least 3. A tenth of them (at least one) is in DEV, as many in TEST, the rest in TRAIN.
        repetitions: of each digit by each speaker, at least 1.
        seed: not negative.
        sample_rate: of the clips, in Hz.
        progress: whether to show a progress bar.

    Returns:
        The path of `metadata.tsv`, which is written last: where it is, the corpus is whole.

    Raises:
        InputError: an argument out of range, or a folder that cannot be written.
    """
    for name, value, minimum in (
        ("speakers", speakers, 3),
        ("repetitions", repetitions, 1),
        ("seed", seed, 0),
        ("sample_rate", sample_rate, 4000),
    ):
        if value < minimum:
            raise InputError(f"{name} is {value}; a synthetic corpus needs at least {minimum}")
    return _make(Path(folder), _plan(speakers, repetitions, seed), seed, sample_rate, progress)


def speak_non_digits(
    folder: Path, *, clips: int, seed: int = 0, sample_rate: int = 8000, progress: bool = True
) -> Path:
    """Speak `clips` words that are no digits, and make a quarter as many noises, for TRAIN; a fifth of that for TEST.

    TRAIN's voices are the first hundred of `speak`. TEST has other words, and voices of another accent, pitch or pace,
    whose timbre is from the same variants of eSpeak NG. In the column `label` stands the word, or "noise". Otherwise as
    for `speak`.
    """
    if clips < 5:
        raise InputError(f"clips is {clips}; a corpus of other words needs at least 5")
    rows = []
    for split, number, voices, words in (
        ("TRAIN", clips, range(100), TRAIN_WORDS),
        ("TEST", clips // 5, range(100, 130), TEST_WORDS),
    ):
        for repetition in range(number):
            voice = voices[repetition % len(voices)]
            # whoever comes round again says another word
            word = words[(repetition + repetition // len(voices)) % len(words)]
            for label, index in ((word, voice), *([("noise", None)] if repetition % 4 == 0 else [])):
                speaker = "noise" if index is None else f"espeak{index:03d}"
                name = f"{label}_{split.lower()}_{repetition}"
                facts = (name, f"{speaker}-{split.lower()}", split, label, f"{name}.wav")
                rows.append(_row(facts, index, label, repetition))
    return _make(Path(folder), rows, seed, sample_rate, progress)


def _make(folder: Path, rows: list[dict], seed: int, sample_rate: int, progress: bool) -> Path:
    """Speak the rows' clips and write their table, unless they are there already: the table's path."""
    table = folder / "metadata.tsv"
    if _is_spoken(table, rows, seed, sample_rate, progress):
        return table
    unfinished = folder / f".unfinished-{os.getpid()}"  # another process may be speaking the same
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        for row in tqdm(rows, "speaking", unit="clip", disable=not progress):
            clip = _wav(row, seed, sample_rate)
            (unfinished / row["file"]).write_bytes(clip)
            row["sha256"] = hashlib.sha256(clip).hexdigest()
        with open(unfinished / table.name, "w", encoding="utf-8", newline="") as file:
            columns = (*COLUMNS, "sha256")
            writer = csv.DictWriter(file, columns, "", "ignore", delimiter="\t", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        table.unlink(missing_ok=True)  # from here on the old corpus is none any more
        for old in folder.glob("[0-9]_espeak*_*.wav"):
            old.unlink()
        for name in (*(row["file"] for row in rows), table.name):
            os.replace(unfinished / name, folder / name)
    except OSError as error:
        raise InputError(f"{error.filename or folder}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return table


def _plan(speakers: int, repetitions: int, seed: int) -> list[dict]:
    """The metadata's rows, without sums, and what to speak in each: `speaker_index`, `repetition`."""
    some = max(1, round(speakers / 10))
    order = generator(seed, 0, 0).permutation(speakers).tolist()
    split = {index: "DEV" for index in order[:some]} | {index: "TEST" for index in order[some : 2 * some]}
    rows = []
    for index in range(speakers):
        speaker = f"espeak{index:03d}"
        for digit in range(10):
            for repetition in range(repetitions):
                name = f"{digit}_{speaker}_{repetition}"
                facts = (name, speaker, split.get(index, "TRAIN"), digit, f"{name}.wav")
                rows.append(
                    dict(
                        zip(COLUMNS, facts, strict=True), speaker_index=index, word=DIGITS[digit], repetition=repetition
                    )
                )
    return rows


def _row(facts: tuple, speaker_index: int | None, word: str, repetition: int) -> dict:
    """A row of the metadata, and what to speak for it; a noise has no speaker."""
    return dict(zip(COLUMNS, facts, strict=True), speaker_index=speaker_index, word=word, repetition=repetition)


def _is_spoken(table: Path, rows: list[dict], seed: int, sample_rate: int, progress: bool) -> bool:
    """Whether the folder already holds this very corpus, whole.

    Its first two clips are made anew: they differ under another seed, sample rate, eSpeak or version of this code.
    """
    try:
        there = read_metadata(table, digits=rows[0]["label"] in range(10))
        if there[list(COLUMNS)].to_dict("records") != [{key: row[key] for key in COLUMNS} for row in rows]:
            return False
        sums = dict(zip(there["path"], there["sha256"], strict=True))
        first = [hashlib.sha256(_wav(row, seed, sample_rate)).hexdigest() for row in rows[:2]]
        if list(sums.values())[:2] != first:
            return False
        clips = tqdm(sums, "checking clips", unit="clip", leave=False, disable=not progress)
        return all(sha256(path) == sums[path] for path in clips)
    except (InputError, KeyError, OSError):
        return False


def _wav(row: dict, seed: int, sample_rate: int) -> bytes:
    """One clip, as the bytes of a WAV file."""
    if row["speaker_index"] is None:
        sound = make_noise(generator(seed, row["repetition"], len(row["split"])), sample_rate)
    else:
        sound = _spoken(row, seed, sample_rate)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, sample_rate, 0, "NONE", None))
        file.writeframes(np.round(sound.clip(-1, 1) * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


def _spoken(row: dict, seed: int, sample_rate: int) -> np.ndarray:
    """A word as one repetition of one speaker, in that speaker's room (samples,)."""
    speaker = draw_speaker(seed, row["speaker_index"])
    draw = generator(seed, row["speaker_index"], ALL_WORDS.index(row["word"]), row["repetition"])
    rate = speaker.rate * draw.uniform(0.92, 1.08)
    pitch = speaker.pitch + draw.uniform(-5, 5)
    size = speaker.size * draw.uniform(0.99, 1.01)
    sound = speak_word(row["word"], speaker.voice, rate, pitch, speaker.inflection)
    sound = np.pad(sound, [round(draw.uniform(0.005, 0.06) * NATIVE_RATE) for _ in range(2)])
    # To another rate by the Fourier transform: irfft drops the frequencies that are too high, or adds zeros.
    sound = np.fft.irfft(np.fft.rfft(sound), round(len(sound) * size * sample_rate / NATIVE_RATE))
    sound /= np.abs(sound).max()
    sound += draw.normal(0, 10 ** (-(speaker.noise + draw.uniform(-3, 3)) / 20), len(sound))
    return sound * 10 ** (-(speaker.level + draw.uniform(-1, 1)) / 20)
