"""Audio fingerprints: copies of a recording are found by content, whatever their format, level or place in the file.

After Haitsma and Kalker, "A Highly Robust Audio Fingerprinting System" (ISMIR 2002). The power of each frame is summed
in 33 bands. Each of its 32 bits says whether the difference between two neighbouring bands grew since the frame before.
Codecs, resampling, gain and weak noise change few bits, and frames overlap so much that a shift changes few either. Two
clips are compared where a frame of the one equals a frame of the other, but for its weakest bits. They are copies
(`near_duplicates`) if few of all bits differ.

Two things differ from the paper, because a clip holds one word instead of three seconds of music. Frames are 128 ms
long, not 370 ms, and those without speech are ignored. And the share of differing bits is at most `MAX_BIT_ERRORS`
instead of 0.35, because two utterances of a word by the same speaker resemble each other more than two songs do. What
is found and what is not was measured in docs/checking_data.md: a change of speed or pitch, for example, is not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy.fft import rfft  # in half the time of NumPy's

RATE = 8000  # Hz, of the waveforms
FRAME, HOP = 1024, 64  # samples: 128 ms, every 8 ms
LOWEST, HIGHEST, BITS = 300.0, 3000.0, 32  # Hz; telephones and codecs keep these frequencies
SPEECH_DB = 30.0  # frames this far below the loudest one of the clip are ignored
WEAK_BITS = 3  # bits of a frame that may be wrong when it is looked up; all their combinations are tried
MAX_BIT_ERRORS = 0.15  # share of differing bits, at most, in copies
MIN_FRAMES, MIN_OVERLAP = 12, 0.6  # frames of speech that two copies share: in number, and of those of the shorter one
CHUNK = 2**21  # pairs of equal frames that are compared at a time

_EDGES = np.searchsorted(np.fft.rfftfreq(FRAME, 1 / RATE), np.geomspace(LOWEST, HIGHEST, BITS + 2))
_WINDOW = np.hanning(FRAME).astype(np.float32)


@dataclass(frozen=True)
class Fingerprint:
    """The fingerprint of a clip.

    Attributes:
        words: (frames,) uint32, the bits of each frame.
        weak: (frames, WEAK_BITS) uint32, of each frame, the bits that are most likely to be wrong.
        speech: (frames,) bool, whether the frame is loud enough to be compared.
    """

    words: np.ndarray
    weak: np.ndarray
    speech: np.ndarray


@dataclass(frozen=True)
class Duplicate:
    """Two clips with the same recording: their places in the sequence, `first` < `second`.

    Attributes:
        bit_errors: the share of bits that differ, from 0 to `MAX_BIT_ERRORS`.
        shift: how much later the recording begins in `second`, in seconds.
    """

    first: int
    second: int
    bit_errors: float
    shift: float


def fingerprint(waveform: np.ndarray) -> Fingerprint:
    """The fingerprint of a waveform (samples,) at 8 kHz (`RATE`). A silent one has no speech frames."""
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(waveform, FRAME // 2), FRAME)[::HOP] * _WINDOW
    spectrum = rfft(frames, axis=1)
    power = np.add.reduceat(spectrum.real**2 + spectrum.imag**2, _EDGES, axis=1)[:, : BITS + 1]
    change = np.diff(power[:, :-1] - power[:, 1:], axis=0)
    values = np.left_shift(np.uint32(1), np.arange(BITS, dtype=np.uint32))
    energy = power[1:].sum(1)
    weakest = np.argpartition(np.abs(change), WEAK_BITS, axis=1)[:, :WEAK_BITS]
    return Fingerprint(
        words=np.where(change > 0, values, np.uint32(0)).sum(1, dtype=np.uint32),
        weak=values[weakest],
        speech=(energy > 0) & (energy >= energy.max(initial=0.0) * 10 ** (-SPEECH_DB / 10)),
    )


def near_duplicates(clips: Sequence[Fingerprint]) -> list[Duplicate]:
    """All pairs of clips with the same recording, those that resemble each other most first.

    The time and memory needed grow with the number of frames and of pairs found, not with the square of the clips.
    """
    owner = np.repeat(np.arange(len(clips)), [clip.speech.sum() for clip in clips])
    if not len(owner):
        return []
    words = np.concatenate([clip.words[clip.speech] for clip in clips])
    weak = np.concatenate([clip.weak[clip.speech] for clip in clips])
    frame = np.concatenate([np.flatnonzero(clip.speech) for clip in clips])
    order = np.argsort(words, kind="stable")
    owner, words, weak, frame = owner[order], words[order], weak[order], frame[order]
    best: dict[tuple[int, int], Duplicate] = {}
    for flips in product((False, True), repeat=WEAK_BITS):
        wanted = words ^ np.where(flips, weak, np.uint32(0)).sum(1, dtype=np.uint32)
        start, end = np.searchsorted(words, wanted, "left"), np.searchsorted(words, wanted, "right")
        for one, other in _matches(start, end):
            differ = owner[one] != owner[other]
            one, other = one[differ], other[differ]
            swap = owner[one] > owner[other]
            first, second = np.where(swap, other, one), np.where(swap, one, other)
            places = np.stack([owner[first], owner[second], frame[second] - frame[first]], axis=1)
            for i, j, lag in np.unique(places, axis=0).tolist():
                errors = bit_errors(clips[i], clips[j], lag)
                if errors <= MAX_BIT_ERRORS and ((i, j) not in best or errors < best[i, j].bit_errors):
                    best[i, j] = Duplicate(i, j, errors, lag * HOP / RATE)
    return sorted(best.values(), key=lambda pair: (pair.bit_errors, pair.first, pair.second))


def bit_errors(first: Fingerprint, second: Fingerprint, lag: int) -> float:
    """The share of bits that differ if `second` lags behind by this many frames; 1 if the clips overlap too little."""
    a, b = max(0, -lag), max(0, lag)
    length = min(len(first.words) - a, len(second.words) - b)
    both = first.speech[a : a + length] & second.speech[b : b + length]
    compared = np.count_nonzero(both)
    if compared < max(MIN_FRAMES, MIN_OVERLAP * min(first.speech.sum(), second.speech.sum())):
        return 1.0
    wrong = np.bitwise_count(first.words[a : a + length] ^ second.words[b : b + length])
    return float(wrong[both].sum() / (BITS * compared))


def _matches(start: np.ndarray, end: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs (i, j) with start[i] <= j < end[i], as two arrays, in chunks."""
    counts = end - start
    for part in np.split(np.arange(len(counts)), np.flatnonzero(np.diff(np.cumsum(counts) // CHUNK)) + 1):
        one = np.repeat(part, counts[part])
        within = np.arange(len(one)) - np.repeat(np.cumsum(counts[part]) - counts[part], counts[part])
        yield one, start[one] + within
