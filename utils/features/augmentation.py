"""Augmentation: random changes to the training clips, so that a few voices stand in for many.

`Augmenter` draws the strength of each change for each clip. It applies `waveform_augmentations` before the front end
and `spectrogram_augmentations` after it, always in the same order.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from utils.features.log_mel import FeatureConfig, LogMel
from utils.features.spectrogram_augmentations import (
    jitter_ends,
    mask_bands,
    mask_frames,
    noise_gate,
    shift_bands,
    stretch_time,
    tilt_spectrum,
    warp_frequency,
    warp_time,
)
from utils.features.waveform_augmentations import add_noise, change_gain, change_speed, equalise, shift_pitch

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class AugmentationConfig:
    """How strong each augmentation is. Strengths are drawn uniformly; null turns an augmentation off.

    A pair is the range to draw from. A single number x stands for the range from -x to x, or from 0 to x for the noise
    gate and the masks.
    """

    gain_db: tuple[float, float] | None = None
    noise_snr_db: tuple[float, float] | None = None
    noise_probability: float = 1.0  # the probability that noise is added to a clip
    equaliser_db: float | None = None  # of each of six frequency bands
    speed: tuple[float, float] | None = None  # factor of the tempo, the pitch and the formants together
    pitch: tuple[float, float] | None = None  # factor of the pitch and the formants; the duration stays
    stretch: tuple[float, float] | None = None  # factor of the duration; the pitch stays
    vtlp: tuple[float, float] | None = None  # factor of the frequencies: vocal tract length perturbation
    warp_time: float | None = None  # local change of tempo (0.5: up to 50 % faster or slower)
    shift_bands: float | None = None  # shift of a region of the spectrum, in mel bands
    spectral_tilt_db: float | None = None  # gain that varies smoothly over time and frequency
    noise_gate_db: float | None = None  # margin of the gate above the noise; applied to half of the clips
    jitter_frames: int | None = None  # frames cut from or added to each end
    mask_bands: int | None = None  # width of each of two frequency masks, in mel bands
    mask_frames: int | None = None  # width of each of two time masks, in frames; at most a fifth of the clip

    def __post_init__(self):
        for name in ("speed", "pitch", "stretch", "vtlp"):
            factors = getattr(self, name)
            if factors is not None and not 0.5 <= factors[0] <= factors[1] <= 2:
                raise ValueError(f"{name} must be a range of factors between 0.5 and 2, not {factors}")
        if not 0 < self.noise_probability <= 1:
            raise ValueError(
                f"noise_probability must be above 0 and at most 1, not {self.noise_probability}; "
                "to add no noise, set noise_snr_db: null"
            )
        if self.warp_time is not None and not 0 < self.warp_time < 1:
            raise ValueError(f"warp_time must be between 0 and 1, not {self.warp_time}")


class Augmenter:
    """Turns waveforms into augmented features.

    All random numbers come from `generator`: from the same state it makes the same batch.
    """

    EQUALISER_BANDS = 6
    KNOTS = 5  # points between which a strength that varies over time or frequency is interpolated
    MASKS = 2

    def __init__(self, config: AugmentationConfig, features: FeatureConfig, generator: torch.Generator):
        self.config = config
        self.front_end = LogMel(features)
        self.generator = generator

    def draw(self, low: float, high: float, *shape: int) -> Tensor:
        """Uniform random numbers between `low` and `high`."""
        return low + (high - low) * torch.rand(shape, generator=self.generator)

    def choose(self, probability: float, changed: Tensor, unchanged: Tensor) -> Tensor:
        """Take each clip (batch, ...) from `changed` with this probability, otherwise from `unchanged`."""
        if probability == 1:
            return changed
        return torch.where(self.draw(0, 1, len(changed), *[1] * (changed.ndim - 1)) < probability, changed, unchanged)

    def __call__(self, waveforms: Tensor, lengths: Tensor) -> Batch:
        """Waveforms (batch, samples) with lengths (batch,) to features (batch, frames, mels) with lengths in frames."""
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
            waveforms = self.choose(config.noise_probability, noisy, waveforms)
        if config.gain_db is not None:
            waveforms, lengths = change_gain(waveforms, lengths, self.draw(*config.gain_db, n))

        features, frames = self.front_end(waveforms, lengths)

        if config.noise_gate_db is not None:
            margin = self.draw(0, config.noise_gate_db / self.front_end.config.std_db, n)
            gated, _ = noise_gate(features, frames, margin, floor)
            features = self.choose(0.5, gated, features)
        if config.stretch is not None:
            features, frames = stretch_time(features, frames, self.draw(*config.stretch, n), floor)
        if config.vtlp is not None:
            features, frames = warp_frequency(features, frames, self.draw(*config.vtlp, n), self.front_end.config)
        if config.warp_time is not None:
            rates = self.draw(1 - config.warp_time, 1 + config.warp_time, n, self.KNOTS)
            features, frames = warp_time(features, frames, rates)
        if config.shift_bands is not None:
            shifts = self.draw(-config.shift_bands, config.shift_bands, n, self.KNOTS)
            features, frames = shift_bands(features, frames, shifts)
        if config.spectral_tilt_db is not None:
            gains_db = self.draw(-config.spectral_tilt_db, config.spectral_tilt_db, n, self.KNOTS, self.KNOTS)
            features, frames = tilt_spectrum(features, frames, gains_db / self.front_end.config.std_db, floor)
        if config.jitter_frames is not None:
            start, end = self.draw(-config.jitter_frames, config.jitter_frames, 2, n).round().long()
            features, frames = jitter_ends(features, frames, start, end, floor)
        if config.mask_bands is not None:
            for _ in range(self.MASKS):
                width = self.draw(0, config.mask_bands, n).round()
                start = self.draw(0, 1, n) * (features.shape[2] - width)
                features, frames = mask_bands(features, frames, start.round(), width, floor)
        if config.mask_frames is not None:
            for _ in range(self.MASKS):
                width = self.draw(0, config.mask_frames, n).round().minimum(frames // 5)
                start = self.draw(0, 1, n) * (frames - width)
                features, frames = mask_frames(features, frames, start.round(), width, floor)
        return features, frames
