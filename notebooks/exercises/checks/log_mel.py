"""Exercise 1: a log-mel spectrogram by hand."""

from collections.abc import Callable
from dataclasses import replace

import librosa
import numpy as np

from notebooks.exercises.checks import array, near, require, right
from utils.features.extraction import extract
from utils.features.log_mel import FeatureConfig

Function = Callable[[np.ndarray], np.ndarray]
CONFIG = replace(FeatureConfig(), trim_db=None)
WINDOW = librosa.util.pad_center(librosa.filters.get_window("hann", CONFIG.win_length), size=CONFIG.n_fft)


def cut(answer: Function, waveform: np.ndarray) -> None:
    """Windows (frames, n_fft) of a waveform (samples,)."""
    hop, n_fft = CONFIG.hop_length, CONFIG.n_fft
    for samples in (len(waveform), 8 * hop, 8 * hop - 1, hop // 2):
        found = answer(waveform[:samples])
        require(
            found is None or np.ndim(found) != 2 or len(found) == 1 + samples // hop,
            f"{samples} samples give {np.shape(found)[0] if np.ndim(found) else 0} frames, not {1 + samples // hop}. "
            "Are there zeros at both ends, so that the first and last windows may reach beyond the clip?",
        )
        array(found, (1 + samples // hop, n_fft), "what `cut` returns")
    constant = array(answer(np.ones(20 * hop)), (21, n_fft), "what `cut` returns")
    require(
        near(constant[10], WINDOW), "a window of a constant waveform is not `window`: is each one multiplied by it?"
    )
    impulse = np.zeros(20 * hop)
    impulse[10 * hop] = 1.0
    at = int(np.abs(array(answer(impulse), (21, n_fft), "what `cut` returns")[10]).argmax())
    require(
        at == n_fft // 2,
        f"frame 10 has sample {10 * hop} of the clip at index {at} of its window, not in the middle, at {n_fft // 2}.",
    )
    require(
        not constant[0, : n_fft // 2].any(),
        "the first window is not zero before the clip begins: outside, a clip is taken to be zero.",
    )
    right("each frame is centred on its sample, and faded in and out.")


def power(answer: Function) -> None:
    """Power (frames, bins) of windows (frames, n_fft)."""
    n_fft = CONFIG.n_fft
    windows = np.random.default_rng(0).normal(size=(3, n_fft))
    found = array(answer(windows), (3, n_fft // 2 + 1), "what `power` returns")
    louder = array(answer(2 * windows), found.shape, "what `power` returns")
    require(
        not near(louder, 2 * found),
        "twice the amplitude gives twice your power; it should be four times. That is a magnitude, and power is its "
        "square.",
    )
    require(near(found, np.abs(np.fft.rfft(windows)) ** 2), "the values are not the squared magnitudes of `rfft`.")
    right("twice the amplitude is four times the power.")


def mel_filters(answer: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
    """Triangles (mels, bins) from their edges (mels + 2,) and the frequencies of the bins (bins,)."""
    edges, hertz = np.array([100.0, 200.0, 400.0, 800.0]), np.arange(0.0, 1001.0, 2.0)
    found = array(answer(edges, hertz), (2, len(hertz)), "what `mel_filters` returns")
    require(bool((found >= 0).all()), "some weights are negative: outside its triangle a filter is zero.")
    for row, low, peak, high in zip(found, edges, edges[1:], edges[2:], strict=False):
        inside = (hertz > low) & (hertz < high)
        require(
            bool((row[~inside] == 0).all() and (row[inside] > 0).all()),
            f"the triangle from {low:.0f} to {high:.0f} Hz should be positive exactly between these two.",
        )
        require(
            hertz[row.argmax()] == peak,
            f"the triangle from {low:.0f} to {high:.0f} Hz has its peak at {hertz[row.argmax()]:.0f} Hz, "
            f"not at {peak:.0f}.",
        )
    heights, areas = found.max(1), 2.0 * found.sum(1)
    require(not near(heights, np.ones(2)), "all triangles have the height 1. It is their area that should be 1.")
    areas_are = " and ".join(f"{area:.3f}" for area in areas)
    require(
        near(areas, np.ones(2), 1e-3),
        f"over frequency in Hz, two triangles have the areas {areas_are}; both should be 1.",
    )
    halfway = found[0, [75, 150]] / heights[0]
    require(near(halfway, np.full(2, 0.5)), "half-way up and down, a triangle should have half its height.")
    right("triangles between their edges, each of area 1.")


def decibels(answer: Function) -> None:
    """Levels in dB relative to the largest value."""
    mel = np.array([[1.0, 0.1], [0.01, 0.1]])
    found = array(answer(mel), (2, 2), "what `decibels` returns")
    expected = np.array([[0.0, -10.0], [-20.0, -10.0]])
    require(not near(found, 2 * expected), "a tenth of the power is -10 dB, not -20: it is amplitudes that take 20.")
    require(not near(found, expected * np.log(10)), "a tenth of the power is -10 dB: the logarithm has the base 10.")
    louder = array(answer(100 * mel), (2, 2), "what `decibels` returns")
    require(
        near(louder, found), "a clip that is 20 dB louder gets other levels: divide by the clip's own largest value."
    )
    require(near(found, expected), f"the powers 1, 0.1 and 0.01 are {found.ravel()[:3]} dB, not 0, -10 and -20.")
    faint = array(answer(np.array([[1.0, 1e-9]])), (1, 2), "what `decibels` returns")
    require(
        near(faint, np.array([[0.0, -CONFIG.range_db]])),
        f"what is 90 dB below the peak is at {faint[0, 1]:.0f} dB; it should be raised to {-CONFIG.range_db:.0f}.",
    )
    with np.errstate(all="ignore"):
        silent = answer(np.zeros((2, 2)))
    require(
        bool(np.isfinite(silent).all()) and not np.any(silent),
        f"digital silence becomes {np.ravel(silent)[0]} dB; it should be 0 dB.",
    )
    right("0 dB is the clip's own peak, nothing is below the floor, and silence does no harm.")


def whole(answer: np.ndarray, waveform: np.ndarray) -> None:
    """Features (frames, mels) of a clip, against the project's front end."""
    (expected,) = extract([waveform.astype(np.float32)], CONFIG)
    difference = np.abs(array(answer, tuple(expected.shape), "`by_hand`") - expected.numpy()).max() * CONFIG.std_db
    require(difference < 0.01, f"your features differ from the project's by up to {difference:.3f} dB.")
    right("your front end is the project's.")
