"""A 1-D convolutional network over time, for clips of any length."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class CNN1dConfig:
    """`channels` has one entry per stage. Every stage after the first halves the number of frames."""

    n_mels: int = 40
    channels: tuple[int, ...] = (48, 64, 96)
    blocks: int = 1  # residual blocks per stage
    kernel: int = 5  # width of the convolutions, in frames
    dropout: float = 0.2
    classes: int = 10

    def __post_init__(self):
        if self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, not {self.kernel}, so that convolutions are centred on a frame")


class CNN1d(nn.Module):
    """Residual blocks of convolutions over time (He et al. 2016); the mel bands are the input's channels.

    Before every convolution the frames after the end of a clip are set to zero, which is what convolutions pad with
    anyway. So a clip's logits do not depend on how much padding its batch adds.
    """

    def __init__(self, config: CNN1dConfig):
        super().__init__()
        c = config.channels
        self.stem = MaskedConv(config.n_mels, c[0], config.kernel)
        self.blocks = nn.ModuleList()
        before = c[0]
        for stage, width in enumerate(c):
            for block in range(config.blocks):
                stride = 2 if stage > 0 and block == 0 else 1
                self.blocks.append(Block(before, width, config.kernel, stride, config.dropout))
                before = width
        self.head = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(2 * before, config.classes))

    def embed(self, features: Tensor, lengths: Tensor) -> Tensor:
        """The last hidden layer (batch, 2 x channels): mean and maximum over time of the last block's output."""
        x, lengths = self.stem(features.transpose(1, 2), lengths)
        for block in self.blocks:
            x, lengths = block(x, lengths)
        mean = x.sum(2) / lengths.unsqueeze(1)  # the padding is zero
        peak = x.masked_fill(~_mask(x, lengths), -torch.inf).amax(2)
        return torch.cat([mean, peak], dim=1)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Features (batch, frames, mels) with lengths (batch,) in frames to logits (batch, classes)."""
        return self.head(self.embed(features, lengths))


class MaskedConv(nn.Module):
    """Mask, convolution, batch normalisation. A stride of 2 turns n frames into ceil(n / 2)."""

    def __init__(self, before: int, after: int, kernel: int, stride: int = 1):
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv1d(before, after, kernel, stride, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm1d(after)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x = x * _mask(x, lengths)
        lengths = (lengths + (self.stride - 1)) // self.stride
        return self.norm(self.conv(x)), lengths


class Block(nn.Module):
    """Two convolutions with a skip connection: a block has to learn only what to add to its input."""

    def __init__(self, before: int, after: int, kernel: int, stride: int, dropout: float):
        super().__init__()
        self.first = MaskedConv(before, after, kernel, stride)
        self.second = MaskedConv(after, after, kernel)
        self.skip = MaskedConv(before, after, 1, stride) if (before, stride) != (after, 1) else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        y, after = self.first(x, lengths)
        y, _ = self.second(self.dropout(torch.relu(y)), after)
        skip = self.skip(x, lengths)[0] if self.skip else x
        return torch.relu(y + skip) * _mask(y, after), after


def _mask(x: Tensor, lengths: Tensor) -> Tensor:
    """(batch, 1, frames): true inside a clip, false in its padding."""
    return (torch.arange(x.shape[2], device=x.device) < lengths.unsqueeze(1)).unsqueeze(1)
