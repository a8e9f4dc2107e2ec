"""What microphones and lines do to speech: weak fricatives, clicks, DC offset, clipping, a telephone line.

Waveforms (batch, samples) are zero after the end of each clip; lengths (batch,) are in samples.
"""

import torch
import torch.nn.functional as F
import torchaudio
from torch import Tensor

from utils.features.log_mel import Padded, fast_length, valid_frames

TELEPHONE_BAND = (300.0, 3400.0)  # Hz, of ITU-T G.712
EDGE = 100.0  # Hz within which the band's gain falls to zero
MU_LAW_LEVELS = 256  # of ITU-T G.711


def peaks(waveforms: Tensor) -> Tensor:
    """The peak amplitude of each clip (batch, 1)."""
    return waveforms.abs().amax(1, keepdim=True)


def weaken_fricatives(waveforms: Tensor, lengths: Tensor, loss_db: Tensor, sample_rate: int) -> Padded:
    """Make fricatives and bursts softer by up to `loss_db` (batch,) dB.

    Much of their energy is above 4 kHz, so how much is left of the first sound of "six" depends on the microphone and
    on the sampling; what falls below the front end's threshold is even trimmed. A moment counts as a fricative by the
    sigmoid of how far the power above 2 kHz exceeds that below 1 kHz, in units of 3 dB.
    """
    hop = round(0.01 * sample_rate)
    windows = F.pad(waveforms, (hop, hop)).unfold(1, 2 * hop, hop) * torch.hann_window(2 * hop)
    power = torch.fft.rfft(windows).abs().square()
    frequency = torch.fft.rfftfreq(2 * hop, 1 / sample_rate)
    low, high = power[..., frequency < 1000].sum(2), power[..., frequency > 2000].sum(2)
    excess_db = 10 * torch.log10((high + 1e-9) / (low + 1e-9))  # (batch, windows)
    fricative = F.interpolate(torch.sigmoid(excess_db / 3).unsqueeze(1), waveforms.shape[1], mode="linear").squeeze(1)
    return waveforms * 10 ** (-fricative * loss_db.unsqueeze(1) / 20), lengths


def add_clicks(waveforms: Tensor, lengths: Tensor, generator: torch.Generator, most: int = 3) -> Padded:
    """Add up to `most` clicks of one to four samples, 0.3 to 1.5 times as high as the clip's peak."""
    clicked, highest = waveforms.clone(), peaks(waveforms)
    for _ in range(most):
        start = (torch.rand(len(waveforms), 1, generator=generator) * lengths.unsqueeze(1)).long()
        height = (0.3 + 1.2 * torch.rand(len(waveforms), 1, generator=generator)) * highest
        sign = 1.0 - 2.0 * (torch.rand(len(waveforms), 1, generator=generator) < 0.5)
        present = torch.rand(len(waveforms), 1, generator=generator) < 0.5
        width = torch.randint(1, 5, (len(waveforms), 1), generator=generator)
        time = torch.arange(waveforms.shape[1]) - start
        clicked = clicked + (time >= 0) * (time < width) * present * sign * height
    return clicked * valid_frames(lengths, waveforms.shape[1]), lengths


def add_offset(waveforms: Tensor, lengths: Tensor, offset: Tensor) -> Padded:
    """Add a DC offset of `offset` (batch,) times the clip's peak."""
    shifted = waveforms + offset.unsqueeze(1) * peaks(waveforms)
    return shifted * valid_frames(lengths, waveforms.shape[1]), lengths


def clip_peaks(waveforms: Tensor, lengths: Tensor, clipped_db: Tensor) -> Padded:
    """Hard clipping at `clipped_db` (batch,) dB below the clip's peak, as when the microphone is overdriven."""
    limit = peaks(waveforms) * 10 ** (-clipped_db.unsqueeze(1) / 20)
    return waveforms.clamp(-limit, limit), lengths


def telephone(waveforms: Tensor, lengths: Tensor, sample_rate: int) -> Padded:
    """A telephone line: the band from 300 to 3400 Hz, and 8 bits by the mu-law (ITU-T G.711) at the clip's peak."""
    n = fast_length(waveforms.shape[1] + 256)  # room for the filter to ring without wrapping around
    frequency = torch.fft.rfftfreq(n, 1 / sample_rate)
    low, high = TELEPHONE_BAND
    gain = ((frequency - low) / EDGE + 1).clamp(0, 1) * ((high - frequency) / EDGE + 1).clamp(0, 1)
    band = torch.fft.irfft(torch.fft.rfft(waveforms, n) * gain, n)[:, : waveforms.shape[1]]
    full_scale = peaks(band).clamp_min(1e-12)
    codes = torchaudio.functional.mu_law_encoding(band / full_scale, MU_LAW_LEVELS)
    decoded = torchaudio.functional.mu_law_decoding(codes, MU_LAW_LEVELS) * full_scale
    return decoded * valid_frames(lengths, waveforms.shape[1]), lengths
