"""The vocoder, which is optional."""

import sys

import numpy as np
import pytest

from utils import InputError
from utils.data.synthesis.vocoder import revoice

RATE = 16000


def buzz(hertz: float, seconds: float) -> np.ndarray:
    """A sum of harmonics, like a voice."""
    time = np.arange(round(seconds * RATE)) / RATE
    return sum(np.sin(2 * np.pi * hertz * number * time) / number for number in range(1, 20))


def test_without_pyworld_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyworld", None)
    with pytest.raises(InputError, match="pip install pyworld"):
        revoice(buzz(120, 0.3), RATE, pitch=1.2)


@pytest.mark.parametrize(("rate", "pitch"), [(1.0, 1.25), (1.5, 1.0), (0.8, 0.9)])
def test_pace_and_pitch_are_changed_independently(rate, pitch):
    pyworld = pytest.importorskip("pyworld")
    sound = revoice(buzz(120, 0.6), RATE, rate=rate, pitch=pitch)
    assert len(sound) / RATE == pytest.approx(0.6 / rate, abs=0.02)
    f0, _ = pyworld.harvest(sound, RATE)
    assert np.median(f0[f0 > 0]) == pytest.approx(120 * pitch, rel=0.03)
