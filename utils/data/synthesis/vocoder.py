"""The WORLD vocoder: it changes the pace and the pitch of a voice and keeps its formants."""

import numpy as np

from utils import InputError

FRAME = 5.0  # between two frames of the analysis, in ms


def revoice(waveform: np.ndarray, sample_rate: int, *, rate: float = 1.0, pitch: float = 1.0) -> np.ndarray:
    """Speed speech up or down and raise or lower its pitch, one independently of the other.

    M. Morise, F. Yokomori, K. Ozawa: WORLD: a vocoder-based high-quality speech synthesis system for real-time
    applications. IEICE Transactions on Information and Systems, 2016.

    Args:
        waveform: shape (samples,).
        sample_rate: in Hz.
        rate: 2 makes it half as long.
        pitch: 2 makes it an octave higher.

    Returns:
        float64 samples, shape (about samples / rate,).

    Raises:
        InputError: pyworld is not installed.
    """
    try:
        import pyworld
    except ImportError:
        raise InputError("changing the pace or pitch of this voice needs pyworld: pip install pyworld==0.3.5") from None
    waveform = np.ascontiguousarray(waveform, dtype=np.float64)
    f0, times = pyworld.harvest(waveform, sample_rate, frame_period=FRAME)
    envelope = pyworld.cheaptrick(waveform, f0, times, sample_rate)
    aperiodicity = pyworld.d4c(waveform, f0, times, sample_rate)
    return pyworld.synthesize(f0 * pitch, envelope, aperiodicity, sample_rate, frame_period=FRAME / rate)
