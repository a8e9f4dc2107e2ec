"""A synthesiser for tests: fast, without any program, and with voices that fail. Processes of their own import it."""

import os
import time

import numpy as np

from utils import InputError
from utils.data.synthesis.engine import Engine

RATE = 16000


class Made(Engine):
    """Every word is a sum of two tones, which depend on the word; the voice shifts them slightly.

    The voice "hangs" does not answer, "dies" ends its process, "fails" raises an error, "mute" is silent for one word,
    "halting" for two.
    """

    name, pin = "made", "none"

    def __init__(self, *voices: str, name: str = "made"):
        self.own, self.name = list(voices), name

    def missing(self):
        return None

    def voices(self, language):
        return self.own

    def _installed(self, voice):
        return voice in self.own

    def _speak(self, text, voice, rate, pitch, seed):
        if voice.startswith("hangs"):
            time.sleep(60)
        if voice.startswith("dies"):
            os._exit(1)
        if voice.startswith("fails"):
            raise InputError("no such phoneme")
        number = sum(text.encode())
        shift = 1 + (sum(voice.encode()) % 5) / 100
        times = np.arange(round(0.3 / rate * RATE)) / RATE
        tones = [
            np.sin(2 * np.pi * hertz * shift * times) for hertz in (300 + 130 * (number % 7), 1500 + 300 * (number % 9))
        ]
        sound = sum(tones) * np.hanning(len(times))
        silent = {"mute": ("one",), "halting": ("one", "eight")}.get(voice, ())
        return 0 * sound if text.startswith(silent) else sound, RATE
