"""Augmentation: random changes to the training clips, so that a few voices stand in for many.

`Augmenter` draws the strength of each change for each clip. It applies those of waveforms before the front end, in the
order in which sound travels (`waveform_augmentations` to the voice, `room_augmentations`, `channel_augmentations`), and
`spectrogram_augmentations` after it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial

import torch
from torch import Tensor

from utils.features.channel_augmentations import add_clicks, add_offset, clip_peaks, telephone, weaken_fricatives
from utils.features.log_mel import FeatureConfig, LogMel, Padded
from utils.features.room_augmentations import (
    babble,
    bursts,
    coloured_noise,
    mix_in,
    recorded_noise,
    reverberate,
    speech_power,
    surround,
)
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
from utils.settings import check_limits

LIMITS: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("gain_db", "noise_snr_db", "room_snr_db"), (-200, 200)),
    **dict.fromkeys(("equaliser_db", "spectral_tilt_db", "noise_gate_db", "fricatives_db"), (0, 200)),
    **dict.fromkeys(("speed", "pitch", "stretch", "vtlp"), (0.5, 2)),
    **dict.fromkeys(("room", "clicks", "offset", "clipping", "telephone"), (0, 1)),
    "jitter_frames": (0, 1000),
    "mask_frames": (0, 10_000),
    "mask_bands": (0, 1024),
    "shift_bands": (0, 1024),
    "room_seconds": (0, 10),
}


@dataclass(frozen=True)
class AugmentationConfig:
    """How strong each augmentation is. Strengths are drawn uniformly; null turns an augmentation off.

    A pair is the range to draw from. A single number x stands for the range from -x to x; for `warp_time` from 1 - x to
    1 + x, and for the noise gate and the masks from 0 to x.
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
    spectral_tilt_db: float | None = None  # random gain that varies smoothly over time and frequency
    noise_gate_db: float | None = None  # margin of the gate above the noise; applied to half of the clips
    fricatives_db: float | None = None  # fricatives and bursts are weakened by up to this; in half of the clips
    jitter_frames: int | None = None  # frames cut from or added to each end
    mask_bands: int | None = None  # largest width of each of two frequency masks, in mel bands
    mask_frames: int | None = None  # largest width of each of two time masks, in frames; at most a fifth of a clip
    room: float = 0.0  # the probability that a batch is placed in rooms, in place of noise_snr_db
    room_seconds: float = 0.9  # longest silence around the word, before and after it together
    room_snr_db: tuple[float, float] = (-5.0, 25.0)  # of the noise in a room
    clicks: float = 0.0  # the probability of clicks in a clip
    offset: float = 0.0  # the probability of a DC offset
    clipping: float = 0.0  # the probability of hard clipping
    telephone: float = 0.0  # the probability of a telephone line

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, tuple) and value[0] > value[1]:
                raise ValueError(f"{field.name} must be a range from low to high, not {value}")
        check_limits(self, **LIMITS)
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

    Args:
        config: which augmentations, and how strong.
        features: the settings of the front end.
        generator: of the random numbers.
        noises: recordings of background noise (samples,) at the front end's rate, for half of the rooms. Without them,
            all noise is synthetic.
    """

    EQUALISER_BANDS = 6
    REVERBERANT = 0.4  # of the clips in a room
    DECAY, LEVEL = (0.03, 0.4), (0.02, 0.2)  # of reverberation: seconds until it has lost 60 dB, and its gain
    OFFSET, CLIPPED_DB = (-0.3, 0.3), (1.0, 15.0)  # of the peak, and below it
    KNOTS = 5  # points between which a strength that varies over time or frequency is interpolated
    MASKS = 2

    def __init__(
        self,
        config: AugmentationConfig,
        features: FeatureConfig,
        generator: torch.Generator,
        noises: Sequence[Tensor] = (),
    ):
        self.config = config
        self.noises = noises
        self.front_end = LogMel(features)
        self.generator = generator

    def draw(self, low: float, high: float, *shape: int) -> Tensor:
        """Uniform random numbers between `low` and `high`."""
        return low + (high - low) * torch.rand(shape, generator=self.generator)

    def chosen(self, probability: float, clips: int) -> Tensor:
        """Which clips (batch,) are changed, each with this probability."""
        if probability == 1:
            return torch.ones(clips, dtype=torch.bool)
        return self.draw(0, 1, clips) < probability

    def change_some(
        self, probability: float, change: Callable[..., Padded], batch: Tensor, lengths: Tensor, *strengths: Tensor
    ) -> Tensor:
        """Change each clip (batch, ...) with this probability, at its own strengths (batch,). Others cost no time.

        `change` takes the clips chosen, their lengths and their strengths, and must not change the lengths.
        """
        rows = self.chosen(probability, len(batch)).nonzero().squeeze(1)
        if not len(rows):
            return batch
        changed, _ = change(batch[rows], lengths[rows], *(strength[rows] for strength in strengths))
        return batch.index_copy(0, rows, changed)

    def __call__(self, waveforms: Tensor, lengths: Tensor) -> Padded:
        """Waveforms (batch, samples) with lengths (batch,) to features (batch, frames, mels) with lengths in frames."""
        return self.change_features(*self.front_end(*self.change_waveforms(waveforms, lengths)))

    def change_waveforms(self, waveforms: Tensor, lengths: Tensor) -> Padded:
        """The changes before the front end."""
        config, n, rate = self.config, len(waveforms), self.front_end.config.sample_rate
        if config.speed is not None:
            waveforms, lengths = change_speed(waveforms, lengths, self.draw(*config.speed, n))
        if config.pitch is not None:
            waveforms, lengths = shift_pitch(waveforms, lengths, self.draw(*config.pitch, n))
        if config.fricatives_db is not None:
            loss_db = self.draw(0, config.fricatives_db, n)
            weaken = partial(weaken_fricatives, sample_rate=rate)
            waveforms = self.change_some(0.5, weaken, waveforms, lengths, loss_db)
        if config.equaliser_db is not None:
            bands_db = self.draw(-config.equaliser_db, config.equaliser_db, n, self.EQUALISER_BANDS)
            waveforms, lengths = equalise(waveforms, lengths, bands_db)
        in_room = config.room > 0 and self.draw(0, 1, 1).item() < config.room
        if in_room:
            waveforms, lengths = self.place_in_room(waveforms, lengths)
        elif config.noise_snr_db is not None:
            snr_db, slope = self.draw(*config.noise_snr_db, n), self.draw(0, 2, n)
            noisy, lengths = add_noise(waveforms, lengths, snr_db, slope, self.generator)
            chosen = self.chosen(config.noise_probability, n)
            waveforms = torch.where(chosen.unsqueeze(1), noisy, waveforms)
        waveforms = self.record(waveforms, lengths)
        if config.gain_db is not None:
            waveforms, lengths = change_gain(waveforms, lengths, self.draw(*config.gain_db, n))
        return waveforms, lengths

    def change_features(self, features: Tensor, frames: Tensor) -> Padded:
        """The changes after the front end."""
        config, floor, n = self.config, self.front_end.config.floor, len(features)
        if config.noise_gate_db is not None:
            margin = self.draw(0, config.noise_gate_db / self.front_end.config.std_db, n)
            features = self.change_some(0.5, partial(noise_gate, floor=floor), features, frames, margin)
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

    def place_in_room(self, waveforms: Tensor, lengths: Tensor) -> Padded:
        """Each clip somewhere in a stretch of its own room: reverberation for some, noise of one kind for all.

        The whole batch gets equally long stretches of one kind of noise: so little of it is padding.
        """
        rate, n = self.front_end.config.sample_rate, len(waveforms)
        voices, power = waveforms, speech_power(waveforms, rate)
        silence = self.draw(0, self.config.room_seconds * rate, 1)
        before = (self.draw(0, 1, n) * silence).long()
        waveforms, lengths = surround(waveforms, lengths, before, silence.long() - before)
        level = self.draw(*self.LEVEL, n) * (self.draw(0, 1, n) < self.REVERBERANT)
        decay = (self.draw(*self.DECAY, n) * rate).long()
        waveforms, lengths = reverberate(waveforms, lengths, decay, level, self.generator)
        samples, kind = waveforms.shape[1], self.draw(0, 1, 1).item()
        if self.noises and self.draw(0, 1, 1).item() < 0.5:
            noise = recorded_noise(self.noises, n, samples, self.generator)
        elif kind < 0.5:
            noise = coloured_noise(n, samples, self.generator)
        elif kind < 0.8:
            noise = babble(voices, samples, self.generator)
        else:
            noise = bursts(n, samples, rate, self.generator)
        return mix_in(waveforms, lengths, noise, self.draw(*self.config.room_snr_db, n), power)

    def record(self, waveforms: Tensor, lengths: Tensor) -> Tensor:
        """What some of the microphones and lines do to the clips."""
        config, n, rate = self.config, len(waveforms), self.front_end.config.sample_rate
        if config.clicks:
            clicked, _ = add_clicks(waveforms, lengths, self.generator)
            waveforms = torch.where(self.chosen(config.clicks, n).unsqueeze(1), clicked, waveforms)
        if config.offset:
            offset = self.draw(*self.OFFSET, n)
            waveforms = self.change_some(config.offset, add_offset, waveforms, lengths, offset)
        if config.clipping:
            clipped_db = self.draw(*self.CLIPPED_DB, n)
            waveforms = self.change_some(config.clipping, clip_peaks, waveforms, lengths, clipped_db)
        if config.telephone:
            line = partial(telephone, sample_rate=rate)
            waveforms = self.change_some(config.telephone, line, waveforms, lengths)
        return waveforms
