"""Exercise 6: NT-Xent."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from model_neural import contrastive
from notebooks.exercises.checks import array, near, require, right


def points(count: int = 12) -> Tensor:
    """Random points (count, 5) of different lengths."""
    z = torch.randn(count, 5, generator=torch.Generator().manual_seed(0))
    return z * torch.linspace(0.5, 3, count).unsqueeze(1)


def cosines(answer: Callable[[Tensor], Tensor]) -> None:
    """The cosines (n, n) between points (n, dims)."""
    z = points()
    found = array(answer(z), (12, 12), "what `cosines` returns")
    require(
        not near(found, array(z @ z.T, (12, 12), "")),
        "these are the inner products: a point that is longer gets larger ones. A cosine has no length in it.",
    )
    require(near(found.diagonal(), torch.ones(12).numpy()), "the cosine of a point and itself should be 1.")
    require(
        near(found, array(_cosines(z), (12, 12), "")), "these are not the cosines of the angles between the points."
    )
    right("between -1 and 1, whatever the lengths.")


def nt_xent(answer: Callable[[Tensor, float], Tensor]) -> None:
    """The loss (a scalar) of points (2N, dims)."""
    z, temperature = points().requires_grad_(), 0.5
    loss = answer(z, temperature)
    value = float(array(loss, (), "what `nt_xent` returns"))
    cosine = _cosines(z.detach())
    scaled, other = cosine / temperature, torch.arange(12).roll(6)
    positive = scaled[torch.arange(12), other]
    neighbours = torch.arange(12) ^ 1  # rows 0 and 1, 2 and 3, ...
    off_diagonal = scaled.clone().fill_diagonal_(-torch.inf)
    mistakes = {
        "the sum includes the point itself, which is always most similar: leave it out.": (
            scaled.logsumexp(1) - positive
        ).mean(),
        "the sum leaves out the other view. Only the point itself does not belong into it.": (
            off_diagonal.scatter(1, other.unsqueeze(1), -torch.inf).logsumexp(1) - positive
        ).mean(),
        "you take neighbouring rows for the two views of a clip. They are N rows apart.": (
            off_diagonal.logsumexp(1) - scaled[torch.arange(12), neighbours]
        ).mean(),
        "the cosines are not divided by the temperature.": (
            cosine.clone().fill_diagonal_(-torch.inf).logsumexp(1) - positive * temperature
        ).mean(),
        "only the first views are averaged over. Every point has to find its other view.": (
            (off_diagonal.logsumexp(1) - positive)[:6].mean()
        ),
        "that is the sum over the points, not their mean.": (off_diagonal.logsumexp(1) - positive).sum(),
    }
    for message, wrong in mistakes.items():
        require(abs(value - wrong.item()) > 1e-5, message)
    expected = contrastive.nt_xent(F.normalize(z.detach(), dim=1), torch.arange(6).repeat(2), temperature)
    require(abs(value - expected.item()) < 1e-5, f"for some random points the loss is {value:.4f}, not {expected:.4f}.")
    require(loss.requires_grad, "the loss has no gradient: was it detached, or made a number?")
    loss.backward()
    require(bool(z.grad.isfinite().all()), "the gradient of the loss is not finite.")
    guess = float(answer(torch.ones(8, 4), 0.1))
    require(abs(guess - math.log(7)) < 1e-4, f"if all of 8 points are the same, the loss is {guess:.4f}, not log 7.")
    right("each point against all others but itself.")


def nearest_agrees(answer: Callable[[Tensor, Tensor, Tensor], float]) -> None:
    """The share of points whose nearest one by another speaker has the same label."""
    angles = torch.tensor([0.0, 1.0, 2.0, 90.0, 91.0, 95.0]).deg2rad()
    z = torch.stack([angles.cos(), angles.sin()], dim=1) * torch.tensor([[1.0], [1.0], [9.0], [1.0], [1.0], [1.0]])
    speakers = torch.tensor([0, 0, 1, 0, 1, 1])
    for labels, share in (([3, 3, 3, 7, 7, 7], 1.0), ([3, 3, 7, 7, 3, 3], 0.0), ([3, 7, 7, 3, 3, 7], 4 / 6)):
        found = float(array(answer(z, torch.tensor(labels), speakers), (), "what `nearest_agrees` returns"))
        own = _cosines(z).fill_diagonal_(-torch.inf).argmax(1)
        anyone = (torch.tensor(labels)[own] == torch.tensor(labels)).float().mean().item()
        require(
            abs(found - share) < 1e-6 or abs(found - anyone) > 1e-6,
            f"you find {found:.0%} where it should be {share:.0%}: clips of the same speaker are among the nearest.",
        )
        require(abs(found - share) < 1e-6, f"you find {found:.0%} where it should be {share:.0%}.")
    right("only other people's clips count.")


def _cosines(z: Tensor) -> Tensor:
    """The cosines (n, n) between points (n, dims)."""
    z = F.normalize(z, dim=1)
    return z @ z.T
