"""Synthetic speakers of any engine: a voice and a way of speaking, drawn by seed, and what each of them says."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from utils import InputError
from utils.data.synthesis.engine import SAMPLE_RATE, Engine, voice_table
from utils.data.synthesis.pronunciations import accents, find_pronunciations
from utils.data.synthesis.voices import VARIANTS, generator


@dataclass(frozen=True)
class Speaker:
    """A synthetic speaker. Individual words vary around the rate and the pitch."""

    name: str
    engine: str
    voice: str
    language: str
    accent: str  # of `pronunciations.tsv`
    rate: float  # pace, as a factor of the voice's own
    pitch: float  # as a factor of the voice's own
    size: float  # of the vocal tract: 1.05 lowers the formants by 5 %; pace and pitch stay as they are
    level: float  # of the peak, in dB below full scale
    noise: float  # background noise of the room, in dB below the peak


@dataclass(frozen=True)
class Utterance:
    """A digit that a speaker says, in one way of saying it."""

    clip: str  # unique name, for example "7_flite-slt-03_0"
    digit: int
    text: str  # in the notation of the engine
    rate: float
    pitch: float
    seed: int


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
    rows = [row for row in voice_table() if (row.engine, row.language) == (engine.name, language)]
    rows = [row for row in rows if row.voice in engine.voices(language)]
    if not rows:
        raise InputError(f"{engine.name} has no voice for the language '{language}'")
    speakers = []
    for number in range(each):
        for row in rows:
            draw = _generator(seed, f"{engine.name} {row.voice} {language}", number)
            voice = row.voice
            if engine.name == "espeak":  # its variants are voices as well
                voice = f"{voice}+{draw.choice(VARIANTS)}"
            name = f"{engine.name}-{row.voice.replace('/', '-')}-{number:02d}"
            speakers.append(_draw(engine, name, voice, language, str(draw.choice(row.accents)), draw))
    names = [row.voice for row in rows]
    for number in range(blends if engine.blends else 0):
        draw = _generator(seed, f"{engine.name} blend {language}", number)
        chosen = draw.choice(names, size=draw.integers(2, 4), replace=False)
        weights = draw.dirichlet(np.ones(len(chosen)))
        voice = "+".join(f"{part}*{weight:.2f}" for part, weight in zip(chosen, weights, strict=True))
        accent = str(draw.choice(accents(language, engine.notation)))
        speakers.append(_draw(engine, f"{engine.name}-blend-{number:03d}", voice, language, accent, draw))
    return speakers


def plan_utterances(engine: Engine, speaker: Speaker, repetitions: int = 1, seed: int = 0) -> Iterator[Utterance]:
    """What a speaker says: every digit, each time in one of its pronunciations and with another intonation."""
    for repetition in range(repetitions):
        for digit in range(10):
            clip = f"{digit}_{speaker.name}_{repetition}"
            draw = _generator(seed, clip, 0)
            ways = find_pronunciations(speaker.language, speaker.accent, digit, engine.notation)
            text = ways[draw.integers(len(ways))] + str(draw.choice(engine.endings))
            rate = speaker.rate * draw.uniform(0.92, 1.08)
            pitch = speaker.pitch * (draw.uniform(0.95, 1.05) if "pitch" in engine.changes(speaker.voice) else 1)
            yield Utterance(clip, digit, text, rate, pitch, seed=int(draw.integers(2**31)))


def speak_utterance(engine: Engine, speaker: Speaker, utterance: Utterance) -> np.ndarray:
    """Speak: float32 samples, shape (samples,), at `SAMPLE_RATE`, with a peak of 1, without the noise of the room.

    Raises:
        InputError: the engine fails (see `Engine.speak`), or the sound is too short or too long to be a word.
    """
    # stretching the waveform by the size lowers the formants, and also the pitch and pace, so ask for more of both
    rate, pitch = utterance.rate * speaker.size, utterance.pitch * speaker.size
    sound = engine.speak(
        utterance.text, speaker.voice, rate=rate, pitch=1.0 if abs(pitch - 1) < 1e-9 else pitch, seed=utterance.seed
    )
    sound = np.fft.irfft(np.fft.rfft(sound), round(len(sound) * speaker.size))
    if not 0.1 < len(sound) / SAMPLE_RATE < 1.6:
        raise InputError(
            f"{speaker.voice} speaks '{utterance.text}' in {len(sound) / SAMPLE_RATE:.2f} s; that is no word"
        )
    return (sound / np.abs(sound).max()).astype(np.float32)


def put_in_room(sound: np.ndarray, clip: str, level: float, noise: float) -> np.ndarray:
    """Add silence, background noise and level of a speaker to a word: float32, shape (samples,), at `SAMPLE_RATE`.

    Args:
        sound: a word, shape (samples,).
        clip: its name, by which the noise is drawn.
        level: of the peak, in dB below full scale.
        noise: in dB below the peak.
    """
    draw = _generator(0, f"room {clip}", 0)
    sound = np.pad(sound, [round(draw.uniform(0.005, 0.06) * SAMPLE_RATE) for _ in range(2)])
    sound = sound / np.abs(sound).max()
    sound = sound + draw.normal(0, 10 ** (-(noise + draw.uniform(-3, 3)) / 20), len(sound))
    return (sound * 10 ** (-(level + draw.uniform(-1, 1)) / 20)).clip(-1, 1).astype(np.float32)


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


def _generator(seed: int, text: str, number: int) -> np.random.Generator:
    return generator(seed, zlib.crc32(text.encode()), number)
