"""Synthetic speakers: which of eSpeak NG's voices (`voices.yaml`), and how each of them speaks."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.settings import load_yaml

_voices = load_yaml(Path(__file__).with_suffix(".yaml"))
ACCENTS: tuple[str, ...] = tuple(_voices["accents"])
VARIANTS: tuple[str, ...] = tuple(_voices["variants"])


@dataclass(frozen=True)
class Speaker:
    """A voice: which variant and accent, and how it speaks. Its repetitions of a word scatter around these values."""

    voice: str  # eSpeak's name of accent and variant
    rate: float  # words a minute
    pitch: float  # 0-99 as eSpeak counts, 50 being the variant's own
    inflection: float  # 0-99, 50 being the variant's own
    size: float  # of the vocal tract: 1.05 lengthens every wave by 5 %, and so lowers pitch and formants
    level: float  # the peak's, in dB below full scale
    noise: float  # the room's, in dB below the peak


def draw_speaker(seed: int, index: int) -> Speaker:
    """The speaker with that index: each variant is used once before one returns, and then in another accent."""
    shuffle, draw = generator(seed), generator(seed, index)
    variants, accents = shuffle.permutation(VARIANTS), shuffle.permutation(ACCENTS)
    turn, place = divmod(index, len(variants))
    return Speaker(
        voice=f"gmw/{accents[(place + turn) % len(accents)]}+{variants[place]}",
        rate=draw.uniform(125, 185),
        pitch=draw.uniform(35, 65),
        inflection=draw.uniform(30, 70),
        size=draw.uniform(0.94, 1.06),
        level=draw.uniform(1, 18),
        noise=draw.uniform(30, 55),
    )


def generator(seed: int, *key: int) -> np.random.Generator:
    """A generator for each key. The key's length is part of it: NumPy does not tell (1,) from (1, 0)."""
    return np.random.default_rng([seed, len(key), *key])
