"""What is measured of each clip: level, clipping, DC offset, words, the fingerprint, and features for the models."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from model_baseline.linear import pool
from utils.data.audio import convert_rate, read_recording
from utils.data.audio_fingerprints import RATE, Fingerprint, fingerprint
from utils.features.extraction import extract
from utils.features.log_mel import FeatureConfig
from utils.inference.endpointing import find_words

FEATURES = FeatureConfig(sample_rate=RATE, n_mels=20)
SEGMENTS = 5  # of the fixed-size view that the linear model sees
HALF_BIT = 2e-5  # samples this close to the extreme one are equal to it (16 bits)
PLATEAU = 3  # equal samples in a row that count as clipped


@dataclass(frozen=True)
class Measures:
    """Measures of one clip.

    Attributes:
        rate: sample rate of the file, in Hz.
        seconds: duration.
        peak: the largest absolute sample; 1 is full scale.
        level_db: RMS level within the words (or of the whole clip, if it has none), in dB re full scale.
        dc: mean of the samples; 1 is full scale.
        clipped: share of the samples that lie on a plateau at the highest or lowest value of the clip.
        words: start and end of each word that the endpointing finds, in seconds.
        word_levels_db: RMS level of each word.
        range_db: how far the loudest frame is above the quiet ones.
        fingerprint: for finding copies.
        view: (SEGMENTS, mels), the features pooled in time, for the linear model.
        voice: (3 mels,), means and deviations of the features over time, for comparing speakers.
    """

    rate: int
    seconds: float
    peak: float
    level_db: float
    dc: float
    clipped: float
    words: tuple[tuple[float, float], ...]
    word_levels_db: tuple[float, ...]
    range_db: float
    fingerprint: Fingerprint = field(repr=False)
    view: Tensor = field(repr=False)
    voice: np.ndarray = field(repr=False)


def measure(path: str) -> Measures:
    """Measure a clip. Raises `InputError` if it cannot be read (see `read_audio`)."""
    waveform, rate = read_recording(path)
    dc = waveform.mean(dtype=np.float64)
    centred = (waveform - dc).astype(np.float32)  # an offset would hide the pauses
    narrow = convert_rate(waveform, rate, RATE)
    # endpointing needs frequencies that a lower rate does not have
    signal, signal_rate = (centred, rate) if rate >= RATE else (narrow - np.float32(dc), RATE)
    words = find_words(signal, signal_rate)
    speech = np.concatenate([signal[start:end] for start, end in words]) if words else centred
    (features,) = extract([narrow], FEATURES)
    return Measures(
        rate=rate,
        seconds=len(waveform) / rate,
        peak=float(np.abs(waveform).max()),
        level_db=_level_db(speech),
        dc=float(dc),
        clipped=clipped_share(waveform),
        words=tuple((start / signal_rate, end / signal_rate) for start, end in words),
        word_levels_db=tuple(_level_db(signal[start:end]) for start, end in words),
        range_db=_range_db(centred, rate),
        fingerprint=fingerprint(narrow),
        view=pool(features.unsqueeze(0), torch.tensor([len(features)]), SEGMENTS)[0],
        voice=_voice(features.numpy()),
    )


def clipped_share(waveform: np.ndarray) -> float:
    """The share of samples in plateaus of `PLATEAU` or more at the highest or the lowest value of the clip."""
    total = 0
    for signed in (waveform, -waveform):
        top = signed.max()
        if top <= 0.1:  # so quiet that rounding makes plateaus
            continue
        edges = np.flatnonzero(np.diff(np.concatenate([[False], signed >= top - HALF_BIT, [False]]).astype(np.int8)))
        runs = edges[1::2] - edges[::2]
        total += int(runs[runs >= PLATEAU].sum())
    return total / len(waveform)


def _level_db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.square(samples, dtype=np.float64).mean() + 1e-12))


def _range_db(waveform: np.ndarray, rate: int) -> float:
    """The level of the loudest 25 ms above that of the quiet tenth, in dB."""
    frame = max(1, round(0.025 * rate))
    frames = waveform[: len(waveform) // frame * frame].reshape(-1, frame)
    if len(frames) < 2:
        return 0.0
    levels = 10 * np.log10(np.square(frames).mean(1) + 1e-10)
    return float(levels.max() - np.quantile(levels, 0.1))


def _voice(features: np.ndarray) -> np.ndarray:
    """Features (frames, mels) to their means and deviations over time and the deviations of their changes (3 mels,)."""
    changes = np.diff(features, axis=0) if len(features) > 1 else np.zeros_like(features)
    return np.concatenate([features.mean(0), features.std(0), changes.std(0)])
