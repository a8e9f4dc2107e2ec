"""RHVoice, a statistical (HTS) synthesiser with English voices made of the CMU Arctic recordings, and Slavic ones."""

import shutil
import tempfile
from pathlib import Path

import numpy as np

from utils.data.synthesis.engine import Engine, read_wave, run

VOICES = Path("/usr/share/RHVoice/voices")  # of Debian's packages


class RHVoice(Engine):
    """Speaks text. Its program is called once for each word."""

    name = "rhvoice"
    pin = "Debian rhvoice 1.8.0+dfsg-3 (non-free: the voices cannot be trained again from what it contains)"

    def missing(self) -> str | None:
        return None if shutil.which("RHVoice-test") else "apt install rhvoice rhvoice-english (in Debian's non-free)"

    def _installed(self, voice: str) -> bool:
        return voice.isprintable() and "/" not in voice and (VOICES / voice / "voice.info").is_file()

    def _speak(self, text: str, voice: str, rate: float, pitch: float, seed: int) -> tuple[np.ndarray, int]:
        with tempfile.TemporaryDirectory() as folder:
            wave, written = Path(folder) / "word.wav", Path(folder) / "word.txt"
            written.write_text(text, encoding="utf-8")
            percent = ["-r", f"{100 * rate:.0f}", "-t", f"{100 * pitch:.0f}"]
            run(["RHVoice-test", "-p", voice, *percent, "-i", written, "-o", wave])
            return read_wave(wave)
