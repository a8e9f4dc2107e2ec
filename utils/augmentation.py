"""Augmentations: one recorded voice becomes many.

Each is a function of a whole batch with a strength per clip, so that a student can try it on one clip; `Augmenter`
draws the strengths and applies them in order. Waveform functions take (batch, samples) and spectrogram functions
(batch, frames, mels), both with lengths (batch,), and return the same.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
import torchaudio
from torch import Tensor

from utils.features import FeatureConfig, LogMel, valid_frames

Batch = tuple[Tensor, Tensor]
STEPS = 20  # speed and pitch factors are multiples of 1/20, so that resampling is by small whole numbers


# Waveforms -----------------------------------------------------------------------------------------------------------


def change_gain(waveforms: Tensor, lengths: Tensor, gain_db: Tensor) -> Batch:
    """Louder or softer by `gain_db` (batch,) dB."""
    return waveforms * 10 ** (gain_db.unsqueeze(1) / 20), lengths


def add_noise(waveforms: Tensor, lengths: Tensor, snr_db: Tensor, slope: Tensor, generator: torch.Generator) -> Batch:
    """Add Gaussian noise at a signal-to-noise ratio of `snr_db` (batch,) dB over the clip.

    `slope` (batch,) is the noise's colour: its power falls as 1/f^slope (0 white, 1 pink, 2 brown).
    """
    n = _fast_length(waveforms.shape[1])
    frequency = torch.arange(1, n // 2 + 2) / n
    spectrum = torch.randn(len(waveforms), n // 2 + 1, dtype=torch.cfloat, generator=generator)
    noise = torch.fft.irfft(spectrum * frequency ** (-slope.unsqueeze(1) / 2), n)[:, : waveforms.shape[1]]
    noise = noise * valid_frames(lengths, waveforms.shape[1])
    power = waveforms.square().sum(1) / noise.square().sum(1).clamp_min(1e-12)  # both over the same samples
    return waveforms + noise * (power * 10 ** (-snr_db / 10)).sqrt().unsqueeze(1), lengths


def equalise(waveforms: Tensor, lengths: Tensor, bands_db: Tensor) -> Batch:
    """Another microphone, another room: a smooth zero-phase filter.

    `bands_db` (batch, bands) are gains at equally spaced frequencies from 0 to half the sample rate.
    """
    n = _fast_length(waveforms.shape[1] + 256)  # room for the filter's ringing, so that it does not wrap around
    spectrum = torch.fft.rfft(waveforms, n)
    curve = F.interpolate(bands_db.unsqueeze(1), spectrum.shape[1], mode="linear", align_corners=True).squeeze(1)
    filtered = torch.fft.irfft(spectrum * 10 ** (curve / 20), n)[:, : waveforms.shape[1]]
    return filtered * valid_frames(lengths, waveforms.shape[1]), lengths


def _fast_length(samples: int) -> int:
    """The next power of two: Fourier transforms of other lengths can take several times as long."""
    return 1 << (samples - 1).bit_length()


def change_speed(waveforms: Tensor, lengths: Tensor, factor: Tensor) -> Batch:
    """Play faster: duration divided, pitch and formants multiplied by `factor` (batch,), to the nearest 1/20."""
    steps = (factor * STEPS).round().int()
    return _by_value(steps, waveforms, lengths, _resample)


def shift_pitch(waveforms: Tensor, lengths: Tensor, factor: Tensor) -> Batch:
    """Pitch and formants multiplied by `factor` (batch,), duration kept: a phase vocoder, then resampling."""
    steps = (factor * STEPS).round().int()

    def shift(clips: Tensor, lengths: Tensor, step: int) -> Batch:
        longer, _ = _vocode(clips, lengths, STEPS / step)
        shifted, _ = _resample(longer, lengths, step)
        shifted = F.pad(shifted, (0, max(0, clips.shape[1] - shifted.shape[1])))[:, : clips.shape[1]]
        return shifted * valid_frames(lengths, clips.shape[1]), lengths

    return _by_value(steps, waveforms, lengths, shift)


def _by_value(steps: Tensor, waveforms: Tensor, lengths: Tensor, change) -> Batch:
    """Apply `change(clips, lengths, step)` to the clips of each step together; a step of 1/1 changes nothing."""
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


def _resample(waveforms: Tensor, lengths: Tensor, step: int) -> Batch:
    changed = torchaudio.functional.resample(waveforms, step, STEPS)
    return changed, (lengths * STEPS / step).ceil().long().clamp_max(changed.shape[1])


def _vocode(waveforms: Tensor, lengths: Tensor, rate: float, n_fft: int = 256) -> Batch:
    """Duration divided by `rate`, pitch kept (phase vocoder, Flanagan and Golden 1966)."""
    window = torch.hann_window(n_fft)
    spectrum = torch.stft(waveforms, n_fft, n_fft // 4, window=window, pad_mode="constant", return_complex=True)
    advance = torch.linspace(0, math.pi * n_fft / 4, n_fft // 2 + 1).unsqueeze(1)
    spectrum = torchaudio.functional.phase_vocoder(spectrum, rate, advance)
    length = round(waveforms.shape[1] / rate)
    return torch.istft(spectrum, n_fft, n_fft // 4, window=window, length=length), (lengths / rate).round().long()


# Spectrograms --------------------------------------------------------------------------------------------------------


def stretch_time(features: Tensor, frames: Tensor, factor: Tensor, floor: float) -> Batch:
    """Speak slower: duration multiplied by `factor` (batch,), pitch and formants kept; linear between frames."""
    longer = (frames * factor).round().long().clamp_min(1)
    position = torch.arange(int(longer.max())) / factor.unsqueeze(1)  # (batch, new frames), in old frames
    position = position.minimum((frames - 1).unsqueeze(1))
    stretched = _interpolate(features, position)
    return stretched.masked_fill(~valid_frames(longer, stretched.shape[1]).unsqueeze(-1), floor), longer


def warp_frequency(features: Tensor, frames: Tensor, factor: Tensor, config: FeatureConfig) -> Batch:
    """Another length of the vocal tract: all frequencies multiplied by `factor` (batch,).

    Vocal tract length perturbation (Jaitly and Hinton 2013), eq. 1: linear up to a knee, then bent so that the
    highest frequency stays. Done on the log-mel bands, linear between them.
    """
    centres = _mel_to_hz(
        torch.linspace(*_hz_to_mel(torch.tensor([config.f_min, config.f_max])), config.n_mels + 2)[1:-1]
    )
    factor = factor.unsqueeze(1)
    knee = 0.8 * config.f_max * factor.clamp_max(1.0)  # in warped frequency
    slope = (config.f_max - knee) / (config.f_max - knee / factor)
    source = torch.where(centres <= knee, centres / factor, config.f_max - (config.f_max - centres) / slope)
    mels = _hz_to_mel(source)
    low, high = _hz_to_mel(centres[:1]), _hz_to_mel(centres[-1:])
    position = ((mels - low) / (high - low)).clamp(0, 1) * (config.n_mels - 1)  # (batch, mels), in old bands
    return _interpolate(features.transpose(1, 2), position).transpose(1, 2), frames


def warp_time(features: Tensor, frames: Tensor, rates: Tensor) -> Batch:
    """Speak some parts of a word faster than others, in the same time altogether.

    `rates` (batch, knots) are the relative speeds, positive, at equally spaced moments, linear between them.
    """
    rate = F.interpolate(rates.unsqueeze(1), 128, mode="linear", align_corners=True).squeeze(1)
    passed = F.pad(rate.cumsum(1), (1, 0)) / rate.sum(1, keepdim=True)  # share of the old clip over the new one
    position = _interpolate(passed.unsqueeze(2), _progress(features, frames) * 128).squeeze(2)
    warped = _interpolate(features, position * (frames - 1).unsqueeze(1))
    inside = valid_frames(frames, features.shape[1]).unsqueeze(2)
    return torch.where(inside, warped, features), frames


def shift_bands(features: Tensor, frames: Tensor, shifts: Tensor) -> Batch:
    """Another accent, another mouth: each region of the spectrum moves up or down by itself.

    `shifts` (batch, knots) are in mel bands, at equally spaced bands, linear between them.
    """
    bands = features.shape[2]
    shift = F.interpolate(shifts.unsqueeze(1), bands, mode="linear", align_corners=True).squeeze(1)
    position = (torch.arange(bands) - shift).clamp(0, bands - 1)
    return _interpolate(features.transpose(1, 2), position).transpose(1, 2), frames


def tint(features: Tensor, frames: Tensor, gains: Tensor, floor: float) -> Batch:
    """Stress and timbre: a gain that varies smoothly over time and frequency; silence stays at the floor.

    `gains` (batch, moments, regions), in units of the features, at equally spaced points, linear between them.
    """
    gain = _interpolate(gains, _progress(features, frames) * (gains.shape[1] - 1))  # (batch, frames, regions)
    gain = F.interpolate(gain, features.shape[2], mode="linear", align_corners=True)
    return torch.where(features > floor, (features + gain).clamp_min(floor), features), frames


def gate(features: Tensor, frames: Tensor, margin: Tensor, floor: float) -> Batch:
    """A recorder, or a call, that mutes what is quiet: the room's noise goes, and weak consonants with it.

    What lies below each band's own noise, the level that a tenth of the clip's frames do not reach, plus `margin`
    (batch,), in units of the features, falls to the floor.
    """
    inside = valid_frames(frames, features.shape[1]).unsqueeze(2)
    levels = features.masked_fill(~inside, torch.inf).sort(dim=1).values
    tenth = (frames // 10).view(-1, 1, 1).expand(-1, 1, features.shape[2])
    threshold = levels.gather(1, tenth) + margin.view(-1, 1, 1)
    return features.masked_fill(features <= threshold, floor), frames


def jitter_ends(features: Tensor, frames: Tensor, start: Tensor, end: Tensor, floor: float) -> Batch:
    """Cut `start` and `end` (batch,) frames off the ends, or add as many of silence where negative."""
    start, end = start.minimum(frames // 4), end.minimum(frames // 4)  # never more than half a clip
    changed = frames - start - end
    index = start.unsqueeze(1) + torch.arange(int(changed.max()))  # (batch, new frames), in old frames
    inside = (index >= 0) & (index < frames.unsqueeze(1)) & valid_frames(changed, index.shape[1])
    index = index.clamp(0, features.shape[1] - 1).unsqueeze(-1).expand(-1, -1, features.shape[2])
    return features.gather(1, index).masked_fill(~inside.unsqueeze(-1), floor), changed


def mask_bands(features: Tensor, frames: Tensor, start: Tensor, width: Tensor, floor: float) -> Batch:
    """SpecAugment's frequency mask (Park et al. 2019): `width` (batch,) mels from `start` fall to the floor."""
    band = torch.arange(features.shape[2])
    masked = (band >= start.unsqueeze(1)) & (band < (start + width).unsqueeze(1))
    return features.masked_fill(masked.unsqueeze(1), floor), frames


def mask_frames(features: Tensor, frames: Tensor, start: Tensor, width: Tensor, floor: float) -> Batch:
    """SpecAugment's time mask (Park et al. 2019): `width` (batch,) frames from `start` fall to the floor."""
    frame = torch.arange(features.shape[1])
    masked = (frame >= start.unsqueeze(1)) & (frame < (start + width).unsqueeze(1))
    return features.masked_fill(masked.unsqueeze(2), floor), frames


# All of them ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AugmentationConfig:
    """How far each augmentation goes: a range that strengths are drawn from, evenly; null: not used."""

    gain_db: tuple[float, float] | None = None
    noise_snr_db: tuple[float, float] | None = None
    noise_share: float = 1.0  # of the clips that noise is added to
    equaliser_db: float | None = None  # largest gain or loss of a band
    speed: tuple[float, float] | None = None
    pitch: tuple[float, float] | None = None
    stretch: tuple[float, float] | None = None
    warp: tuple[float, float] | None = None
    warp_time: float | None = None  # parts of a clip are up to so much faster or slower (0.5: by half)
    shift_bands: float | None = None  # regions of the spectrum move up to so many mel bands
    tint_db: float | None = None  # largest gain or loss of a part of the clip in time and frequency
    gate_db: float | None = None  # half of the clips lose what is quiet, by a margin up to this
    jitter_frames: int | None = None  # at most so many frames cut from or added to either end
    mask_bands: int | None = None  # widest of two frequency masks, in mels
    mask_frames: int | None = None  # widest of two time masks, in frames; at most a fifth of the clip

    def __post_init__(self):
        for name in ("speed", "pitch", "stretch", "warp"):
            factors = getattr(self, name)
            if factors is not None and not 0.5 <= factors[0] <= factors[1] <= 2:
                raise ValueError(f"{name} is a range of factors within 0.5 and 2, not {factors}")
        if not 0 < self.noise_share <= 1:
            raise ValueError(
                f"noise_share is within 0 and 1, not {self.noise_share}; noise_snr_db: null takes noise away"
            )
        if self.warp_time is not None and not 0 < self.warp_time < 1:
            raise ValueError(f"warp_time is within 0 and 1, not {self.warp_time}")


class Augmenter:
    """Waveforms to augmented features: draws each clip's strengths and applies the augmentations in order.

    All chance comes from `generator`: the same generator state gives the same batch.
    """

    EQUALISER_BANDS = 6
    KNOTS = 5  # of what varies over a clip or over its bands
    MASKS = 2

    def __init__(self, config: AugmentationConfig, features: FeatureConfig, generator: torch.Generator):
        self.config = config
        self.front_end = LogMel(features)
        self.generator = generator

    def draw(self, low: float, high: float, *shape: int) -> Tensor:
        """Evenly distributed numbers between `low` and `high`."""
        return low + (high - low) * torch.rand(shape, generator=self.generator)

    def some(self, share: float, changed: Tensor, unchanged: Tensor) -> Tensor:
        """Clips (batch, ...) of which this share is changed, drawn clip by clip; a share of 1 draws nothing."""
        if share == 1:
            return changed
        return torch.where(self.draw(0, 1, len(changed), *[1] * (changed.ndim - 1)) < share, changed, unchanged)

    def __call__(self, waveforms: Tensor, lengths: Tensor) -> Batch:
        """Waveforms (batch, samples) with lengths (batch,) to features (batch, frames, mels) with frames (batch,)."""
        config, floor, n = self.config, self.front_end.config.floor, len(waveforms)
        if config.speed is not None:
            waveforms, lengths = change_speed(waveforms, lengths, self.draw(*config.speed, n))
        if config.pitch is not None:
            waveforms, lengths = shift_pitch(waveforms, lengths, self.draw(*config.pitch, n))
        if config.equaliser_db is not None:
            bands_db = self.draw(-config.equaliser_db, config.equaliser_db, n, self.EQUALISER_BANDS)
            waveforms, lengths = equalise(waveforms, lengths, bands_db)
        if config.noise_snr_db is not None:
            snr_db, slope = self.draw(*config.noise_snr_db, n), self.draw(0, 2, n)
            noisy, lengths = add_noise(waveforms, lengths, snr_db, slope, self.generator)
            waveforms = self.some(config.noise_share, noisy, waveforms)
        if config.gain_db is not None:
            waveforms, lengths = change_gain(waveforms, lengths, self.draw(*config.gain_db, n))

        features, frames = self.front_end(waveforms, lengths)

        if config.gate_db is not None:
            gated, _ = gate(features, frames, self.draw(0, config.gate_db / self.front_end.config.std_db, n), floor)
            features = self.some(0.5, gated, features)
        if config.stretch is not None:
            features, frames = stretch_time(features, frames, self.draw(*config.stretch, n), floor)
        if config.warp is not None:
            features, frames = warp_frequency(features, frames, self.draw(*config.warp, n), self.front_end.config)
        if config.warp_time is not None:
            rates = self.draw(1 - config.warp_time, 1 + config.warp_time, n, self.KNOTS)
            features, frames = warp_time(features, frames, rates)
        if config.shift_bands is not None:
            shifts = self.draw(-config.shift_bands, config.shift_bands, n, self.KNOTS)
            features, frames = shift_bands(features, frames, shifts)
        if config.tint_db is not None:
            gains_db = self.draw(-config.tint_db, config.tint_db, n, self.KNOTS, self.KNOTS)
            features, frames = tint(features, frames, gains_db / self.front_end.config.std_db, floor)
        if config.jitter_frames is not None:
            start, end = self.draw(-config.jitter_frames, config.jitter_frames, 2, n).round().long()
            features, frames = jitter_ends(features, frames, start, end, floor)
        for _ in range(self.MASKS if config.mask_bands is not None else 0):
            width = self.draw(0, config.mask_bands, n).round()
            start = self.draw(0, 1, n) * (features.shape[2] - width)
            features, frames = mask_bands(features, frames, start.round(), width, floor)
        for _ in range(self.MASKS if config.mask_frames is not None else 0):
            width = self.draw(0, config.mask_frames, n).round().minimum(frames // 5)
            start = self.draw(0, 1, n) * (frames - width)
            features, frames = mask_frames(features, frames, start.round(), width, floor)
        return features, frames


def _interpolate(features: Tensor, position: Tensor) -> Tensor:
    """Rows of (batch, rows, columns) at fractional `position` (batch, new rows)."""
    below = position.floor().long().clamp(0, features.shape[1] - 1)
    above = (below + 1).clamp_max(features.shape[1] - 1)
    weight = (position - below).unsqueeze(-1)
    columns = features.shape[2]
    low = features.gather(1, below.unsqueeze(-1).expand(-1, -1, columns))
    high = features.gather(1, above.unsqueeze(-1).expand(-1, -1, columns))
    return torch.lerp(low, high, weight.expand_as(low))


def _progress(features: Tensor, frames: Tensor) -> Tensor:
    """How far into its clip each frame lies, from 0 to 1 (batch, frames); 1 behind the end."""
    return (torch.arange(features.shape[1]) / (frames - 1).clamp_min(1).unsqueeze(1)).clamp_max(1)


def _hz_to_mel(hz: Tensor) -> Tensor:
    """Slaney's mel scale, as in the front end: linear below 1 kHz, logarithmic above."""
    return torch.where(hz < 1000, hz * 3 / 200, 15 + 27 * (hz.clamp_min(1) / 1000).log() / math.log(6.4))


def _mel_to_hz(mel: Tensor) -> Tensor:
    return torch.where(mel < 15, mel * 200 / 3, 1000 * ((mel - 15) * math.log(6.4) / 27).exp())
