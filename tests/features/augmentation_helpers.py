"""Small batches for the tests of augmentations."""

import numpy as np
import torch

from utils.features.log_mel import pad

FLOOR = -3.0


def batch(*clips: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Waveforms as one batch with their lengths."""
    return pad([torch.from_numpy(clip) for clip in clips])


def ramps(frames: list[int], mels: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Features that rise linearly over time and mels, padded with the floor; no two values of a clip are equal."""
    clips = [torch.arange(n * mels).view(n, mels) / 7 + i for i, n in enumerate(frames)]
    return pad(clips, FLOOR)


def unpadded(clips: tuple[torch.Tensor, torch.Tensor], i: int) -> torch.Tensor:
    """Clip i of a batch without its padding."""
    return clips[0][i, : int(clips[1][i])]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
