"""A word in a room: silence around it, reverberation, and noise of several kinds at a signal-to-noise ratio.

Waveforms (batch, samples) are zero after the end of each clip; lengths (batch,) are in samples.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from utils.features.log_mel import Padded, fast_length, valid_frames
from utils.features.waveform_augmentations import power_law_noise


def speech_power(waveforms: Tensor, sample_rate: int) -> Tensor:
    """The power of the speech in each clip (batch,): the mean over the windows at most 15 dB below the loudest one.

    A simple form of the active speech level (ITU-T P.56): pauses and padding do not count. A window lasts 20 ms; the
    sample rate is in Hz.
    """
    size = round(0.02 * sample_rate)
    power = waveforms.square().unfold(1, min(size, waveforms.shape[1]), size).mean(2)  # (batch, windows)
    active = power >= power.amax(1, keepdim=True) * 10**-1.5
    return (power * active).sum(1) / active.sum(1)


def surround(waveforms: Tensor, lengths: Tensor, before: Tensor, after: Tensor) -> Padded:
    """Put `before` and `after` (batch,) samples of silence around each clip."""
    longer = lengths + before + after
    index = torch.arange(int(longer.max())) - before.unsqueeze(1)  # (batch, new samples), in old samples
    inside = (index >= 0) & (index < lengths.unsqueeze(1))
    return waveforms.gather(1, index.clamp(0, waveforms.shape[1] - 1)) * inside, longer


def reverberate(waveforms: Tensor, lengths: Tensor, decay: Tensor, level: Tensor, generator: torch.Generator) -> Padded:
    """Add reverberation: noise that decays by 60 dB within `decay` (batch,) samples, `level` (batch,) times the speech.

    The tail that would lie after a clip's end is cut off. A `level` of zero leaves a clip as it is.
    """
    tail = torch.arange(int(decay.max())).expand(len(waveforms), -1)
    response = (
        torch.randn(tail.shape, generator=generator) * 10 ** (-3 * tail / decay.unsqueeze(1)) * level.unsqueeze(1)
    )
    response = response.masked_fill(tail >= decay.unsqueeze(1), 0.0)
    response[:, 0] = 1.0  # the direct sound
    n = fast_length(waveforms.shape[1] + response.shape[1])
    spectrum = torch.fft.rfft(waveforms, n) * torch.fft.rfft(response, n)
    reverberant = torch.fft.irfft(spectrum, n)[:, : waveforms.shape[1]]
    return reverberant * valid_frames(lengths, waveforms.shape[1]), lengths


def mix_in(waveforms: Tensor, lengths: Tensor, noise: Tensor, snr_db: Tensor, power: Tensor) -> Padded:
    """Add noise (batch, samples) at `snr_db` (batch,) dB below speech of the `power` (batch,) (see `speech_power`)."""
    noise = noise * valid_frames(lengths, waveforms.shape[1])
    noise_power = noise.square().sum(1) / lengths
    gain = (power * 10 ** (-snr_db / 10) / noise_power.clamp_min(1e-12)).sqrt()
    return waveforms + noise * gain.unsqueeze(1), lengths


def recorded_noise(recordings: Sequence[Tensor], clips: int, samples: int, generator: torch.Generator) -> Tensor:
    """Pieces (clips, samples) of noise recordings (samples,), from a random point on; short ones start over."""
    pieces = []
    for _ in range(clips):
        recording = recordings[int(torch.randint(len(recordings), (), generator=generator))]
        start = int(torch.randint(len(recording), (), generator=generator))
        piece = recording[start : start + samples]
        while len(piece) < samples:
            piece = torch.cat([piece, recording[: samples - len(piece)]])
        pieces.append(piece)
    return torch.stack(pieces)


def coloured_noise(clips: int, samples: int, generator: torch.Generator) -> Tensor:
    """Noise (clips, samples): its power falls as 1/f^slope, slope from -0.5 (bluish) to 2 (brown); half swells."""
    noise = power_law_noise(-0.5 + 2.5 * torch.rand(clips, generator=generator), samples, generator)
    knots = 0.02 + 0.98 * torch.rand(clips, 1, 8, generator=generator)
    swelling = torch.nn.functional.interpolate(knots, samples, mode="linear", align_corners=True).squeeze(1)
    return torch.where(torch.rand(clips, 1, generator=generator) < 0.5, noise * swelling, noise)


def babble(waveforms: Tensor, samples: int, generator: torch.Generator) -> Tensor:
    """Talkers in the background (clips, samples): two to five clips of the batch at once, shifted in time."""
    clips = len(waveforms)
    voices = waveforms / waveforms.square().mean(1, keepdim=True).clamp_min(1e-12).sqrt()
    total = voices.new_zeros(clips, samples)
    talkers = torch.randint(2, 6, (clips, 1), generator=generator)
    for talker in range(5):
        chosen = voices[torch.randint(clips, (clips,), generator=generator)]
        start = torch.randint(waveforms.shape[1], (clips, 1), generator=generator)
        index = (torch.arange(samples) + start) % waveforms.shape[1]
        total += chosen.gather(1, index) * (talker < talkers)
    return total


def bursts(clips: int, samples: int, sample_rate: int, generator: torch.Generator, most: int = 4) -> Tensor:
    """Knocks and clicks (clips, samples): up to `most` short noises that die away within 10 to 250 ms."""
    time = torch.arange(samples) / sample_rate
    total = torch.zeros(clips, samples)
    for _ in range(most):
        start = torch.rand(clips, 1, generator=generator) * samples / sample_rate
        length = 0.01 + 0.24 * torch.rand(clips, 1, generator=generator)
        passed = (time - start) / length
        total += torch.exp(-4 * passed.clamp_min(0)) * ((passed >= 0) & (passed < 1))
    return total * torch.randn(clips, samples, generator=generator)
