"""The front end for one clip, in operations that ONNX supports; test_export.py compares it to `LogMel`."""

import math

import librosa
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils import InputError
from utils.features.log_mel import FeatureConfig, centre


class OneClip(nn.Module):
    """`LogMel` for one clip, in operations that ONNX supports: waveform (1, samples) to features (1, frames, mels).

    The discrete Fourier transforms of all windows are one convolution with cosines and sines. One step of the fast
    Fourier transform (Cooley and Tukey 1965) saves half of the work: if E and O are the transforms of the even and the
    odd samples at frequency k, then frequency k is E + O, and frequency n_fft / 2 - k is the conjugate of E - O.
    """

    edges: Tensor

    def __init__(self, config: FeatureConfig):
        super().__init__()
        self.config = config
        if config.n_fft % 4:
            raise InputError("cannot export a front end whose n_fft is not a multiple of 4")
        edges = librosa.mel_frequencies(config.n_mels + 2, fmin=config.f_min, fmax=config.f_max)
        self.register_buffer("edges", torch.from_numpy(edges).float())

    def forward(self, waveform: Tensor) -> Tensor:
        config, quarter = self.config, self.config.n_fft // 4
        if config.seconds is not None:
            length = torch.full((1,), waveform.shape[1])
            waveform, _ = centre(waveform, length, round(config.seconds * config.sample_rate))
        taps = config.win_length + config.win_length % 2  # an odd window is padded by a zero
        sample = torch.arange(taps, dtype=torch.float32)
        window = 0.5 - 0.5 * torch.cos(sample * (2 * math.pi / config.win_length))  # Hann window
        angle = torch.arange(quarter + 1).unsqueeze(1) * (2 * math.pi / config.n_fft) * sample
        waves = (torch.cat([torch.cos(angle), torch.sin(angle)]) * window).unsqueeze(1)
        before = config.n_fft // 2 - (config.n_fft - config.win_length) // 2  # frames are centred, as in torch.stft
        even, odd = (
            F.conv1d(F.pad(waveform.unsqueeze(1), silence), waves[:, :, first::2], None, config.hop_length, dilation=2)
            for first, silence in ((0, (before, taps - 1 - before)), (1, (before - 1, taps - before)))
        )
        hertz = torch.arange(2 * quarter + 1).unsqueeze(1) * (config.sample_rate / config.n_fft)
        low, top, high = self.edges[:-2], self.edges[1:-1], self.edges[2:]  # one triangular filter per band
        triangles = torch.minimum((hertz - low) / (top - low), (high - hertz) / (high - top)).clamp_min(0)
        bank = triangles * (2 / (high - low))
        lower, upper = bank[: quarter + 1], bank[quarter + 1 :].flip(0)  # the middle frequency belongs to `lower`
        upper = F.pad(upper, (0, 0, 0, 1))
        # the filters are repeated for the squares of cosines and of sines
        mel = (even + odd).square().transpose(1, 2) @ lower.repeat(2, 1)
        mel = mel + (even - odd).square().transpose(1, 2) @ upper.repeat(2, 1)
        if config.trim_db is not None:
            mel = _trim(mel, config.trim_db)
        mel = mel.clamp_min(config.min_power)
        ratio = mel / mel.max() if config.level == "clip_max" else mel
        level_db = (10 / math.log(10)) * torch.log(ratio)
        return (level_db.clamp_min(-config.range_db) - config.mean_db) / config.std_db


def _trim(mel: Tensor, trim_db: float) -> Tensor:
    """Keep the frames from the first loud one to the last, as in `utils.features.log_mel`."""
    energy = mel.sum(2).squeeze(0)
    loud = (energy >= energy.max() * 10 ** (-trim_db / 10)).float()
    begun, not_ended = loud.cumsum(0) > 0, loud.flip(0).cumsum(0).flip(0) > 0
    return mel.index_select(1, (begun & not_ended).nonzero().squeeze(1))
