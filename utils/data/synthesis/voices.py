"""Synthetic speakers: each has one of eSpeak NG's voices (`voices.yaml`) and a way of speaking."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.settings import load_yaml

_voices = load_yaml(Path(__file__).with_suffix(".yaml"))
ACCENTS: tuple[str, ...] = tuple(_voices["accents"])
VARIANTS: tuple[str, ...] = tuple(_voices["variants"])


@dataclass(frozen=True)
class EspeakSpeaker:
    """A synthetic speaker, on eSpeak NG's own scales. Individual repetitions of a word vary around these values."""

    voice: str  # eSpeak's name of the accent and variant
    rate: float  # words per minute
    pitch: float  # 0-99 on eSpeak's scale, 50 being the variant's own
    inflection: float  # 0-99, 50 being the variant's own
    size: float  # of the vocal tract: 1.05 stretches the waveform by 5 %, which lowers pitch and formants
    level: float  # of the peak, in dB below full scale
    noise: float  # background noise of the room, in dB below the peak


def draw_speaker(seed: int, index: int) -> EspeakSpeaker:
    """Draw speaker number `index`. Every variant is used once before any is reused, then with another accent."""
    shuffle, draw = generator(seed), generator(seed, index)
    variants, accents = shuffle.permutation(VARIANTS), shuffle.permutation(ACCENTS)
    turn, place = divmod(index, len(variants))
    return EspeakSpeaker(
        voice=f"gmw/{accents[(place + turn) % len(accents)]}+{variants[place]}",
        rate=draw.uniform(125, 185),
        pitch=draw.uniform(35, 65),
        inflection=draw.uniform(30, 70),
        size=draw.uniform(0.94, 1.06),
        level=draw.uniform(1, 18),
        noise=draw.uniform(30, 55),
    )


def generator(seed: int, *key: int) -> np.random.Generator:
    """A random generator for a seed and key. The key's length counts too, as NumPy treats (1,) and (1, 0) alike."""
    return np.random.default_rng([seed, len(key), *key])
