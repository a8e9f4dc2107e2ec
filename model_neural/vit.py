"""A vision transformer on the patches of a mel-spectrogram (Dosovitskiy et al. 2021), for clips of any length."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class ViTConfig:
    """Patches of `patch` (frames, mels) are cut every `stride` (frames, mels): where that is less, they overlap."""

    n_mels: int = 40
    patch: tuple[int, int] = (8, 10)
    stride: tuple[int, int] = (4, 5)
    width: int = 64
    depth: int = 4
    heads: int = 4
    dropout: float = 0.1
    classes: int = 10

    def __post_init__(self):
        if self.patch[1] > self.n_mels or min(*self.patch, *self.stride) < 1:
            raise ValueError(f"patch {self.patch} and stride {self.stride} do not fit {self.n_mels} mels")
        if self.width % (2 * self.heads):
            raise ValueError(f"width is a multiple of twice the heads, not {self.width} with {self.heads} heads")


class ViT(nn.Module):
    """Patches become tokens, tokens look at each other, a class token sums up.

    A patch is a token as long as its first frame lies within the clip; what it shows behind the clip's end is zero.
    Tokens behind the end are masked in every attention, so a clip's logits do not depend on its batch's padding.
    """

    def __init__(self, config: ViTConfig):
        super().__init__()
        self.config = config
        self.embed_patch = nn.Conv2d(1, config.width, config.patch, config.stride)
        self.rows = (config.n_mels - config.patch[1]) // config.stride[1] + 1  # patches on top of each other
        self.row_position = nn.Parameter(0.02 * torch.randn(self.rows, config.width))
        self.class_token = nn.Parameter(0.02 * torch.randn(config.width))
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(Layer(config.width, config.heads, config.dropout) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(config.width, config.classes))

    def tokens(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features (batch, frames, mels) to tokens (batch, 1 + columns x rows, width), and which of them are real."""
        size, step = self.config.patch[0], self.config.stride[0]
        inside = torch.arange(features.shape[1], device=features.device) < lengths.unsqueeze(1)
        x = features.masked_fill(~inside.unsqueeze(2), 0.0)
        columns = math.ceil(features.shape[1] / step)  # one starts every `step` frames, the last within the clip
        x = nn.functional.pad(x, (0, 0, 0, (columns - 1) * step + size - features.shape[1]))
        x = self.embed_patch(x.unsqueeze(1)).permute(0, 2, 3, 1)  # (batch, columns, rows, width)
        x = x + sinusoids(columns, x.shape[3], x.device).unsqueeze(1) + self.row_position
        real = torch.arange(columns, device=x.device) * step < lengths.unsqueeze(1)  # (batch, columns)
        x, real = x.flatten(1, 2), real.repeat_interleave(self.rows, dim=1)
        start = self.class_token.expand(len(x), 1, -1)
        return torch.cat([start, x], dim=1), nn.functional.pad(real, (1, 0), value=True)

    def embed(self, features: Tensor, lengths: Tensor) -> Tensor:
        """The last hidden layer (batch, width): what the class token has gathered."""
        x, real = self.tokens(features, lengths)
        x = self.dropout(x)
        for layer in self.layers:
            x, _ = layer(x, real)
        return self.norm(x[:, 0])

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Features (batch, frames, mels) with lengths (batch,) in frames to logits (batch, classes)."""
        return self.head(self.embed(features, lengths))

    @torch.no_grad()
    def attention_maps(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Where the class token looks: (batch, depth, heads, columns, rows), the weights of the patches.

        Zero behind a clip's end. What is missing to a sum of 1 is the class token's look at itself.
        """
        x, real = self.tokens(features, lengths)
        maps = []
        for layer in self.layers:
            x, weights = layer(x, real)  # (batch, heads, from, to)
            maps.append(weights[:, :, 0, 1:].unflatten(2, (-1, self.rows)))
        return torch.stack(maps, dim=1)


class Layer(nn.Module):
    """Attention, then two linear layers; each adds to its input, which is normalised first (Xiong et al. 2020)."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(2 * width, width),
            nn.Dropout(dropout),
        )

    def forward(self, x: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        y, weights = self.attention(self.attention_norm(x), real)
        x = x + y
        return x + self.mlp(self.mlp_norm(x)), weights


class Attention(nn.Module):
    """Scaled dot-product attention with several heads (Vaswani et al. 2017, eq. 1)."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (batch, tokens, width) and which are real, to as many tokens and weights (batch, heads, from, to)."""
        query, key, value = self.query_key_value(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
        weights = scores.masked_fill(~real[:, None, None, :], -torch.inf).softmax(dim=3)
        y = (self.dropout(weights) @ value).transpose(1, 2).flatten(2)  # heads side by side
        return self.dropout(self.out(y)), weights


def sinusoids(positions: int, width: int, device: torch.device | None = None) -> Tensor:
    """Positions in time as waves of many lengths (positions, width) (Vaswani et al. 2017, section 3.5)."""
    rate = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10_000.0) / width))
    angle = torch.arange(positions, device=device).unsqueeze(1) * rate
    return torch.cat([angle.sin(), angle.cos()], dim=1)
