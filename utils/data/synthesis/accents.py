"""Speakers of every accent in `pronunciations.tsv`: those of any engine, for the archive, and many of eSpeak NG."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from utils import InputError
from utils.data.metadata import write_table
from utils.data.synthesis.engine import Engine, voice_table
from utils.data.synthesis.engines.espeak import Espeak
from utils.data.synthesis.pronunciations import accents, find_pronunciations
from utils.data.synthesis.speakers import FIELDS, Speaker, Utterance, drawing, speak_clip, spoken_once
from utils.data.synthesis.voices import VARIANTS
from utils.paths import CACHE


def plan_speakers(engine: Engine, language: str, *, each: int, blends: int = 0, seed: int = 0) -> list[Speaker]:
    """Draw speakers for every voice that an engine has for a language. More of them do not change the first ones.

    Args:
        engine: an installed engine.
        language: ISO 639-1 code.
        each: speakers for each voice.
        blends: further speakers whose voices are mixtures of two or three, if the engine can blend voices.
        seed: at least 0.

    Raises:
        InputError: the engine has no voice for the language.
    """
    installed = engine.voices(language)
    rows = [row for row in voice_table() if (row.engine, row.language) == (engine.name, language)]
    rows = [row for row in rows if row.voice in installed]
    if not rows:
        raise InputError(f"{engine.name} has no voice for the language '{language}'")
    speakers = []
    for number in range(each):
        for row in rows:
            draw = drawing(seed, f"{engine.name} {row.voice} {language}", number)
            voice = row.voice
            if engine.name == "espeak":  # its variants are voices as well
                voice = f"{voice}+{draw.choice(VARIANTS)}"
            name = f"{engine.name}-{row.voice.replace('/', '-')}-{number:02d}"
            speakers.append(_draw(engine, name, voice, language, str(draw.choice(row.accents)), draw))
    names = [row.voice for row in rows]
    for number in range(blends if engine.blends else 0):
        draw = drawing(seed, f"{engine.name} blend {language}", number)
        chosen = draw.choice(names, size=draw.integers(2, 4), replace=False)
        weights = draw.dirichlet(np.ones(len(chosen)))
        voice = "+".join(f"{part}*{weight:.2f}" for part, weight in zip(chosen, weights, strict=True))
        accent = str(draw.choice(accents(language, engine.notation)))
        speakers.append(_draw(engine, f"{engine.name}-blend-{number:03d}", voice, language, accent, draw))
    return speakers


def plan_utterances(engine: Engine, speaker: Speaker, repetitions: int = 1) -> Iterator[Utterance]:
    """What a speaker says: every digit, each time in one of its pronunciations and with another intonation."""
    for repetition in range(repetitions):
        for digit in range(10):
            clip = f"{digit}_{speaker.name}_{repetition}"
            draw = drawing(0, clip)
            ways = find_pronunciations(speaker.language, speaker.accent, digit, engine.notation)
            text = ways[draw.integers(len(ways))] + str(draw.choice(engine.endings))
            rate = speaker.rate * draw.uniform(0.92, 1.08)
            pitch = speaker.pitch * (draw.uniform(0.95, 1.05) if "pitch" in engine.changes(speaker.voice) else 1)
            yield Utterance(clip, digit, text, rate, pitch, seed=int(draw.integers(2**31)))


def accented_voices(number: int, language: str = "en", cache: Path = CACHE) -> Path:
    """One clip of each digit by each of `number` speakers of eSpeak NG, spoken once and kept in the cache.

    Its voices of other languages read the words as spelled there, so that English has over a dozen accents. All accents
    take turns; a larger number has the clips of a smaller one.

    Args:
        number: of speakers, at least 1.
        language: ISO 639-1 code.
        cache: where the clips are kept.

    Returns:
        The path of `metadata.tsv`. All its clips are in TRAIN, 16 kHz WAV.

    Raises:
        InputError: `number` is too small, the language is not in `pronunciations.tsv`, or the cache is not writable.
    """
    if number < 1:
        raise InputError(f"{number} speakers; at least 1 is needed")
    return spoken_once(cache, f"accents-{language}-{number}", lambda new: _speak(number, language, new))


def _speak(number: int, language: str, folder: Path) -> None:
    """Write the clips of `accented_voices` and their table into `folder`."""
    engine = Espeak()
    voices = len(plan_speakers(engine, language, each=1))
    speakers = plan_speakers(engine, language, each=-(-number // voices))[:number]
    spoken = ((speaker, utterance) for speaker in speakers for utterance in plan_utterances(engine, speaker))
    write_table(folder / "metadata.tsv", FIELDS, (speak_clip(folder, engine, *each) for each in spoken))


def _draw(engine: Engine, name: str, voice: str, language: str, accent: str, draw: np.random.Generator) -> Speaker:
    rate = np.exp(draw.uniform(np.log(0.75), np.log(1.3)))
    pitch = np.exp(draw.uniform(np.log(0.8), np.log(1.25)))
    size = draw.uniform(0.92, 1.08)
    if engine.blends and "pitch" not in engine.changes(voice):
        pitch = 1 / size  # so many voices need no vocoder
    return Speaker(
        name, engine.name, voice, language, accent, float(rate), float(pitch), float(size),
        level=float(draw.uniform(1, 18)), noise=float(draw.uniform(30, 55)),
    )  # fmt: skip
