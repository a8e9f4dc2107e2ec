"""A vision transformer on mel-spectrograms (Dosovitskiy et al. 2021), for clips of any length.

Three small convolutions embed its patches. A transformer trains faster and better on these than on patches that are cut
straight out of the image (Xiao et al. 2021).
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

STEP = 8  # distance between patches, in frames and in mels: three convolutions halve both
PATCH = 17  # frames and mels that a patch covers, the receptive field of the convolutions: 5 + 2 * 2 + 2 * 4 = 17


@dataclass(frozen=True)
class ViTConfig:
    """`channels` are those of the first two convolutions; the third has `width` channels."""

    n_mels: int = 40
    channels: tuple[int, int] = (16, 32)
    width: int = 64
    depth: int = 3
    heads: int = 4
    dropout: float = 0.1  # of the head
    classes: int = 10

    def __post_init__(self):
        if self.width % (2 * self.heads):
            raise ValueError(f"width must be a multiple of 2 x heads = {2 * self.heads}, not {self.width}")


class ViT(nn.Module):
    """Patches become tokens, layers of self-attention process them, and a class token represents the whole clip.

    Tokens after the end of a clip are masked in every layer, so its logits do not depend on how much padding its batch
    adds.
    """

    def __init__(self, config: ViTConfig):
        super().__init__()
        channels = (1, *config.channels, config.width)
        self.stem = nn.ModuleList(
            MaskedConv(before, after, 3 if index else 5) for index, (before, after) in enumerate(pairwise(channels))
        )
        self.rows = math.ceil(config.n_mels / STEP)  # of patches, over frequency
        self.row_position = nn.Parameter(0.02 * torch.randn(self.rows, config.width))
        self.class_token = nn.Parameter(0.02 * torch.randn(config.width))
        self.layers = nn.ModuleList(Layer(config.width, config.heads) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(config.width, config.classes))

    def tokens(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features (batch, frames, mels) to tokens (batch, 1 + columns x rows, width) and a mask of the real ones."""
        x = features.unsqueeze(1)
        for convolution in self.stem:
            x, lengths = convolution(x, lengths)
        x = x.permute(0, 2, 3, 1)  # (batch, columns, rows, width)
        columns, width = x.shape[1], x.shape[3]
        x = x + sinusoids(columns, width, x.device).unsqueeze(1) + self.row_position
        real = torch.arange(columns, device=x.device) < lengths.unsqueeze(1)  # (batch, columns)
        x, real = x.flatten(1, 2), real.repeat_interleave(self.rows, dim=1)
        start = self.class_token.expand(len(x), 1, -1)
        return torch.cat([start, x], dim=1), nn.functional.pad(real, (1, 0), value=True)

    def embed(self, features: Tensor, lengths: Tensor) -> Tensor:
        """The last hidden layer (batch, width): the class token after the last layer."""
        x, real = self.tokens(features, lengths)
        for layer in self.layers:
            x, _ = layer(x, real)
        return self.norm(x[:, 0])

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Features (batch, frames, mels) with lengths (batch,) in frames to logits (batch, classes)."""
        return self.head(self.embed(features, lengths))

    @torch.no_grad()
    def attention_maps(self, features: Tensor, lengths: Tensor) -> Tensor:
        """The class token's attention to the patches: weights (batch, depth, heads, columns, rows).

        They are zero in the padding. The rest of the sum of 1 is the class token's attention to itself.
        """
        x, real = self.tokens(features, lengths)
        maps = []
        for layer in self.layers:
            x, weights = layer(x, real)  # (batch, heads, from, to)
            maps.append(weights[:, :, 0, 1:].unflatten(2, (-1, self.rows)))
        return torch.stack(maps, dim=1)


class MaskedConv(nn.Module):
    """Mask, convolution, batch normalisation, ReLU. Halves the number of frames and of bands, rounded up."""

    def __init__(self, before: int, after: int, kernel: int):
        super().__init__()
        self.conv = nn.Conv2d(before, after, kernel, stride=2, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(after)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        inside = torch.arange(x.shape[2], device=x.device) < lengths.unsqueeze(1)
        x = x * inside[:, None, :, None]
        return torch.relu(self.norm(self.conv(x))), (lengths + 1) // 2


class Layer(nn.Module):
    """Attention, then a two-layer perceptron, both with a skip connection and pre-normalisation (Xiong et al. 2020)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        y, weights = self.attention(self.attention_norm(x), real)
        x = x + y
        return x + self.mlp(self.mlp_norm(x)), weights


class Attention(nn.Module):
    """Scaled dot-product attention with several heads (Vaswani et al. 2017, eq. 1)."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (batch, tokens, width) to new tokens of the same shape, and weights (batch, heads, from, to).

        No token attends to those that are not `real` (batch, tokens).
        """
        query, key, value = self.query_key_value(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
        weights = scores.masked_fill(~real[:, None, None, :], -torch.inf).softmax(dim=3)
        y = (weights @ value).transpose(1, 2).flatten(2)  # concatenates the heads
        return self.out(y), weights


def sinusoids(positions: int, width: int, device: torch.device | None = None) -> Tensor:
    """Sinusoidal position encodings (positions, width) (Vaswani et al. 2017, section 3.5)."""
    rate = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10_000.0) / width))
    angle = torch.arange(positions, device=device).unsqueeze(1) * rate
    return torch.cat([angle.sin(), angle.cos()], dim=1)
