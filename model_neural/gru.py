"""A recurrent network (gated recurrent units, Cho et al. 2014) that reads a clip forwards and backwards."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


@dataclass(frozen=True)
class GRUConfig:
    """`width` units in each direction of each layer; `stack` frames are read at a time."""

    n_mels: int = 40
    stack: int = 2
    width: int = 80
    layers: int = 2
    dropout: float = 0.3
    classes: int = 10


class GRU(nn.Module):
    """Frames go through the layers one after the other; the clip is packed, so that no unit sees its padding."""

    def __init__(self, config: GRUConfig):
        super().__init__()
        self.stack = config.stack
        between = config.dropout if config.layers > 1 else 0.0  # PyTorch's is applied between layers alone
        self.recurrent = nn.GRU(
            config.stack * config.n_mels,
            config.width,
            config.layers,
            batch_first=True,
            dropout=between,
            bidirectional=True,
        )
        self.head = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(4 * config.width, config.classes))

    def embed(self, features: Tensor, lengths: Tensor) -> Tensor:
        """The last hidden layer (batch, 4 x width): mean and maximum over time of both directions' states."""
        x, lengths = stack_frames(features, lengths, self.stack)
        packed = pack_padded_sequence(x, lengths.cpu(), batch_first=True, enforce_sorted=False)
        x, _ = pad_packed_sequence(self.recurrent(packed)[0], batch_first=True)  # zero behind the clip's end
        mean = x.sum(1) / lengths.unsqueeze(1)
        behind = torch.arange(x.shape[1], device=x.device) >= lengths.unsqueeze(1)
        peak = x.masked_fill(behind.unsqueeze(2), -torch.inf).amax(1)
        return torch.cat([mean, peak], dim=1)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Features (batch, frames, mels) with lengths (batch,) in frames to logits (batch, classes)."""
        return self.head(self.embed(features, lengths))


def stack_frames(features: Tensor, lengths: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Every `n` frames side by side as one, zero behind a clip's end: (batch, frames / n, n x mels), rounded up."""
    inside = torch.arange(features.shape[1], device=features.device) < lengths.unsqueeze(1)
    x = features.masked_fill(~inside.unsqueeze(2), 0.0)
    x = nn.functional.pad(x, (0, 0, 0, -features.shape[1] % n))
    return x.unflatten(1, (-1, n)).flatten(2), (lengths + n - 1) // n
