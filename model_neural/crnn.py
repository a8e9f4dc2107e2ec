"""A convolutional recurrent network for strings of digits of unknown number, with or without pauses between them.

It labels every 40 ms of a recording with a digit or with the blank, trained by connectionist temporal classification
(CTC; Graves et al. 2006). Convolutions before a recurrent layer with CTC are from Shi et al. 2015. It looks 0.16 s
ahead, and its recurrent layer runs forwards alone, so that it can follow a sound as it arrives.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_neural.resnet import Block, MaskedConv, inside

BLANK = 10  # the label of a step at which no digit ends


@dataclass(frozen=True)
class CRNNConfig:
    """`channels` has one entry per residual block; the first block keeps the bands, the others halve them."""

    n_mels: int = 40
    channels: tuple[int, int, int] = (16, 32, 64)
    width: int = 128  # of the layer that combines the bands of a step
    units: int = 128  # of the recurrent layer
    dropout: float = 0.1  # of whole channels, inside the blocks
    head_dropout: float = 0.3
    classes: int = 10


class CRNN(nn.Module):
    """`encode`, then `label`, label each step. `forward` has the contract of all models, for clips of one digit.

    A step is `STRIDE` frames. The frames after the end of a clip are set to zero before every convolution, so a clip's
    labels do not depend on how much padding its batch adds. For a sound that arrives piece by piece, `encode` needs
    `CONTEXT` frames on both sides of the piece, and `label` the recurrent layer's state after the piece before.
    """

    STRIDE = 4  # frames of a step
    CONTEXT = 16  # frames before and after a step's own, its first, that the convolutions see

    def __init__(self, config: CRNNConfig):
        super().__init__()
        first, second, third = config.channels
        bands = -(-config.n_mels // 8)
        self.stem = MaskedConv(1, first, 5, (2, 2))
        self.blocks = nn.ModuleList(
            [
                Block(first, first, (1, 1), config.dropout),
                Block(first, second, (1, 2), config.dropout),
                Block(second, third, (2, 2), config.dropout),
            ]
        )
        self.combine = nn.Sequential(
            nn.Conv1d(third * bands, config.width, 1, bias=False), nn.BatchNorm1d(config.width), nn.ReLU()
        )
        self.recurrent = nn.GRU(config.width, config.units, batch_first=True)
        self.head = nn.Sequential(nn.Dropout(config.head_dropout), nn.Linear(config.units, config.classes + 1 + 2))

    def encode(self, features: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Features (batch, frames, mels) with lengths in frames to (batch, steps, width) with lengths in steps."""
        x, lengths = self.stem(features.unsqueeze(1), lengths)
        x = torch.relu(x)
        for block in self.blocks:
            x, lengths = block(x, lengths)
        return self.combine(x.transpose(2, 3).flatten(1, 2)).transpose(1, 2), lengths

    def label(self, encoded: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """What is said at each step.

        Args:
            encoded: (batch, steps, width), from `encode`.
            state: of the recurrent layer, from the call for the steps before; None at the beginning.

        Returns:
            The logarithms of the probabilities (batch, steps, 11) of the ten digits and of the blank; for each step
            the seconds (batch, steps, 2) that have passed since the start and since the end of the digit that ends
            there, meaningful only if one does; and the state.
        """
        with torch.autocast(encoded.device.type, enabled=False):  # a recurrent layer gains nothing from bfloat16
            hidden, state = self.recurrent(encoded.float(), state)
            labels, passed = self.head(hidden).split([BLANK + 1, 2], dim=2)
        return labels.log_softmax(2), passed, state

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Features (batch, frames, mels) with lengths (batch,) in frames to logits (batch, 10).

        A logit is the log odds of hearing just this digit against hearing none.
        """
        encoded, steps = self.encode(features, lengths)
        labels, _, _ = self.label(encoded)
        valid = inside(labels.shape[1], steps).squeeze(1)
        nothing = (labels[..., BLANK] * valid).sum(1)  # the log-probability of blanks alone
        repeated = labels.transpose(0, 1).repeat_interleave(10, dim=1)  # (steps, batch x 10, 11)
        digits = torch.arange(10, device=labels.device).repeat(len(labels)).unsqueeze(1)
        one = torch.ones_like(steps).repeat_interleave(10)
        losses = F.ctc_loss(repeated, digits, steps.repeat_interleave(10), one, blank=BLANK, reduction="none")
        return -losses.unflatten(0, (-1, 10)) - nothing.unsqueeze(1)
