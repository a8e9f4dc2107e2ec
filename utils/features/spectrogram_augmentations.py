"""Augmentations of log-mel spectrograms. Each changes a whole batch, with its own strength for every clip.

They take features (batch, frames, mels), at the floor after the end of each clip, and the lengths (batch,) in frames,
and return the same.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from utils.features.log_mel import FeatureConfig, Padded, valid_frames


def stretch_time(features: Tensor, frames: Tensor, factor: Tensor, floor: float) -> Padded:
    """Multiply the duration by `factor` (batch,): slower or faster speech of the same pitch and formants.

    Values between frames are interpolated linearly.
    """
    new_frames = (frames * factor).round().long().clamp_min(1)
    position = torch.arange(int(new_frames.max())) / factor.unsqueeze(1)  # (batch, new frames), in old frames
    position = position.minimum((frames - 1).unsqueeze(1))
    stretched = _interpolate(features, position)
    return stretched.masked_fill(~valid_frames(new_frames, stretched.shape[1]).unsqueeze(-1), floor), new_frames


def warp_frequency(features: Tensor, frames: Tensor, factor: Tensor, config: FeatureConfig) -> Padded:
    """Multiply all frequencies by `factor` (batch,), as a vocal tract of another length would.

    Vocal tract length perturbation (VTLP; Jaitly and Hinton 2013, eq. 1): linear up to a knee, then bent so that the
    highest frequency stays where it is. Values between mel bands are interpolated linearly.
    """
    lowest, highest = _hz_to_mel(torch.tensor([config.f_min, config.f_max]))
    centres = _mel_to_hz(torch.linspace(lowest, highest, config.n_mels + 2)[1:-1])
    factor = factor.unsqueeze(1)
    knee = 0.8 * config.f_max * factor.clamp_max(1.0)  # Hz, after warping
    slope = (config.f_max - knee) / (config.f_max - knee / factor)
    source = torch.where(centres <= knee, centres / factor, config.f_max - (config.f_max - centres) / slope)
    mels = _hz_to_mel(source)
    low, high = _hz_to_mel(centres[:1]), _hz_to_mel(centres[-1:])
    position = ((mels - low) / (high - low)).clamp(0, 1) * (config.n_mels - 1)  # (batch, mels), in old bands
    return _interpolate(features.transpose(1, 2), position).transpose(1, 2), frames


def warp_time(features: Tensor, frames: Tensor, rates: Tensor) -> Padded:
    """Speed up some parts of a clip and slow down others; the duration stays the same.

    `rates` (batch, knots) are relative speeds, positive, at equally spaced times; linear in between.
    """
    rate = F.interpolate(rates.unsqueeze(1), 128, mode="linear", align_corners=True).squeeze(1)
    elapsed = F.pad(rate.cumsum(1), (1, 0)) / rate.sum(1, keepdim=True)  # fraction of the old clip, over the new one
    position = _interpolate(elapsed.unsqueeze(2), _progress(features, frames) * 128).squeeze(2)
    warped = _interpolate(features, position * (frames - 1).unsqueeze(1))
    inside = valid_frames(frames, features.shape[1]).unsqueeze(2)
    return torch.where(inside, warped, features), frames


def shift_bands(features: Tensor, frames: Tensor, shifts: Tensor) -> Padded:
    """Move each region of the spectrum up or down by its own amount, as formants differ between speakers and accents.

    `shifts` (batch, knots) are in mel bands, at equally spaced bands; linear in between.
    """
    bands = features.shape[2]
    shift = F.interpolate(shifts.unsqueeze(1), bands, mode="linear", align_corners=True).squeeze(1)
    position = (torch.arange(bands) - shift).clamp(0, bands - 1)
    return _interpolate(features.transpose(1, 2), position).transpose(1, 2), frames


def tilt_spectrum(features: Tensor, frames: Tensor, gains: Tensor, floor: float) -> Padded:
    """Apply a gain that varies smoothly over time and frequency, as stress and timbre do: not only a spectral tilt.

    `gains` (batch, times, bands), drawn at random, are in units of the features, at equally spaced points; linear in
    between. Silence stays at the floor.
    """
    gain = _interpolate(gains, _progress(features, frames) * (gains.shape[1] - 1))  # (batch, frames, bands)
    gain = F.interpolate(gain, features.shape[2], mode="linear", align_corners=True)
    return torch.where(features > floor, (features + gain).clamp_min(floor), features), frames


def noise_gate(features: Tensor, frames: Tensor, margin: Tensor, floor: float) -> Padded:
    """Set quiet parts to the floor, as recorders and phone calls do: room noise is lost, and weak consonants too.

    The threshold of each band is its noise level, the 10th percentile over the clip's frames, plus `margin` (batch,) in
    units of the features.
    """
    inside = valid_frames(frames, features.shape[1]).unsqueeze(2)
    levels = features.masked_fill(~inside, torch.inf).sort(dim=1).values
    rank = (frames // 10).view(-1, 1, 1).expand(-1, 1, features.shape[2])
    threshold = levels.gather(1, rank) + margin.view(-1, 1, 1)
    return features.masked_fill(features <= threshold, floor), frames


def jitter_ends(features: Tensor, frames: Tensor, start: Tensor, end: Tensor, floor: float) -> Padded:
    """Cut `start` (batch,) frames off the start and `end` off the end, or add frames of silence where negative."""
    start, end = start.minimum(frames // 4), end.minimum(frames // 4)  # cut at most half of a clip
    new_frames = frames - start - end
    index = start.unsqueeze(1) + torch.arange(int(new_frames.max()))  # (batch, new frames), in old frames
    inside = (index >= 0) & (index < frames.unsqueeze(1)) & valid_frames(new_frames, index.shape[1])
    index = index.clamp(0, features.shape[1] - 1).unsqueeze(-1).expand(-1, -1, features.shape[2])
    return features.gather(1, index).masked_fill(~inside.unsqueeze(-1), floor), new_frames


def mask_bands(features: Tensor, frames: Tensor, start: Tensor, width: Tensor, floor: float) -> Padded:
    """SpecAugment's frequency mask (Park et al. 2019): set `width` (batch,) bands from `start` on to the floor."""
    band = torch.arange(features.shape[2])
    masked = (band >= start.unsqueeze(1)) & (band < (start + width).unsqueeze(1))
    return features.masked_fill(masked.unsqueeze(1), floor), frames


def mask_frames(features: Tensor, frames: Tensor, start: Tensor, width: Tensor, floor: float) -> Padded:
    """SpecAugment's time mask (Park et al. 2019): set `width` (batch,) frames from `start` on to the floor."""
    frame = torch.arange(features.shape[1])
    masked = (frame >= start.unsqueeze(1)) & (frame < (start + width).unsqueeze(1))
    return features.masked_fill(masked.unsqueeze(2), floor), frames


def _interpolate(features: Tensor, position: Tensor) -> Tensor:
    """Linear interpolation of features (batch, rows, columns) at fractional rows `position` (batch, new rows)."""
    below = position.floor().long().clamp(0, features.shape[1] - 1)
    above = (below + 1).clamp_max(features.shape[1] - 1)
    weight = (position - below).unsqueeze(-1)
    columns = features.shape[2]
    low = features.gather(1, below.unsqueeze(-1).expand(-1, -1, columns))
    high = features.gather(1, above.unsqueeze(-1).expand(-1, -1, columns))
    return torch.lerp(low, high, weight.expand_as(low))


def _progress(features: Tensor, frames: Tensor) -> Tensor:
    """The position of each frame in its clip, from 0 to 1 (batch, frames); 1 in the padding."""
    return (torch.arange(features.shape[1]) / (frames - 1).clamp_min(1).unsqueeze(1)).clamp_max(1)


def _hz_to_mel(hz: Tensor) -> Tensor:
    """Slaney's mel scale, which the front end uses: linear below 1 kHz, logarithmic above."""
    return torch.where(hz < 1000, hz * 3 / 200, 15 + 27 * (hz.clamp_min(1) / 1000).log() / math.log(6.4))


def _mel_to_hz(mel: Tensor) -> Tensor:
    return torch.where(mel < 15, mel * 200 / 3, 1000 * ((mel - 15) * math.log(6.4) / 27).exp())
