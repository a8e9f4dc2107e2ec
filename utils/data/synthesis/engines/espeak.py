"""eSpeak NG as an engine: formant synthesis in over a hundred languages, from the wheel that the project installs."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import espeakng_loader
import numpy as np

from utils.data.synthesis.engine import Engine
from utils.data.synthesis.espeak_library import NATIVE_RATE, speak_word

WORDS_PER_MINUTE = 155  # at a rate of 1


class Espeak(Engine):
    """Speaks text in any of eSpeak's languages. A voice is a language with or without a variant: "gmw/de+max"."""

    name = "espeak"
    pin = "PyPI espeakng-loader 0.2.4"

    def missing(self) -> str | None:
        return None  # the project depends on it

    def voices(self, language: str) -> list[str]:
        """Those of `engines.tsv`, or all voices of the language that eSpeak NG has."""
        return super().voices(language) or [
            voice for voice, spoken in languages().items() if spoken.codes[0] == language
        ]

    def _installed(self, voice: str) -> bool:
        base, _, variant = voice.partition("+")
        variants = Path(espeakng_loader.get_data_path()) / "voices" / "!v"
        return base in languages() and (not variant or (variants / variant).is_file())

    def _speak(self, text: str, voice: str, rate: float, pitch: float, seed: int) -> tuple[np.ndarray, int]:
        pace, height = WORDS_PER_MINUTE * rate, pitch_number(pitch)
        return speak_word(text, voice, pace, height, inflection=50) / 32768, NATIVE_RATE


def pitch_number(factor: float) -> float:
    """A factor on eSpeak's scale of pitches, 0-99, on which 50 is the voice's own and 50 more are an octave up."""
    return float(np.clip(50 + 50 * np.log2(factor), 0, 99))


class Language(NamedTuple):
    """A language of eSpeak NG: its name, such as "German", and its codes, the main one first."""

    name: str
    codes: tuple[str, ...]


@cache
def languages() -> dict[str, Language]:
    """eSpeak NG's languages by the names of their voices, such as "gmw/de"."""
    folder = Path(espeakng_loader.get_data_path()) / "lang"
    found = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        text = file.read_text(encoding="utf-8", errors="replace")
        lines = [line.partition("//")[0].split(maxsplit=1) for line in text.splitlines()]  # without comments
        facts = [(words[0], words[1].strip()) for words in lines if len(words) == 2]
        names = [value for key, value in facts if key == "name"]
        codes = tuple(value.split()[0] for key, value in facts if key == "language")
        if names and codes:
            found[file.relative_to(folder).as_posix()] = Language(names[0], codes)
    return found
