"""Exercise 4: a depthwise-separable CNN in one file."""

import dataclasses

import torch
from torch import nn

from notebooks.exercises.checks import NotYet, require, right
from utils.evaluation.metrics import cost
from utils.experiments import contract

PARAMETERS, MULTIPLY_ADDS = 20_000, 2_000_000  # at most, for a second of speech


def layer(answer: type[nn.Module]) -> None:
    """A layer `answer(before, after, kernel, stride)`."""
    torch.manual_seed(0)
    before, after, kernel = 6, 10, 7
    made = answer(before, after, kernel, 2)
    weights = {name: weight.numel() for name, weight in made.named_parameters()}
    counted, expected = sum(weights.values()), before * kernel + before * after + 2 * after
    largest = max(weights, key=lambda name: weights[name], default="")
    require(
        weights.get(largest, 0) < before * kernel * min(before, after),
        f"{largest} has {weights.get(largest)} weights: it is an ordinary convolution, which mixes all channels. "
        "`groups` keeps them apart.",
    )
    require(
        counted == expected,
        f"the layer from {before} channels to {after}, {kernel} frames wide, has {counted} parameters, not {expected}: "
        f"{before} x {kernel} depthwise, {before} x {after} pointwise, and a scale and a shift for each of {after} "
        "channels in the normalisation.",
    )
    made.eval()
    lengths = torch.tensor([9, 4])
    x = torch.randn(2, before, 9)
    for stride, frames in ((1, [9, 4]), (2, [5, 2])):
        found = answer(before, after, kernel, stride).eval()(x, lengths)
        require(isinstance(found, tuple) and len(found) == 2, "`forward` returns two things: the output, the lengths.")
        require(
            found[0].shape == (2, after, frames[0]),
            f"with a stride of {stride}, 9 frames become {tuple(found[0].shape)}, not (2, {after}, {frames[0]}).",
        )
        require(
            found[1].tolist() == frames,
            f"with a stride of {stride}, lengths of 9 and 4 become {found[1].tolist()}, not {frames}.",
        )
    require(
        made(x, torch.tensor([9, 3]))[1].tolist() == [5, 2],
        "a clip of 3 frames has 2 left after a stride of 2: round up.",
    )
    other = x.clone()
    other[1, :, 4:] = 5.0
    with torch.no_grad():
        change = (made(x, lengths)[0] - made(other, lengths)[0])[1, :, :2].abs().max().item()
        negative = (made(x, lengths)[0] < 0).any()
    require(change < 1e-6, "the layer looks at the padding: what is after the end of a clip changes its frames.")
    require(not negative, "the output has negative values: where is the ReLU?")
    right("depthwise, pointwise, and blind to padding.")


def network(answer: type[nn.Module], settings: type) -> None:
    """The whole contract, and the budget."""
    require(dataclasses.is_dataclass(settings), f"{settings.__name__} is no dataclass.")
    for name, check in contract.CHECKS.items():
        try:
            check(lambda: answer(settings()))
        except contract.ContractError as broken:
            raise NotYet(f"the contract's promise `{name}` is broken: {broken}") from None
    counted = cost(answer(settings()), contract.FEATURES)
    parameters, multiply_adds = counted["parameters"], counted["multiply_adds"]
    require(parameters <= PARAMETERS, f"{parameters:,} parameters are more than {PARAMETERS:,}.")
    require(
        multiply_adds <= MULTIPLY_ADDS,
        f"{multiply_adds / 1e6:.2f} million multiply-adds are more than {MULTIPLY_ADDS / 1e6:g}. Does every layer "
        "after the first halve the frames?",
    )
    model = answer(settings()).eval()
    width = 2 * settings().channels[-1]
    with torch.no_grad():
        found = tuple(model.embed(torch.zeros(3, 30, 40), torch.tensor([30, 20, 10])).shape)
    require(
        found == (3, width), f"`embed` returns the shape {found}, not (3, {width}): mean and maximum, side by side."
    )
    right(f"all promises kept, with {parameters:,} parameters and {multiply_adds / 1e6:.2f} million multiply-adds.")
