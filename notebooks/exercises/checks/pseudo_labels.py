"""Exercise 8: one speaker and pseudo-labels."""

from collections.abc import Callable

import torch
from torch import Tensor

from notebooks.exercises.checks import NotYet, array, near, require, right
from utils.training import self_training


def posteriors(clips: int = 60) -> Tensor:
    """Random posteriors (clips, 10), in which some digits are far too frequent."""
    logits = torch.randn(clips, 10, generator=torch.Generator().manual_seed(0))
    return (2 * logits + torch.linspace(-1, 1, 10)).softmax(1)


def balance(answer: Callable[[Tensor], Tensor]) -> None:
    """Posteriors whose digits are equally frequent."""
    given = posteriors()
    found = array(answer(given.clone()), (60, 10), "what `balance` returns")
    rows, columns = found.sum(1), found.sum(0)
    require(
        near(rows, torch.ones(60).numpy(), 1e-3),
        f"the rows add up to {rows.min():.3f} to {rows.max():.3f}; each should add up to 1.",
    )
    require(
        near(columns, torch.full((10,), 6.0).numpy(), 0.01),
        f"the columns add up to {columns.min():.2f} to {columns.max():.2f}; with 60 clips each digit should have 6.",
    )
    expected = array(self_training.balance(given, 200), (60, 10), "")
    require(near(found, expected, 0.01), "rows and columns have been changed by more than a factor for each.")
    sure = torch.eye(10).repeat(3, 1) * 0.9 + 0.01
    require(
        near(array(answer(sure), (30, 10), ""), sure.numpy(), 1e-4), "what is balanced already should stay as it is."
    )
    right("each digit equally often, and each row a probability.")


def smooth(answer: Callable[[Tensor, Tensor, int], Tensor]) -> None:
    """Posteriors averaged over nearest neighbours."""
    generator = torch.Generator().manual_seed(0)
    directions = torch.randn(6, 8, generator=generator)
    points = directions.repeat(10, 1) + 0.2 * torch.randn(60, 8, generator=generator)
    points = 5 + points * (0.5 + torch.rand(60, 1, generator=generator))
    given = posteriors()
    for count in (1, 4, 10):
        found = array(answer(given.clone(), points.clone(), count), (60, 10), "what `smooth` returns")
        expected = self_training.smooth_over_neighbours(given, points, count).numpy()
        require(
            count > 1 or near(found, given.numpy()),
            "with a count of 1 each clip keeps its own posterior: the nearest clip to a clip is itself.",
        )
        plain = torch.nn.functional.normalize(points, dim=1)
        uncentred = given[(plain @ plain.T).topk(count).indices].mean(1).numpy()
        inner = points - points.mean(0)
        uneven = given[(inner @ inner.T).topk(count).indices].mean(1).numpy()
        require(near(found, expected) or not near(found, uncentred), "the mean over all clips has not been subtracted.")
        require(near(found, expected) or not near(found, uneven), "those are inner products, not cosines.")
        require(
            near(found, expected), f"with a count of {count}, these are not the means over the nearest {count} clips."
        )
    try:
        few = answer(given[:5], points[:5], 20)
    except RuntimeError as error:
        raise NotYet(f"with five clips and a count of 20, there are only five to average over: {error}") from None
    everyone = given[:5].mean(0).expand(5, 10).numpy()
    require(near(array(few, (5, 10), "what `smooth` returns"), everyone), "with five clips, average over all five.")
    right("each clip, and those that sound like it.")


def choose(answer: Callable[[Tensor, float], tuple[Tensor, Tensor]]) -> None:
    """The most confident clips of each digit, and their digits."""
    given = posteriors(200)
    for share in (0.3, 0.6, 0.001):
        found = answer(given.clone(), share)
        require(isinstance(found, tuple) and len(found) == 2, "`choose` returns two things: the clips, their digits.")
        rows, digits = (torch.as_tensor(part) for part in found)
        require(
            rows.ndim == 1 and rows.shape == digits.shape and not rows.is_floating_point(),
            f"the numbers of the clips have the shape {tuple(rows.shape)}, the digits {tuple(digits.shape)}.",
        )
        require(len(rows.unique()) == len(rows), "a clip is chosen twice.")
        require(
            bool((given[rows].argmax(1) == digits).all()), "the digits are not those predicted for the chosen clips."
        )
        expected = torch.as_tensor(self_training.pseudo_labels(given, share)[1]).bincount(minlength=10)
        counts = digits.bincount(minlength=10)
        require(
            bool((counts == expected).all()),
            f"of 200 clips and a share of {share:g}, you choose {counts.tolist()} clips of the ten digits, not "
            f"{expected.tolist()}. Is it the most confident of each digit, or of all?",
        )
        confidence = given.max(1).values
        for digit in range(10):
            chosen = torch.isin(torch.arange(200), rows)
            same = given.argmax(1) == digit
            left = confidence[same & ~chosen].max().item() if (same & ~chosen).any() else 0.0
            worst = confidence[same & chosen].min().item()
            require(worst >= left, f"a clip of {digit} with {worst:.0%} is chosen, and one with {left:.0%} is not.")
    right("the most confident clips of each digit.")
