"""MBROLA's diphone voices, with eSpeak NG in front: recordings of people in over thirty languages.

T. Dutoit et al.: The MBROLA project: towards a set of high quality speech synthesizers free of use for non commercial
purposes. ICSLP 1996.
"""

import shutil
import tempfile
from pathlib import Path

import numpy as np

from utils.data.synthesis.engine import Engine, read_wave, run
from utils.data.synthesis.engines.espeak import WORDS_PER_MINUTE, pitch_number

DATABASES = Path("/usr/share/mbrola")  # of Debian's packages


class Mbrola(Engine):
    """Speaks text. eSpeak NG's own program is called once for each word, as the wheel lacks MBROLA's voices."""

    name = "mbrola"
    pin = "Debian espeak-ng 1.51+dfsg-10, mbrola 3.3+dfsg-9 (contrib; its voices are in non-free)"

    def missing(self) -> str | None:
        found = shutil.which("mbrola") and shutil.which("espeak-ng")
        return None if found else "apt install espeak-ng mbrola mbrola-us1 (in Debian's contrib and non-free)"

    def _installed(self, voice: str) -> bool:
        return voice.startswith("mb-") and (DATABASES / voice[3:].split("-")[0]).is_dir()

    def _speak(self, text: str, voice: str, rate: float, pitch: float, seed: int) -> tuple[np.ndarray, int]:
        with tempfile.TemporaryDirectory() as folder:
            wave = Path(folder) / "word.wav"
            numbers = ["-s", f"{WORDS_PER_MINUTE * rate:.0f}", "-p", f"{pitch_number(pitch):.0f}"]
            run(["espeak-ng", "-v", voice, *numbers, "-w", wave, text])
            return read_wave(wave)
