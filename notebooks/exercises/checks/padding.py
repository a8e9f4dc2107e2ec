"""Exercise 3: padding and masks."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from notebooks.exercises.checks import NotYet, array, near, require, right
from utils.experiments import contract

OverTime = Callable[[Tensor, Tensor], Tensor]
LENGTHS = torch.tensor([3, 5, 1])


def batch(padding: float) -> Tensor:
    """Clips (3, 5, 2) with negative values only, padded with a value."""
    x = -1 - torch.rand(3, 5, 2, generator=torch.Generator().manual_seed(0))
    for clip, length in zip(x, LENGTHS, strict=True):
        clip[length:] = padding
    return x


def inside(answer: Callable[[Tensor, int], Tensor]) -> None:
    """A mask (batch, frames)."""
    found = answer(LENGTHS, 5)
    array(found, (3, 5), "what `inside` returns")
    require(isinstance(found, Tensor) and found.dtype == torch.bool, "`inside` returns no tensor of bool.")
    counts = found.sum(1).tolist()
    require(counts != [4, 5, 2], "your mask lets the first padded frame count: a clip of 3 frames has 0, 1 and 2.")
    require(
        counts != [2, 0, 4], "your mask is the wrong way round: it is true in the padding and should be true inside."
    )
    expected = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]], dtype=torch.bool)
    require(bool((found == expected).all()), f"lengths of 3, 5 and 1 give {found.int().tolist()}.")
    right("true inside each clip, false in its padding.")


def mean_over_time(answer: OverTime) -> None:
    """The mean over the frames of each clip."""
    found = _over_time(answer, "mean_over_time")
    own = [batch(0.0)[row, :length].sum(0) for row, length in enumerate(LENGTHS)]
    whole = array(torch.stack(own) / 5, (3, 2), "the sum")
    require(
        not near(found, whole),
        "you divide by the number of frames of the batch. Divide by the length of each clip.",
    )
    expected = torch.stack([total / length for total, length in zip(own, LENGTHS, strict=True)])
    require(near(found, array(expected, (3, 2), "")), "the result is not the mean of each clip's own frames.")
    right("each clip's own frames, divided by its own length.")


def maximum_over_time(answer: OverTime) -> None:
    """The maximum over the frames of each clip."""
    found = _over_time(answer, "maximum_over_time")
    require(
        bool((found < 0).all()),
        "all values of these clips are negative, and your maximum is not: zero does not lose every comparison.",
    )
    expected = torch.stack([batch(0.0)[row, :length].amax(0) for row, length in enumerate(LENGTHS)])
    require(near(found, array(expected, (3, 2), "")), "the result is not the maximum of each clip's own frames.")
    right("each clip's own maximum, even if all of it is negative.")


def attention_over_time(answer: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
    """The weighted mean over the frames of each clip."""
    for scores in (torch.zeros(3, 5), torch.rand(3, 5, generator=torch.Generator().manual_seed(1)) * 4 - 5):
        ones = array(answer(torch.ones(3, 5, 2), scores, LENGTHS), (3, 2), "what `attention_over_time` returns")
        total = ones[0, 0]
        require(
            near(ones, torch.ones(3, 2).numpy()),
            f"the weights of a clip of 3 frames in a batch of 5 add up to {total:.2f}, not to 1. Was the mask applied "
            "after the softmax?",
        )
        found = _over_time(lambda x, lengths, s=scores: answer(x, s, lengths), "attention_over_time")
        own = [
            scores[row, :length].softmax(0) @ batch(0.0)[row, :length] for row, length in enumerate(LENGTHS.tolist())
        ]
        require(
            near(found, array(torch.stack(own), (3, 2), "")),
            "the result is not the mean of each clip's own frames, weighted by the softmax of their scores.",
        )
    right("the weights of each clip's own frames add up to 1.")


def after_stride(answer: Callable[[Tensor, int], Tensor]) -> None:
    """Lengths after a stride."""
    lengths = torch.arange(1, 10)
    for stride in (1, 2, 3):
        found = array(answer(lengths, stride), (9,), "what `after_stride` returns")
        require(
            found[0] != 0, f"with a stride of {stride}, a clip of one frame has none left: the division rounds down."
        )
        expected = [len(range(0, length, stride)) for length in lengths.tolist()]
        require(
            found.tolist() == expected,
            f"with a stride of {stride}, clips of 1 to 9 frames keep {found.tolist()}, not {expected}.",
        )
    right("what is left of a clip, down to a single frame.")


class Network(nn.Module):
    """A convolution with a stride, three kinds of pooling over time, and a linear layer."""

    def __init__(self, before_convolution, after_stride, mean_over_time, maximum_over_time, attention_over_time):
        super().__init__()
        self.before_convolution, self.after_stride = before_convolution, after_stride
        self.mean, self.maximum, self.attention = mean_over_time, maximum_over_time, attention_over_time
        torch.manual_seed(0)
        self.conv = nn.Conv1d(40, 24, 7, stride=2, padding=3)
        self.score = nn.Linear(24, 1)
        self.head = nn.Linear(3 * 24, 10)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Features (batch, frames, mels) with lengths (batch,) in frames to logits (batch, 10)."""
        x = self.conv(self.before_convolution(features, lengths).transpose(1, 2)).transpose(1, 2)
        lengths = self.after_stride(lengths, 2)
        pooled = [self.mean(x, lengths), self.maximum(x, lengths)]
        return self.head(torch.cat([*pooled, self.attention(x, self.score(x).squeeze(2), lengths)], dim=1))


def network(*functions: Callable) -> None:
    """The contract's promises about padding and batches."""
    try:
        for check in (contract.check_shapes, contract.check_padding, contract.check_batch, contract.check_gradients):
            check(lambda: Network(*functions))
    except contract.ContractError as broken:
        raise NotYet(f"the network breaks the contract: {broken}") from None
    right("a clip's logits are the same, whatever its batch.")


def _over_time(answer: OverTime, name: str):
    """What an answer makes of the clips (3, 2), which must not depend on the value of the padding."""
    found = array(answer(batch(0.0), LENGTHS), (3, 2), f"what `{name}` returns")
    for padding in (100.0, -100.0):
        other = array(answer(batch(padding), LENGTHS), (3, 2), f"what `{name}` returns")
        require(near(other, found), f"`{name}` lets padded frames count: their value changes the result.")
    return found
