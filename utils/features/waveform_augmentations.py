"""Augmentations of waveforms. Each changes a whole batch, with its own strength for every clip.

They take waveforms (batch, samples), zero after the end of each clip, and the lengths (batch,) in samples, and return
the same.
"""

import math

import torch
import torch.nn.functional as F
import torchaudio
from torch import Tensor

from utils.features.log_mel import Padded, fast_length, valid_frames

STEPS = 20  # speed and pitch factors are rounded to 1/20, so that resampling is by a ratio of small integers


def change_gain(waveforms: Tensor, lengths: Tensor, gain_db: Tensor) -> Padded:
    """Make the clips louder or softer by `gain_db` (batch,) dB."""
    return waveforms * 10 ** (gain_db.unsqueeze(1) / 20), lengths


def add_noise(waveforms: Tensor, lengths: Tensor, snr_db: Tensor, slope: Tensor, generator: torch.Generator) -> Padded:
    """Add noise of the `slope` (batch,) (see `power_law_noise`), `snr_db` (batch,) dB below the whole clip's mean."""
    noise = power_law_noise(slope, waveforms.shape[1], generator) * valid_frames(lengths, waveforms.shape[1])
    power = waveforms.square().sum(1) / noise.square().sum(1).clamp_min(1e-12)  # the ratio of their energies
    return waveforms + noise * (power * 10 ** (-snr_db / 10)).sqrt().unsqueeze(1), lengths


def power_law_noise(slope: Tensor, samples: int, generator: torch.Generator) -> Tensor:
    """Gaussian noise (clips, samples) whose power falls as 1/f^slope: `slope` (clips,) 0 white, 1 pink, 2 brown."""
    n = fast_length(samples)
    frequency = torch.arange(1, n // 2 + 2) / n
    spectrum = torch.randn(len(slope), n // 2 + 1, dtype=torch.cfloat, generator=generator)
    return torch.fft.irfft(spectrum * frequency ** (-slope.unsqueeze(1) / 2), n)[:, :samples]


def equalise(waveforms: Tensor, lengths: Tensor, bands_db: Tensor) -> Padded:
    """Change the frequency response, as another microphone or room would, by a smooth zero-phase filter.

    `bands_db` (batch, bands) are its gains at equally spaced frequencies from 0 to half the sample rate.
    """
    n = fast_length(waveforms.shape[1] + 256)  # room for the filter to ring without wrapping around
    spectrum = torch.fft.rfft(waveforms, n)
    curve = F.interpolate(bands_db.unsqueeze(1), spectrum.shape[1], mode="linear", align_corners=True).squeeze(1)
    filtered = torch.fft.irfft(spectrum * 10 ** (curve / 20), n)[:, : waveforms.shape[1]]
    return filtered * valid_frames(lengths, waveforms.shape[1]), lengths


def change_speed(waveforms: Tensor, lengths: Tensor, factor: Tensor) -> Padded:
    """Play faster or slower: divide the duration by `factor` (batch,), multiply the pitch and the formants by it."""
    steps = (factor * STEPS).round().int()
    return _by_value(steps, waveforms, lengths, _resample)


def shift_pitch(waveforms: Tensor, lengths: Tensor, factor: Tensor) -> Padded:
    """Multiply the pitch and the formants by `factor` (batch,), keep the duration: a phase vocoder, then resampling."""
    steps = (factor * STEPS).round().int()

    def shift(clips: Tensor, lengths: Tensor, step: int) -> Padded:
        stretched = _vocode(clips, STEPS / step)
        shifted, _ = _resample(stretched, lengths, step)
        shifted = F.pad(shifted, (0, max(0, clips.shape[1] - shifted.shape[1])))[:, : clips.shape[1]]
        return shifted * valid_frames(lengths, clips.shape[1]), lengths

    return _by_value(steps, waveforms, lengths, shift)


def _by_value(steps: Tensor, waveforms: Tensor, lengths: Tensor, change) -> Padded:
    """Apply `change(clips, lengths, step)` to all clips that have the same step. A factor of 1 changes nothing."""
    parts = []
    for step in steps.unique().tolist():
        rows = (steps == step).nonzero().squeeze(1)
        clips = waveforms[rows], lengths[rows]
        parts.append((rows, *(clips if step == STEPS else change(*clips, step))))
    result = waveforms.new_zeros(len(waveforms), max(clips.shape[1] for _, clips, _ in parts))
    new_lengths = lengths.clone()
    for rows, clips, changed in parts:
        result[rows, : clips.shape[1]] = clips
        new_lengths[rows] = changed
    return result[:, : int(new_lengths.max())], new_lengths


def _resample(waveforms: Tensor, lengths: Tensor, step: int) -> Padded:
    changed = torchaudio.functional.resample(waveforms, step, STEPS)
    return changed, (lengths * STEPS / step).ceil().long().clamp_max(changed.shape[1])


def _vocode(waveforms: Tensor, rate: float) -> Tensor:
    """Divide the duration by `rate`, keep the pitch (phase vocoder, Flanagan and Golden 1966)."""
    n_fft = 256
    window = torch.hann_window(n_fft)
    spectrum = torch.stft(waveforms, n_fft, n_fft // 4, window=window, pad_mode="constant", return_complex=True)
    advance = torch.linspace(0, math.pi * n_fft / 4, n_fft // 2 + 1).unsqueeze(1)
    spectrum = torchaudio.functional.phase_vocoder(spectrum, rate, advance)
    length = round(waveforms.shape[1] / rate)
    return torch.istft(spectrum, n_fft, n_fft // 4, window=window, length=length)
