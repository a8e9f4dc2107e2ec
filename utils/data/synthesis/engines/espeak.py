"""eSpeak NG as an engine: formant synthesis in over a hundred languages, from the wheel that the project installs."""

import ctypes
from functools import cache
from pathlib import Path

import espeakng_loader
import numpy as np

from utils import InputError
from utils.data.synthesis import espeak
from utils.data.synthesis.engine import Engine

WORDS_PER_MINUTE = 155  # at a rate of 1
IPA = 2  # espeakPHONEMES_IPA


class Espeak(Engine):
    """Speaks text in any of eSpeak's languages. A voice is a language with or without a variant: "gmw/de+max"."""

    name = "espeak"
    pin = "PyPI espeakng-loader 0.2.4"

    def available(self) -> str | None:
        return None  # the project depends on it

    def voices(self, language: str) -> list[str]:
        """Those of `engines.tsv`, or all voices of the language that eSpeak NG has."""
        return super().voices(language) or [voice for voice, code in _languages().items() if code == language]

    def _installed(self, voice: str) -> bool:
        base, _, variant = voice.partition("+")
        variants = Path(espeakng_loader.get_data_path()) / "voices" / "!v"
        return base in _languages() and (not variant or (variants / variant).is_file())

    def _speak(self, text: str, voice: str, rate: float, pitch: float, seed: int) -> tuple[np.ndarray, int]:
        pace, height = WORDS_PER_MINUTE * rate, pitch_number(pitch)
        return espeak.speak_word(text, voice, pace, height, inflection=50) / 32768, espeak.NATIVE_RATE


def pitch_number(factor: float) -> float:
    """A factor on eSpeak's scale of pitches, 0-99, on which 50 is the voice's own and 50 more are an octave up."""
    return float(np.clip(50 + 50 * np.log2(factor), 0, 99))


def pronounce(word: str, voice: str) -> str:
    """How eSpeak NG pronounces a word, in IPA.

    Args:
        word: the text.
        voice: the name of the language, for example "gmw/de".

    Raises:
        InputError: eSpeak NG does not know the language.
    """
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    with espeak.without_side_effects():
        try:
            library.espeak_Initialize(espeak.SYNCHRONOUS_OUTPUT, 0, espeakng_loader.get_data_path().encode(), 1 << 15)
            if library.espeak_SetVoiceByName(voice.encode()):
                raise InputError(f"eSpeak NG has no voice {voice}")
            text = ctypes.c_char_p(word.encode())
            spoken = []
            while text.value:  # one clause after another; the last sets the pointer to null
                spoken.append(library.espeak_TextToPhonemes(ctypes.byref(text), espeak.UTF8, IPA).decode())
            library.espeak_Terminate()
        finally:
            espeak.unload(library._handle)
    return " ".join(part for part in spoken if part)


@cache
def _languages() -> dict[str, str]:
    """The code of each language, by the name of its voice: {"gmw/de": "de", ...}."""
    folder = Path(espeakng_loader.get_data_path()) / "lang"
    found = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
        codes = [line.split()[1] for line in lines if line.startswith("language ")]
        if codes:
            found[file.relative_to(folder).as_posix()] = codes[0]
    return found
