"""Flite, the small synthesiser of Carnegie Mellon University: diphone voices (kal) and statistical ones (the others).

A. W. Black, K. A. Lenzo: Flite: a small fast run-time synthesis engine. ISCA Workshop on Speech Synthesis, 2001.
"""

import shutil
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

from utils.data.synthesis.engine import Engine, listed, read_wave, run

PITCH = {"kal": 95, "kal16": 95, "awb": 125, "rms": 95, "slt": 170}  # of each voice, in Hz


class Flite(Engine):
    """Speaks English text. Its program is called once for each word."""

    name = "flite"
    pin = "Debian flite 2.2-5"

    def missing(self) -> str | None:
        return None if shutil.which("flite") else "apt install flite"

    def _installed(self, voice: str) -> bool:
        return voice in PITCH and voice in _built_in()

    def changes(self, voice: str) -> frozenset[str]:
        return frozenset({"rate"} if voice == "rms" else {"rate", "pitch"})  # rms keeps its pitch, whatever is set

    def _speak(self, text: str, voice: str, rate: float, pitch: float, seed: int) -> tuple[np.ndarray, int]:
        with tempfile.TemporaryDirectory() as folder:
            wave = Path(folder) / "word.wav"
            settings = [f"duration_stretch={1 / rate:.4f}", f"int_f0_target_mean={PITCH[voice] * pitch:.2f}"]
            options = [option for setting in settings for option in ("--setf", setting)]
            run(["flite", "-voice", voice, *options, "-t", text, "-o", wave])
            return read_wave(wave)


@cache
def _built_in() -> frozenset[str]:
    """The voices that the program contains, among the other words of its answer."""
    return frozenset(listed(["flite", "-lv"]))
