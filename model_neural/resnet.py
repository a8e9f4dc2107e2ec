"""A small residual network over time and frequency (He et al. 2016), for clips of any length."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class ResNetConfig:
    """`channels` has one entry per stage. Every stage after the first halves the number of frames and of bands."""

    n_mels: int = 40
    channels: tuple[int, ...] = (16, 32, 48)
    width: int = 96  # of the layer that combines the bands of a frame
    context: bool = False  # frames are compared with their neighbours, and then averaged by learned weights
    dropout: float = 0.1  # of whole channels, inside the blocks
    head_dropout: float = 0.3
    classes: int = 10


class ResNet(nn.Module):
    """Residual blocks of 2-D convolutions, which slide over frequency as well as over time.

    So the same filter detects a vowel whose formants lie a few bands higher in another voice; only the layer that
    combines the bands depends on where it was. The frames after the end of a clip are set to zero before every
    convolution, so a clip's logits do not depend on how much padding its batch adds.
    """

    def __init__(self, config: ResNetConfig):
        super().__init__()
        before, bands = config.channels[0], -(-config.n_mels // 2)
        self.stem = MaskedConv(1, before, 5, (1, 2))  # half of the bands: the first layers cost the most
        self.blocks = nn.ModuleList()
        for stage, channels in enumerate(config.channels):
            stride = (2, 2) if stage else (1, 1)
            self.blocks.append(Block(before, channels, stride, config.dropout))
            before, bands = channels, -(-bands // stride[1])
        self.sum_up = nn.Sequential(
            nn.Conv1d(before * bands, config.width, 1, bias=False), nn.BatchNorm1d(config.width), nn.ReLU()
        )
        self.head = nn.Sequential(nn.Dropout(config.head_dropout), nn.Linear(2 * config.width, config.classes))
        dilations = (1, 2) if config.context else ()
        self.context = nn.ModuleList(Context(config.width, dilation, config.dropout) for dilation in dilations)
        self.attention = nn.Conv1d(config.width, 1, 1) if config.context else None

    def embed(self, features: Tensor, lengths: Tensor) -> Tensor:
        """The last hidden layer (batch, 2 x width): mean (with `context`, weighted) and maximum over time."""
        x, lengths = self.stem(features.unsqueeze(1), lengths)
        x = torch.relu(x)
        for block in self.blocks:
            x, lengths = block(x, lengths)
        x = self.sum_up(x.transpose(2, 3).flatten(1, 2))  # (batch, width, frames)
        valid = inside(x.shape[2], lengths)
        for layer in self.context:
            x = layer(x, valid)
        if self.attention:
            weights = self.attention(x).masked_fill(~valid, -torch.inf).softmax(2)
            mean = (x * weights).sum(2)
        else:
            mean = (x * valid).sum(2) / lengths.unsqueeze(1)
        peak = x.masked_fill(~valid, -torch.inf).amax(2)
        return torch.cat([mean, peak], dim=1)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Features (batch, frames, mels) with lengths (batch,) in frames to logits (batch, classes)."""
        return self.head(self.embed(features, lengths))


class MaskedConv(nn.Module):
    """Mask, convolution, batch normalisation. `stride` is over frames and over bands."""

    def __init__(self, before: int, after: int, kernel: int, stride: tuple[int, int] = (1, 1)):
        super().__init__()
        self.stride = stride[0]
        self.conv = nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(after)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x = x * inside(x.shape[2], lengths).unsqueeze(3)
        return self.norm(self.conv(x)), (lengths + (self.stride - 1)) // self.stride


class Block(nn.Module):
    """Two convolutions with a skip connection: a block has to learn only what to add to its input."""

    def __init__(self, before: int, after: int, stride: tuple[int, int], dropout: float):
        super().__init__()
        self.first = MaskedConv(before, after, 3, stride)
        self.second = MaskedConv(after, after, 3)
        self.skip = MaskedConv(before, after, 1, stride) if (before, stride) != (after, (1, 1)) else None
        self.dropout = nn.Dropout2d(dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        y, after = self.first(x, lengths)
        y, _ = self.second(self.dropout(torch.relu(y)), after)
        skip = self.skip(x, lengths)[0] if self.skip else x
        return torch.relu(y + skip), after


class Context(nn.Module):
    """A convolution over three frames, `dilation` apart, with a skip connection."""

    def __init__(self, width: int, dilation: int, dropout: float):
        super().__init__()
        self.conv = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation, bias=False)
        self.norm = nn.BatchNorm1d(width)
        self.dropout = nn.Dropout1d(dropout)

    def forward(self, x: Tensor, inside: Tensor) -> Tensor:
        return torch.relu(x + self.norm(self.conv(self.dropout(x * inside))))


def inside(frames: int, lengths: Tensor) -> Tensor:
    """(batch, 1, frames): true inside a clip, false in its padding."""
    return (torch.arange(frames, device=lengths.device) < lengths.unsqueeze(1)).unsqueeze(1)
