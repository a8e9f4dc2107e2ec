"""A corpus of a language's digits, spoken by all installed engines, in a folder that can be completed later."""

import functools
import threading
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from utils import InputError
from utils.data.metadata import write_table
from utils.data.synthesis.engine import Engine
from utils.data.synthesis.lexicon import Lexicon, find_voices
from utils.data.synthesis.speakers import FIELDS, Speaker, Utterance, drawing, speak_in_room, table_row, write_clip
from utils.data.synthesis.voices import VARIANTS, generator
from utils.data.synthesis.workers import Worker, WorkerLost
from utils.files import write_atomically
from utils.progress import Progress

MOST_SPEAKERS = {"kokoro": 40}  # of engines that take long: about 0.6 s a word on one core
LOST_AT_MOST = 3  # voices in a row with which an engine hangs or crashes, before the rest of it is left out
CORES = 2  # engines that speak at the same time
COLUMNS = tuple(name for name in FIELDS if name not in ("language", "accent", "may_pass_on"))  # of the tables


@dataclass(frozen=True)
class Part:
    """The speakers of one engine."""

    engine: Engine
    speakers: tuple[Speaker, ...]


def plan_parts(lexicon: Lexicon, engines: Sequence[Engine], speakers: int) -> list[Part]:
    """Speakers of every engine that has a voice for the language, about as many of each.

    Every voice of an engine is used once before any is used again; eSpeak NG's variants count as voices.

    Args:
        lexicon: the words.
        engines: those that may be used.
        speakers: of all engines together. Each has at least two.

    Raises:
        InputError: none of the engines has a voice for the language.
    """
    found = {engine.name: (engine, voices) for engine in engines if (voices := find_voices(engine, lexicon))}
    if not found:
        raise InputError(f"no installed engine speaks '{lexicon.language}' (see `sdr language --list`)")
    parts = []
    for engine, voices in found.values():
        order = generator(0, zlib.crc32(engine.name.encode()))
        if engine.name == "espeak":
            voices = [f"{voice}+{variant}" for variant in order.permutation(VARIANTS) for voice in voices]
        else:
            voices = order.permutation(voices).tolist()
        number = max(2, min(speakers // len(found), MOST_SPEAKERS.get(engine.name, speakers)))
        turns = [(voices[index % len(voices)], index // len(voices)) for index in range(number)]
        drawn = tuple(_draw(engine, voice, lexicon.language, turn) for voice, turn in turns)
        parts.append(Part(engine, drawn))
    return parts


def hold_out(speakers: Sequence[Speaker]) -> frozenset[str]:
    """The names of the speakers of one engine who are left out of training: all those with a tenth of the voices.

    Of an engine with less than five voices, a tenth of the speakers are left out, but at least one.
    """
    voices = list(dict.fromkeys(speaker.voice for speaker in speakers))
    if len(voices) >= 5:
        chosen = voices[: max(1, len(voices) // 10)]
        return frozenset(speaker.name for speaker in speakers if speaker.voice in chosen)
    return frozenset(speaker.name for speaker in speakers[: max(1, len(speakers) // 10)])


def speak_corpus(
    folder: Path, lexicon: Lexicon, parts: Sequence[Part], progress: bool = True
) -> tuple[Path, dict[str, str]]:
    """Speak every digit once with every speaker. Clips that are already there are kept.

    Each engine runs in a process of its own. A voice is left out if the engine hangs or crashes with it, or fails twice
    in a row.

    Args:
        folder: `metadata.tsv` is written there last, and 16 kHz WAV clips to `clips/`. Clips that are no longer part of
            the corpus are removed.
        lexicon: the words.
        parts: from `plan_parts`.
        progress: whether to show a progress bar.

    Returns:
        The table, with further columns (`COLUMNS`). Speakers who are left out of training are in TEST. And the voices
        that were left out, as "engine voice", each with the reason.

    Raises:
        InputError: the folder cannot be written to, or a digit was not spoken by any voice.
    """
    clips, stop, left_out = folder / "clips", threading.Event(), dict[str, str]()
    total = sum(10 * len(part.speakers) for part in parts)
    shown = Progress(total=total, desc="speaking", unit="word", shown=progress)
    with shown as bar, ThreadPoolExecutor(CORES) as pool:
        jobs = [pool.submit(_speak_part, part, lexicon, clips, stop, bar) for part in parts]
        try:
            for job in as_completed(jobs):
                left_out |= job.result()
        finally:
            stop.set()  # the others need not go on after an error or Ctrl-C
    rows = []
    for part in parts:
        speakers = [speaker for speaker in part.speakers if f"{speaker.engine} {speaker.voice}" not in left_out]
        unseen = hold_out(speakers)
        for speaker in speakers:
            for utterance in plan_words(part.engine, speaker, lexicon):
                file = f"clips/{utterance.clip}.wav"
                if (folder / file).is_file():
                    rows.append(table_row(speaker, utterance, "TEST" if speaker.name in unseen else "TRAIN", file))
    for split in ("TRAIN", "TEST"):
        missing = set(range(10)) - {row["label"] for row in rows if row["split"] == split}
        if missing:
            why = "; ".join(f"{voice}: {reason}" for voice, reason in list(left_out.items())[:3]) or "too few speakers"
            raise InputError(f"no voice for {split} has spoken the digit {min(missing)} ({why})")
    table = folder / "metadata.tsv"
    write_atomically(table, lambda new: write_table(new, COLUMNS, rows))
    listed = {row["file"] for row in rows}
    for old in clips.glob("*.wav"):
        if f"clips/{old.name}" not in listed:
            old.unlink()
    return table, left_out


def plan_words(engine: Engine, speaker: Speaker, lexicon: Lexicon) -> list[Utterance]:
    """What a speaker says: every digit, in one of its words. The name of a clip depends on everything that it is."""
    planned = []
    for digit in range(10):
        draw = drawing(0, f"{speaker.name} {lexicon.language}", digit)
        forms = (lexicon.ipa if engine.notation == "ipa" else lexicon.words)[digit]
        text = forms[draw.integers(len(forms))] + str(draw.choice(engine.endings))
        pitch = speaker.pitch * (draw.uniform(0.95, 1.05) if "pitch" in engine.changes(speaker.voice) else 1)
        rate = speaker.rate * draw.uniform(0.92, 1.08)
        utterance = Utterance("", digit, text, rate, pitch, seed=int(draw.integers(2**31)))
        version = zlib.crc32(repr((engine.pin, speaker, utterance)).encode())
        planned.append(replace(utterance, clip=f"{digit}_{speaker.name}_{version:08x}"))
    return planned


def _speak_part(part: Part, lexicon: Lexicon, clips: Path, stop: threading.Event, bar: Progress) -> dict[str, str]:
    """Speak the missing clips of one engine. Returns the voices that were left out."""
    left_out: dict[str, str] = {}
    lost = 0
    with Worker(functools.partial(speak_in_room, part.engine)) as worker:
        for number, speaker in enumerate(part.speakers, start=1):
            voice, failed = f"{speaker.engine} {speaker.voice}", 0
            for utterance in plan_words(part.engine, speaker, lexicon):
                if stop.is_set():
                    return left_out
                path = clips / f"{utterance.clip}.wav"
                if path.is_file():  # spoken by an earlier call, for which it counted as below
                    failed, lost = 0, 0
                elif voice not in left_out:
                    try:
                        sound = worker(speaker, utterance)
                    except WorkerLost as error:
                        left_out[voice], lost = str(error), lost + 1
                    except InputError as error:
                        failed, lost = failed + 1, 0
                        if failed >= 2:
                            left_out[voice] = str(error)
                    else:
                        failed, lost = 0, 0
                        write_clip(path, sound)
                bar.update()
            if lost >= LOST_AT_MOST:
                reason = f"not tried after {lost} voices of {part.engine.name} were lost"
                return {f"{other.engine} {other.voice}": reason for other in part.speakers[number:]} | left_out
    return left_out


def _draw(engine: Engine, voice: str, language: str, turn: int) -> Speaker:
    """A speaker with a voice, in a way of its own each time that the voice is used."""
    draw = drawing(0, f"{engine.name} {voice} {language}", turn)
    size = draw.uniform(0.92, 1.08)
    pitch = np.exp(draw.uniform(np.log(0.8), np.log(1.25)))
    if "pitch" not in engine.changes(voice):
        pitch = 1 / size  # so the voice needs no vocoder
    return Speaker(
        name=f"{engine.name}-{voice.replace('/', '-').replace('+', '-')}-{turn}", engine=engine.name, voice=voice,
        language=language, accent=language, rate=float(np.exp(draw.uniform(np.log(0.75), np.log(1.3)))),
        pitch=float(pitch), size=float(size), level=float(draw.uniform(1, 18)), noise=float(draw.uniform(30, 55)),
    )  # fmt: skip
