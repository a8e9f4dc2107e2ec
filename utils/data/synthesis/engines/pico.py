"""SVOX Pico, once the synthesiser of Android: unit durations and pitch from decision trees, spectra from statistics."""

import importlib.util

import numpy as np

from utils.data.synthesis.engine import Engine

NATIVE_RATE = 16000
VOICES = ("en-US", "en-GB", "de-DE", "es-ES", "fr-FR", "it-IT")


class Pico(Engine):
    """Speaks text in six languages, one voice each."""

    name = "pico"
    pin = "PyPI ttspico 0.3.2"

    def missing(self) -> str | None:
        return None if importlib.util.find_spec("ttspico") else "pip install ttspico==0.3.2"

    def _installed(self, voice: str) -> bool:
        return voice in VOICES

    def _speak(self, text: str, voice: str, rate: float, pitch: float, seed: int) -> tuple[np.ndarray, int]:
        import ttspico

        engine = ttspico.TtsEngine(voice)
        engine.rate = round(100 * rate)  # 20-500
        engine.pitch = round(100 * pitch)  # 50-200
        return np.frombuffer(engine.speak(text), dtype="<i2") / 32768, NATIVE_RATE
