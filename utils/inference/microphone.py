"""Record from the microphone."""

import numpy as np

from utils import InputError
from utils.data.audio import convert_rate


def record(seconds: float, sample_rate: int) -> np.ndarray:
    """Record from the microphone at its own rate, and resample: (samples,) at `sample_rate` in Hz.

    Raises:
        InputError: the package sounddevice is not installed, or there is no microphone, or it is muted.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: the package is installed, but the library PortAudio is not
        raise InputError(f"recording needs sounddevice ({error}): `pip install sounddevice`") from None
    try:
        rate = round(sounddevice.query_devices(kind="input")["default_samplerate"])
        clip = sounddevice.rec(round(seconds * rate), rate, channels=1, dtype="float32", blocking=True)[:, 0]
    except sounddevice.PortAudioError as error:
        raise InputError(f"could not record; is there a microphone? ({error})") from None
    if not clip.any():
        raise InputError("the microphone records only silence; is it muted?")
    return convert_rate(clip, rate, sample_rate)
