"""What the tests of `utils.data` share."""

import io
import wave
from pathlib import Path

import numpy as np
import pytest

from utils import InputError


def wav_bytes(seed: int = 0, rate: int = 48_000) -> bytes:
    """A short WAV file of noise."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", None))
        file.writeframes(np.random.default_rng(seed).integers(-99, 99, 200, dtype="<i2").tobytes())
    return buffer.getvalue()


def contents(folder: Path) -> dict[str, bytes]:
    """The files in a folder, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def input_error(function, *arguments, **options) -> str:
    """The message of the `InputError` that a call raises; it must be a single line."""
    with pytest.raises(InputError) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)
