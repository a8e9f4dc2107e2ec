"""Speak the digits with any engine: into a folder that can be completed later, or by eSpeak NG whenever needed."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import soundfile

from utils import InputError
from utils.data.metadata import COLUMNS, write_table
from utils.data.synthesis.engine import SAMPLE_RATE, Engine, voice_table
from utils.data.synthesis.engines.espeak import Espeak
from utils.data.synthesis.speakers import (
    Speaker,
    Utterance,
    plan_speakers,
    plan_utterances,
    put_in_room,
    speak_utterance,
)
from utils.files import atomic_folder, one_process, sha256, write_atomically
from utils.paths import CACHE
from utils.progress import Progress

FIELDS = (
    *COLUMNS,
    "engine",
    "voice",
    "language",
    "accent",
    "text",
    "rate",
    "pitch",
    "size",
    "level",
    "noise",
    "licence",
    "may_pass_on",
)


def speak_digits(
    folder: Path,
    engine: Engine,
    speakers: Sequence[Speaker],
    *,
    repetitions: int = 1,
    seed: int = 0,
    progress: bool = True,
) -> tuple[Path, dict[str, str]]:
    """Speak the digits of all speakers. Can be interrupted and called again.

    Args:
        folder: `{engine}.tsv` is written there, clips of clean words to `clean/{engine}/`, and the same words as
            their speakers are recorded (with noise and level) to `{engine}/`, 16 kHz WAV.
        engine: the engine of all the speakers.
        speakers: for example from `plan_speakers`.
        repetitions: of each digit by each speaker.
        seed: of their ways of saying the words.
        progress: whether to show a progress bar.

    Returns:
        The table, a metadata table with further columns (`FIELDS`), and the voices that were left out because the
        engine failed twice in a row with them, each with the reason.

    Raises:
        InputError: the folder cannot be written to.
    """
    table = folder / f"{engine.name}.tsv"
    clean, rooms = folder / "clean" / engine.name, folder / engine.name
    left_out: dict[str, str] = {}
    failures: dict[str, int] = {}
    rows = []
    try:
        clean.mkdir(parents=True, exist_ok=True)
        rooms.mkdir(exist_ok=True)
        for number, speaker in enumerate(Progress(speakers, engine.name, unit="speaker", shown=progress)):
            for utterance in plan_utterances(engine, speaker, repetitions, seed):
                name = f"{utterance.clip}.wav"
                if not (rooms / name).is_file():
                    if speaker.voice in left_out:
                        continue
                    try:
                        sound = speak_utterance(engine, speaker, utterance)
                    except InputError as error:
                        failures[speaker.voice] = failures.get(speaker.voice, 0) + 1
                        if failures[speaker.voice] >= 2:
                            left_out[speaker.voice] = str(error)
                        continue
                    failures.pop(speaker.voice, None)
                    _write(clean / name, sound)
                    _write(rooms / name, put_in_room(sound, utterance.clip, speaker.level, speaker.noise))
                rows.append(_row(speaker, utterance, f"{engine.name}/{name}"))
            if number % 10 == 9 or number == len(speakers) - 1:
                _write_table(table, rows)
    except OSError as error:
        raise InputError(f"{error.filename or folder}: {error.strerror or error}") from None
    return table, left_out


def accented_voices(number: int, language: str = "en", seed: int = 0, cache: Path = CACHE) -> Path:
    """One clip of each digit by each of `number` speakers of eSpeak NG, spoken once and kept in the cache.

    Its voices of other languages read the words as spelled there, so that English has over a dozen accents. All accents
    take turns; a larger number has the clips of a smaller one.

    Args:
        number: of speakers, at least 1.
        language: ISO 639-1 code.
        seed: of the speakers.
        cache: where the clips are kept.

    Returns:
        The path of `metadata.tsv`. All its clips are in TRAIN, 16 kHz WAV.

    Raises:
        InputError: `number` is too small, the language is not in `pronunciations.tsv`, or the cache is not writable.
    """
    if number < 1:
        raise InputError(f"{number} speakers; at least 1 is needed")
    sources = [Path(__file__).with_name(name) for name in ("pronunciations.tsv", "engines.tsv", "speakers.py")]
    version = hashlib.sha256("".join(map(sha256, sources)).encode()).hexdigest()[:8]
    folder = cache / f"accents-{language}-{number}-{seed}-{version}"
    if folder.is_dir():  # it is made atomically, so it is complete
        return folder / "metadata.tsv"
    with one_process(folder):
        if not folder.is_dir():  # nor has another process made it meanwhile
            _speak_accents(number, language, seed, folder)
    return folder / "metadata.tsv"


def _speak_accents(number: int, language: str, seed: int, folder: Path) -> None:
    """Write the clips of `accented_voices` and their table into `folder`."""
    engine = Espeak()
    voices = len(plan_speakers(engine, language, each=1))
    speakers = plan_speakers(engine, language, each=-(-number // voices), seed=seed)[:number]
    with atomic_folder(folder) as new:
        rows = []
        for speaker in speakers:
            for utterance in plan_utterances(engine, speaker, seed=seed):
                sound = speak_utterance(engine, speaker, utterance)
                _write(new / f"{utterance.clip}.wav", put_in_room(sound, utterance.clip, speaker.level, speaker.noise))
                rows.append(_row(speaker, utterance, f"{utterance.clip}.wav"))
        _write_table(new / "metadata.tsv", rows)


def _row(speaker: Speaker, utterance: Utterance, file: str) -> dict:
    base = speaker.voice.split("+")[0].split("*")[0]
    terms = next(row for row in voice_table() if (row.engine, row.voice) == (speaker.engine, base))
    facts = (utterance.clip, speaker.name, "TRAIN", utterance.digit, file)
    numbers = {key: f"{value:.4f}" for key, value in asdict(speaker).items() if isinstance(value, float)}
    return {
        **asdict(speaker), **numbers, **dict(zip(COLUMNS, facts, strict=True)), "text": utterance.text,
        "rate": f"{utterance.rate:.4f}", "pitch": f"{utterance.pitch:.4f}",
        "licence": terms.licence, "may_pass_on": "yes" if terms.may_pass_on else "no",
    }  # fmt: skip


def _write(path: Path, sound: np.ndarray) -> None:
    write_atomically(path, lambda new: soundfile.write(new, sound, SAMPLE_RATE, subtype="PCM_16"))


def _write_table(path: Path, rows: list[dict]) -> None:
    write_atomically(path, lambda new: write_table(new, FIELDS, rows))
