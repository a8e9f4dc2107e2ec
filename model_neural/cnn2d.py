"""The 2-D convolutional network of the AudioMNIST system, for log-mel spectrograms of one second.

It has the architecture of the published model fergarciadlc/audio-mnist-cnn: four blocks of convolution, batch
normalisation, ReLU, max pooling and dropout of whole channels, then the mean over time and frequency and two linear
layers.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import pad


@dataclass(frozen=True)
class CNN2dConfig:
    """`channels` has one entry per block. Every block halves the number of frames and of mels."""

    n_mels: int = 64
    channels: tuple[int, ...] = (32, 64, 128, 256)
    hidden: int = 128
    dropout: float = 0.3
    classes: int = 10

    def __post_init__(self):
        if self.n_mels < 2 ** len(self.channels):
            raise ValueError(
                f"n_mels must be at least {2 ** len(self.channels)} for {len(self.channels)} blocks that halve it, "
                f"not {self.n_mels}"
            )


class CNN2d(nn.Module):
    """The published network, extended to batches of clips of different lengths.

    The padding of shorter clips is set to zero before every block and left out of the mean. If all clips have the same
    length, there is no padding, and the network is exactly the published one.
    """

    def __init__(self, config: CNN2dConfig):
        super().__init__()
        channels = (1, *config.channels)
        self.shortest = 2 ** len(config.channels)  # frames, so that one is left after the blocks
        self.features = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, 3, padding=1),
                nn.BatchNorm2d(after),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Dropout2d(config.dropout),
            )
            for before, after in pairwise(channels)
        )
        self.hidden = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(channels[-1], config.hidden))
        self.head = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(config.hidden, config.classes))

    def embed(self, features: Tensor, lengths: Tensor) -> Tensor:
        """The last hidden layer (batch, hidden)."""
        x = pad(features.unsqueeze(1), (0, 0, 0, max(0, self.shortest - features.shape[1])))
        for block in self.features:
            x = block(x * _inside(x, lengths))
            lengths = (lengths // 2).clamp_min(1)  # rounded down like the pooling, but at least 1
        x = (x * _inside(x, lengths)).sum((2, 3)) / (lengths * x.shape[3]).unsqueeze(1)
        return torch.relu(self.hidden(x))

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Features (batch, frames, mels) with lengths (batch,) in frames to logits (batch, classes)."""
        return self.head(self.embed(features, lengths))


def _inside(x: Tensor, lengths: Tensor) -> Tensor:
    """(batch, 1, frames, 1): true inside a clip, false in its padding."""
    return (torch.arange(x.shape[2], device=x.device) < lengths.unsqueeze(1))[:, None, :, None]
