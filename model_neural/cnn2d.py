"""The 2-D convolutional network of the AudioMNIST system, on log-mels of one second.

Its architecture is that of the published model fergarciadlc/audio-mnist-cnn: four blocks of convolution, batch
normalisation, ReLU, maximum pooling and dropout of whole channels, then the mean over time and frequency and two linear
layers.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import pad


@dataclass(frozen=True)
class CNN2dConfig:
    """`channels` are those of each block; every block halves frames and mels."""

    n_mels: int = 64
    channels: tuple[int, ...] = (32, 64, 128, 256)
    hidden: int = 128
    dropout: float = 0.3
    classes: int = 10

    def __post_init__(self):
        if self.n_mels < 2 ** len(self.channels):
            raise ValueError(f"{len(self.channels)} blocks that halve {self.n_mels} mels leave none")


class CNN2d(nn.Module):
    """A recipe for clips of one length, and exactly that for them; shorter ones in a batch are masked.

    Where all clips of a batch have the same length, nothing is masked. Otherwise the frames behind a clip's end are
    set to zero before every convolution, and left out of the mean.
    """

    def __init__(self, config: CNN2dConfig):
        super().__init__()
        channels = (1, *config.channels)
        self.shortest = 2 ** len(config.channels)  # frames, of which one is left after the blocks
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
            lengths = (lengths // 2).clamp_min(1)  # as the pooling rounds; a clip never vanishes
        x = (x * _inside(x, lengths)).sum((2, 3)) / (lengths * x.shape[3]).unsqueeze(1)
        return torch.relu(self.hidden(x))

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Features (batch, frames, mels) with lengths (batch,) in frames to logits (batch, classes)."""
        return self.head(self.embed(features, lengths))


def _inside(x: Tensor, lengths: Tensor) -> Tensor:
    """(batch, 1, frames, 1): true where a clip is, false behind its end."""
    return (torch.arange(x.shape[2], device=x.device) < lengths.unsqueeze(1))[:, None, :, None]
