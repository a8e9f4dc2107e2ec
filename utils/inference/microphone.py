"""Record from the microphone, or listen to it."""

import queue
from collections.abc import Iterator

import numpy as np

from utils import InputError
from utils.data.audio import convert_rate
from utils.data.chunks import Resampler

CHUNK = 0.05  # seconds of sound at a time
LOST = 2.0  # seconds without any sound, not even silence, after which the microphone counts as unplugged


def record(seconds: float, sample_rate: int) -> np.ndarray:
    """Record from the microphone at its own rate, and resample: (samples,) at `sample_rate` in Hz.

    Raises:
        InputError: the package sounddevice is not installed, or there is no microphone, or it is muted.
    """
    sounddevice = _sounddevice()
    try:
        rate = round(sounddevice.query_devices(kind="input")["default_samplerate"])
        clip = sounddevice.rec(round(seconds * rate), rate, channels=1, dtype="float32", blocking=True)[:, 0]
    except sounddevice.PortAudioError as error:
        raise InputError(f"could not record; is there a microphone? ({error})") from None
    if not clip.any():
        raise InputError("the microphone records only silence; is it muted?")
    return convert_rate(clip, rate, sample_rate)


def listen(sample_rate: int) -> Iterator[np.ndarray]:
    """Sound from the microphone as it arrives: chunks (samples,) at `sample_rate` in Hz, without end.

    The microphone is opened at its own rate with up to two channels, which are averaged. The digital silence that some
    sound cards start with is left out.

    Raises:
        InputError: the package sounddevice is not installed, there is no microphone, or it is unplugged.
    """
    sounddevice = _sounddevice()
    chunks: queue.Queue[np.ndarray] = queue.Queue()
    try:
        device = sounddevice.query_devices(kind="input")
        rate, channels = round(device["default_samplerate"]), min(device["max_input_channels"], 2)
        stream = sounddevice.InputStream(
            rate,
            round(CHUNK * rate),
            channels=channels,
            dtype="float32",
            callback=lambda sound, *_: chunks.put(sound.mean(1)),
        )
    except sounddevice.PortAudioError as error:
        raise InputError(f"could not listen; is there a microphone? ({error})") from None
    resampler, started = Resampler(rate, sample_rate), False
    try:
        stream.start()
        while True:
            chunk = chunks.get(timeout=LOST)
            started = started or bool(chunk.any())
            if started:
                yield resampler.push(chunk)
    except sounddevice.PortAudioError as error:
        raise InputError(f"could not listen; is another program using the microphone? ({error})") from None
    except queue.Empty:
        raise InputError("the microphone gives no sound any more; was it unplugged?") from None
    finally:
        stream.close(ignore_errors=True)


def _sounddevice():
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: the package is installed, but the library PortAudio is not
        raise InputError(f"recording needs sounddevice ({error}): `pip install sounddevice`") from None
    return sounddevice
