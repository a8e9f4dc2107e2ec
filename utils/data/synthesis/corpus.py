"""Corpora of synthetic speech: digits by any number of voices; and of non-digits: other words, noises, and music."""

import hashlib
import io
import os
import shutil
import wave
from pathlib import Path

import numpy as np

from utils import InputError
from utils.data.metadata import COLUMNS, read_metadata, write_table
from utils.data.synthesis.espeak_library import NATIVE_RATE, speak_word
from utils.data.synthesis.non_speech import make_music, make_noise
from utils.data.synthesis.voices import draw_speaker, generator
from utils.data.synthesis.words import ALL_WORDS, DIGITS, TEST_WORDS, TRAIN_WORDS
from utils.files import one_process, sha256, writing
from utils.progress import Progress

RATE = 8000  # Hz
MOST_CLIPS = 1_000_000
SOUNDS = {"noise": make_noise, "music": make_music}  # by label


def speak(
    folder: Path,
    *,
    speakers: int = 12,
    repetitions: int = 10,
    seed: int = 0,
    sample_rate: int = RATE,
    progress: bool = True,
) -> Path:
    """Speak a corpus of digits: `{digit}_{speaker}_{repetition}.wav` (mono PCM16) and `metadata.tsv` in a folder.

    Each clip depends only on the seed, its speaker, digit and repetition, so a larger corpus contains the clips of a
    smaller one (the split differs). If the folder already contains this very corpus, complete, it is kept. Any other
    synthetic corpus in it is replaced.

    Args:
        folder: where to write; created if necessary. Files other than synthetic clips are left alone.
        speakers: number of voices, at least 3. A tenth (at least one) is in DEV, as many in TEST, the rest in TRAIN.
        repetitions: of each digit by each speaker, at least 1.
        seed: at least 0.
        sample_rate: of the clips, in Hz, at least 4000.
        progress: whether to show a progress bar.

    Returns:
        The path of `metadata.tsv`. It is written last, so if it exists, the corpus is complete.

    Raises:
        InputError: an argument is out of range, or the folder cannot be written to.
    """
    for name, value, minimum in (
        ("speakers", speakers, 3),
        ("repetitions", repetitions, 1),
        ("seed", seed, 0),
        ("sample_rate", sample_rate, 4000),
    ):
        if value < minimum:
            raise InputError(f"{name} is {value}; a synthetic corpus needs at least {minimum}")
    if (clips := 10 * speakers * repetitions) > MOST_CLIPS:
        raise InputError(f"{clips:,} clips of {speakers:,} speakers; a synthetic corpus has at most {MOST_CLIPS:,}")
    return _make(Path(folder), _plan(speakers, repetitions, seed), seed, sample_rate, progress)


def speak_non_digits(folder: Path, *, clips: int) -> Path:
    """Speak a corpus of non-digits: `clips` words and a quarter as many noises for TRAIN, and a fifth of that for TEST.

    The voices of TRAIN are the first hundred of `speak`. TEST has different words, and voices that differ in accent,
    pitch or pace but share their timbres, as eSpeak NG has only so many variants. The column `label` contains the word,
    or "noise". The rate is 8 kHz; everything else is as for `speak`.
    """
    rows = []
    for split, number, voices, words in (
        ("TRAIN", clips, range(100), TRAIN_WORDS),
        ("TEST", clips // 5, range(100, 130), TEST_WORDS),
    ):
        for repetition in range(number):
            voice = voices[repetition % len(voices)]
            # shifted in each round, so that a voice does not repeat its words
            word = words[(repetition + repetition // len(voices)) % len(words)]
            for label, index in ((word, voice), *([("noise", None)] if repetition % 4 == 0 else [])):
                speaker = "noise" if index is None else f"espeak{index:03d}"
                name = f"{label}_{split.lower()}_{repetition}"
                facts = (name, f"{speaker}-{split.lower()}", split, label, f"{name}.wav")
                rows.append(_row(facts, index, label, repetition))
    return _make(folder, rows)


def make_music_clips(folder: Path, *, clips: int) -> Path:
    """Make a corpus of musical sounds (see `make_music`): `clips` for TRAIN, and a fifth of that for TEST.

    The column `label` contains "music". Everything else is as for `speak`.
    """
    rows = []
    for split, number in (("TRAIN", clips), ("TEST", clips // 5)):
        for repetition in range(number):
            name = f"music_{split.lower()}_{repetition}"
            facts = (name, f"music-{split.lower()}", split, "music", f"{name}.wav")
            rows.append(_row(facts, None, "music", repetition))
    return _make(folder, rows)


def _make(folder: Path, rows: list[dict], seed: int = 0, sample_rate: int = RATE, progress: bool = False) -> Path:
    """Speak the clips of all rows and write their table, unless they are already there. Returns its path."""
    table = folder / "metadata.tsv"
    if _is_spoken(table, rows, seed, sample_rate, progress):
        return table
    with one_process(folder), writing(folder):  # a second one would replace clips that the first has begun to read
        if not _is_spoken(table, rows, seed, sample_rate, progress):
            _write_clips(table, rows, seed, sample_rate, progress)
    return table


def _write_clips(table: Path, rows: list[dict], seed: int, sample_rate: int, progress: bool) -> None:
    """Speak the clips of all rows, and replace the corpus that was there."""
    folder = table.parent
    unfinished = folder / ".unfinished"
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        for row in Progress(rows, "speaking", unit="clip", shown=progress):
            clip = _wav(row, seed, sample_rate)
            (unfinished / row["file"]).write_bytes(clip)
            row["sha256"] = hashlib.sha256(clip).hexdigest()
        write_table(unfinished / table.name, (*COLUMNS, "sha256"), rows)
        table.unlink(missing_ok=True)  # from here on the old corpus is incomplete
        for old in folder.glob("[0-9]_espeak*_*.wav"):
            old.unlink()
        for name in (*(row["file"] for row in rows), table.name):
            os.replace(unfinished / name, folder / name)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _plan(speakers: int, repetitions: int, seed: int) -> list[dict]:
    """The rows of a corpus of digits, without checksums."""
    held_out = max(1, round(speakers / 10))
    order = generator(seed, 0, 0).permutation(speakers).tolist()
    split = {index: "DEV" for index in order[:held_out]} | {index: "TEST" for index in order[held_out : 2 * held_out]}
    rows = []
    for index in range(speakers):
        speaker = f"espeak{index:03d}"
        for digit in range(10):
            for repetition in range(repetitions):
                name = f"{digit}_{speaker}_{repetition}"
                facts = (name, speaker, split.get(index, "TRAIN"), digit, f"{name}.wav")
                rows.append(_row(facts, index, DIGITS[digit], repetition))
    return rows


def _row(facts: tuple, speaker_index: int | None, word: str, repetition: int) -> dict:
    """A row of the table, `facts` in the order of `COLUMNS`, and what `_wav` needs to know. A sound has no speaker."""
    return dict(zip(COLUMNS, facts, strict=True), speaker_index=speaker_index, word=word, repetition=repetition)


def _is_spoken(table: Path, rows: list[dict], seed: int, sample_rate: int, progress: bool) -> bool:
    """Whether the folder already contains this very corpus, complete.

    The first two clips are spoken again for comparison: another seed, sample rate, eSpeak or version of this code would
    change them.
    """
    try:
        there = read_metadata(table, digits=rows[0]["label"] in range(10))
        if there[list(COLUMNS)].to_dict("records") != [{key: row[key] for key in COLUMNS} for row in rows]:
            return False
        checksums = dict(zip(there["path"], there["sha256"], strict=True))
        first = [hashlib.sha256(_wav(row, seed, sample_rate)).hexdigest() for row in rows[:2]]
        if list(checksums.values())[:2] != first:
            return False
        clips = Progress(checksums, "checking clips", unit="clip", shown=progress)
        return all(sha256(path) == checksums[path] for path in clips)
    except (InputError, KeyError, OSError):
        return False


def _wav(row: dict, seed: int, sample_rate: int) -> bytes:
    """One clip as the contents of a WAV file."""
    if row["speaker_index"] is None:
        sound = SOUNDS[row["word"]](generator(seed, row["repetition"], len(row["split"])), sample_rate)
    else:
        sound = _voiced(row, seed, sample_rate)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, sample_rate, 0, "NONE", "not compressed"))
        file.writeframes(np.round(sound.clip(-1, 1) * 32767).astype("<i2").tobytes())
    return buffer.getvalue()


def _voiced(row: dict, seed: int, sample_rate: int) -> np.ndarray:
    """A word as spoken by its speaker, with the speaker's background noise: shape (samples,)."""
    speaker = draw_speaker(seed, row["speaker_index"])
    draw = generator(seed, row["speaker_index"], ALL_WORDS.index(row["word"]), row["repetition"])
    rate = speaker.rate * draw.uniform(0.92, 1.08)
    pitch = speaker.pitch + draw.uniform(-5, 5)
    size = speaker.size * draw.uniform(0.99, 1.01)
    sound = speak_word(row["word"], speaker.voice, rate, pitch, speaker.inflection)
    sound = np.pad(sound, [round(draw.uniform(0.005, 0.06) * NATIVE_RATE) for _ in range(2)])
    # Resample in the frequency domain: irfft cuts off the high frequencies or pads them with zeros.
    sound = np.fft.irfft(np.fft.rfft(sound), round(len(sound) * size * sample_rate / NATIVE_RATE))
    sound /= np.abs(sound).max()
    sound += draw.normal(0, 10 ** (-(speaker.noise + draw.uniform(-3, 3)) / 20), len(sound))
    return sound * 10 ** (-(speaker.level + draw.uniform(-1, 1)) / 20)
