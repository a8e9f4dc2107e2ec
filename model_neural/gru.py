"""A convolutional recurrent network: two convolutions extract local spectro-temporal features, a bidirectional GRU
models their sequence.

Gated recurrent units are from Cho et al. 2014, the combination with convolutions from Choi et al. 2017.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


@dataclass(frozen=True)
class GRUConfig:
    """Settings of the two convolutions and of the recurrent layers."""

    n_mels: int = 40
    channels: tuple[int, int] = (16, 32)  # of the convolutions; both halve the mel bands, the second also the frames
    width: int = 64  # units in each direction of each layer
    layers: int = 2
    dropout: float = 0.3
    classes: int = 10


class GRU(nn.Module):
    """Convolutions, then recurrent layers over the frames. Sequences are packed, so that no unit sees the padding."""

    def __init__(self, config: GRUConfig):
        super().__init__()
        first, second = config.channels
        self.first = MaskedConv(1, first, 5, stride=(1, 2))
        self.second = MaskedConv(first, second, 3, stride=(2, 2))
        bands = (config.n_mels + 3) // 4
        between = config.dropout if config.layers > 1 else 0.0  # PyTorch applies it between layers only
        self.dropout = nn.Dropout(config.dropout)
        self.recurrent = nn.GRU(
            second * bands, config.width, config.layers, batch_first=True, dropout=between, bidirectional=True
        )
        self.head = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(4 * config.width, config.classes))

    def embed(self, features: Tensor, lengths: Tensor) -> Tensor:
        """The last hidden layer (batch, 4 x width): mean and maximum over time of the states of both directions."""
        x, lengths = self.first(features.unsqueeze(1), lengths)
        x, lengths = self.second(x, lengths)
        x = self.dropout(x.transpose(1, 2).flatten(2))  # (batch, frames, channels x bands)
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        x, _ = pad_packed_sequence(self.recurrent(packed)[0], batch_first=True)  # the padding is zero
        mean = x.sum(1) / lengths.unsqueeze(1)
        padding = torch.arange(x.shape[1], device=x.device) >= lengths.unsqueeze(1)
        peak = x.masked_fill(padding.unsqueeze(2), -torch.inf).amax(1)
        return torch.cat([mean, peak], dim=1)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Features (batch, frames, mels) with lengths (batch,) in frames to logits (batch, classes)."""
        return self.head(self.embed(features, lengths))


class MaskedConv(nn.Module):
    """Mask, convolution, batch normalisation, ReLU. `stride` is over frames and over bands."""

    def __init__(self, before: int, after: int, kernel: int, stride: tuple[int, int]):
        super().__init__()
        self.stride = stride[0]
        self.conv = nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(after)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        inside = torch.arange(x.shape[2], device=x.device) < lengths.unsqueeze(1)
        x = x * inside[:, None, :, None]
        return torch.relu(self.norm(self.conv(x))), (lengths + (self.stride - 1)) // self.stride
