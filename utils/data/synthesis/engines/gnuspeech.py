"""Gnuspeech: an articulatory synthesiser. Rules move the shape of a vocal tract, through which sound is simulated.

D. Hill, L. Manzara, C. Schock: Real-time articulatory speech-synthesis-by-rules. Proceedings of AVIOS, 1995.
"""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np

from utils.data.synthesis.engine import Engine, read_wave, run
from utils.data.synthesis.voices import generator

PACKAGE = Path("node_modules") / "@echogarden" / "gnuspeech-wasm"
VOICES = ("male", "female", "large_child")
VOICE, CONTROL = "voice_{}.txt", "trm_control_model.txt"  # files of the package: a vocal tract; tempo and intonation
STEADY = {"random_intonation": "0", "intonation_drift": "0"}  # so that a word sounds the same with the same seed
# how much each measure of the tract and the glottis varies from word to word, as a factor of the voice's own
SPREAD = {
    "vocal_tract_length": 1.07,
    "glottal_pulse_tp": 1.25,
    "breathiness": 3.0,
    "global_nose_radius_coef": 1.3,
    **{f"radius_{number}_coef": 1.18 for number in range(1, 9)},
}


class Gnuspeech(Engine):
    """Speaks English text. Each word is spoken by a slightly different vocal tract, drawn by the seed."""

    name = "gnuspeech"
    pin = "npm @echogarden/gnuspeech-wasm 0.3.0"

    def missing(self) -> str | None:
        if not shutil.which("node"):
            return "apt install nodejs npm; npm install @echogarden/gnuspeech-wasm@0.3.0"
        return None if PACKAGE.is_dir() else "npm install @echogarden/gnuspeech-wasm@0.3.0"

    def _installed(self, voice: str) -> bool:
        return voice in VOICES

    def _speak(self, text: str, voice: str, rate: float, pitch: float, seed: int) -> tuple[np.ndarray, int]:
        draw = generator(seed, VOICES.index(voice), 0)
        factors = {name: spread ** draw.uniform(-1, 1) for name, spread in SPREAD.items()}
        tract = _settings(VOICE.format(voice))
        tract |= {name: str(float(tract[name]) * factor) for name, factor in factors.items()}
        control = _settings(CONTROL) | STEADY | {"voice_name": voice, "tempo": str(rate)}
        control["pitch_offset"] = str(float(control["pitch_offset"]) + 12 * np.log2(pitch))  # in semitones
        files = {
            name: "".join(f"{key} = {value}\n" for key, value in settings.items())
            for name, settings in ((VOICE.format(voice), tract), (CONTROL, control))
        }
        asked = {"package": str(PACKAGE.resolve()), "text": text, "files": files}
        with tempfile.TemporaryDirectory() as folder:
            wave = Path(folder) / "word.wav"
            run(["node", Path(__file__).with_suffix(".mjs"), wave], text=json.dumps(asked).encode())
            return read_wave(wave)


def _settings(name: str) -> dict[str, str]:
    """The settings of a configuration file of the package."""
    lines = (PACKAGE / "data" / "en" / name).read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, _, value in pairs}
