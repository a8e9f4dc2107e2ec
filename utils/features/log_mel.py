"""The front end: the one place where a waveform becomes a log-mel spectrogram.

Training, evaluation, `sdr predict` and the notebooks all go through `LogMel`.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
import torchaudio
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from utils.settings import check_limits

LEVELS = ("clip_max", "none")
MAX_BINS = 4_000_000  # Fourier coefficients of a second of sound, so that a batch fits into memory
Padded = tuple[Tensor, Tensor]  # clips of a batch, padded to the longest, and their lengths (batch,)


@dataclass(frozen=True)
class FeatureConfig:
    """Settings of the front end. Frequencies are in Hz, windows and hops in samples, levels in dB."""

    sample_rate: int = 8000
    n_fft: int = 256
    win_length: int = 200
    hop_length: int = 80
    n_mels: int = 40
    f_min: float = 60.0
    f_max: float = 4000.0
    level: str = "clip_max"  # what 0 dB is: the loudest mel band of the clip, or ("none") full scale
    range_db: float = 55.0  # lower levels are clamped to -range_db (librosa's `top_db`), hiding the noise of rooms
    seconds: float | None = None  # make every clip this long: pad with silence or crop, equally on both sides
    trim_db: float | None = 35.0  # drop leading and trailing frames this far below the loudest frame; null: keep all
    min_power: float = 1e-20  # smallest power of a mel band (librosa's `amin`)
    mean_db: float = -55.0  # features are (dB - mean_db) / std_db; with mean_db = -range_db, silence is 0
    std_db: float = 20.0

    def __post_init__(self):
        if self.level not in LEVELS:
            raise ValueError(f"level must be {' or '.join(LEVELS)}, not {self.level!r}")
        if not 0 <= self.f_min < self.f_max <= self.sample_rate / 2:
            raise ValueError(f"need 0 <= f_min < f_max <= sample_rate / 2, not {self.f_min} and {self.f_max} Hz")
        check_limits(self, sample_rate=(1, 192_000), n_fft=(1, 2**16), n_mels=(1, 1024), seconds=(0, 60))
        if not 0 < self.hop_length <= self.win_length <= self.n_fft or self.n_fft % 2:
            raise ValueError("need 0 < hop_length <= win_length <= n_fft, and n_fft even")
        if self.sample_rate // self.hop_length * self.n_fft > MAX_BINS:
            raise ValueError(f"hop_length is too small: sample_rate / hop_length * n_fft is at most {MAX_BINS:,}")
        positive = (self.range_db, self.std_db, self.min_power, 1.0 if self.trim_db is None else self.trim_db)
        if min(positive) <= 0:
            raise ValueError("range_db, std_db, min_power and trim_db must be positive")
        if self.seconds is not None and (self.trim_db is not None or self.seconds * self.sample_rate < 1):
            raise ValueError("seconds must be positive and needs trim_db: null, as trimming makes lengths differ again")
        if empty := int((mel_bank(self) == 0).all(0).sum()):
            bands = f"{empty} of the n_mels = {self.n_mels} bands from f_min to f_max"
            raise ValueError(f"{bands} are empty: they are narrower than n_fft = {self.n_fft} can tell apart")

    @property
    def floor(self) -> float:
        """The lowest value of a feature: the value of silence, of padding and of masks."""
        return (-self.range_db - self.mean_db) / self.std_db


def mel_bank(config: FeatureConfig) -> Tensor:
    """The weights of Fourier coefficients in the mel bands: (coefficients, mels)."""
    with warnings.catch_warnings(action="ignore"):  # about empty bands, which `FeatureConfig` refuses
        return torchaudio.functional.melscale_fbanks(
            config.n_fft // 2 + 1,
            config.f_min,
            config.f_max,
            config.n_mels,
            config.sample_rate,
            norm="slaney",
            mel_scale="slaney",
        )


class LogMel(nn.Module):
    """Log-mel spectrograms of a batch of clips. A clip's features do not depend on the rest of its batch.

    They equal librosa's `melspectrogram(..., pad_mode="constant")` followed by `power_to_db(ref=np.max)` to within
    0.01 dB (tests/features/test_log_mel.py).
    """

    bank: Tensor
    window: Tensor

    def __init__(self, config: FeatureConfig):
        super().__init__()
        self.config = config
        self.register_buffer("bank", mel_bank(config), persistent=False)
        around = config.n_fft - config.win_length
        window = F.pad(torch.hann_window(config.win_length), (around // 2, around - around // 2))
        self.register_buffer("window", window, persistent=False)

    def forward(self, waveforms: Tensor, lengths: Tensor) -> Padded:
        """Waveforms to features.

        Args:
            waveforms: (batch, samples), zero after the end of each clip (any value, if `seconds` is set).
            lengths: (batch,) of the clips, in samples.

        Returns:
            features (batch, frames, mels), at the floor after the end of each clip, and their lengths (batch,) in
            frames. A frame is `hop_length` samples. With `level` "clip_max", digital silence, which has no loudest
            band, becomes 0 dB throughout.
        """
        config = self.config
        if config.seconds is not None:
            waveforms, lengths = centre(waveforms, lengths, round(config.seconds * config.sample_rate))
        half = config.n_fft // 2
        windows = F.pad(waveforms, (half, half)).unfold(1, config.n_fft, config.hop_length)  # (batch, frames, samples)
        parts = torch.view_as_real(torch.fft.rfft(windows * self.window)).square_()
        mel = (parts[..., 0] + parts[..., 1]) @ self.bank  # (batch, frames, mels)
        frames = 1 + lengths // config.hop_length
        if config.trim_db is not None:
            mel, frames = _trim(mel, frames, config.trim_db)
        mel.masked_fill_(~valid_frames(frames, mel.shape[1]).unsqueeze(-1), 0.0)
        peak = mel.amax(dim=(1, 2), keepdim=True) if config.level == "clip_max" else mel.new_ones(1)
        # in place, which takes less time and memory
        level_db = mel.clamp_min_(config.min_power).div_(peak.clamp_min(config.min_power)).log10_().mul_(10)
        return level_db.clamp_min_(-config.range_db).sub_(config.mean_db).div_(config.std_db), frames


def valid_frames(lengths: Tensor, frames: int) -> Tensor:
    """Lengths (batch,) to a mask (batch, frames) that is true inside a clip and false in its padding."""
    return torch.arange(frames, device=lengths.device) < lengths.unsqueeze(1)


def centre(waveforms: Tensor, lengths: Tensor, samples: int) -> Padded:
    """Centre each clip in `samples` samples: pad it with silence, or crop it, equally on both sides."""
    start = torch.where(lengths > samples, (lengths - samples) // 2, -((samples - lengths) // 2))
    index = start.unsqueeze(1) + torch.arange(samples, device=waveforms.device)
    inside = (index >= 0) & (index < lengths.unsqueeze(1))
    centred = waveforms.gather(1, index.clamp(0, waveforms.shape[1] - 1)).masked_fill(~inside, 0.0)
    return centred, torch.full_like(lengths, samples)


def _trim(mel: Tensor, frames: Tensor, trim_db: float) -> Padded:
    """Drop the leading and trailing frames that are more than `trim_db` below the clip's loudest frame.

    What is returned after the end of a clip means nothing.
    """
    energy = mel.sum(-1).masked_fill_(~valid_frames(frames, mel.shape[1]), 0.0)  # (batch, frames)
    loud = energy >= energy.amax(dim=1, keepdim=True) * 10 ** (-trim_db / 10)  # keeps all of a silent clip
    first = loud.int().argmax(dim=1)
    last = mel.shape[1] - 1 - loud.flip(1).int().argmax(dim=1)
    trimmed = (last - first + 1).minimum(frames)
    index = first.unsqueeze(1) + torch.arange(int(trimmed.max()), device=mel.device)  # (batch, frames)
    clip = torch.arange(len(mel), device=mel.device).unsqueeze(1)
    return mel[clip, index.clamp_max(mel.shape[1] - 1)], trimmed


def pad(clips: Sequence[Tensor], value: float = 0.0) -> Padded:
    """Clips (time, ...) to one batch (batch, longest time, ...), padded with `value`, and their lengths (batch,)."""
    return pad_sequence(list(clips), batch_first=True, padding_value=value), torch.tensor([len(c) for c in clips])


def fast_length(samples: int) -> int:
    """The next power of two: Fourier transforms of other lengths can take several times as long."""
    return 1 << (samples - 1).bit_length()
