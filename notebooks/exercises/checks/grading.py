"""Exercise 9: grading a friend's model."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from notebooks.exercises.checks import array, require, right
from utils.evaluation.significance import clustered_interval


def interval(answer: Callable[..., tuple[float, float]]) -> None:
    """A 95 % interval by a bootstrap of speakers and their clips."""
    speakers = np.repeat(["ada", "bo", "cy", "dee"], (40, 40, 40, 40))

    def call(hits: np.ndarray) -> np.ndarray:
        found = answer(hits.copy(), speakers, 1000, np.random.default_rng(0))
        return array(found, (2,), "what `interval` returns")

    alike = np.tile(np.arange(40) % 10 > 0, 4)  # each speaker at 90 %
    low, high = call(alike)
    require(low <= high, f"the low end, {low:.2f}, is above the high end, {high:.2f}.")
    require(low < 0.9 < high, f"an accuracy of 90 % has the interval {low:.1%} to {high:.1%}, which it is not in.")
    apart = np.repeat([True, True, True, False], 40)  # each speaker all right or all wrong
    low, high = call(apart)
    clips_alone = 2 * 1.96 * np.sqrt(0.75 * 0.25 / 160)
    require(
        high - low > 2 * clips_alone,
        f"three speakers are always right and one always wrong, and your interval is {low:.0%} to {high:.0%}: it draws "
        "clips, as if everybody spoke alike. Draw speakers first.",
    )
    low, high = call(alike)
    require(high - low > 0.04, "the speakers are drawn, but their clips are always the same ones.")
    for hits in (alike, apart):
        found, expected = call(hits), clustered_interval(hits, speakers)
        require(
            bool(np.abs(found - expected).max() < 0.03),
            f"an interval is {found[0]:.1%} to {found[1]:.1%}, and should be about {expected[0]:.1%} to "
            f"{expected[1]:.1%}: from the 2.5th to the 97.5th percentile.",
        )
    right("other speakers, and other clips of each of them.")


def verdict(answer: Callable[[float, float, float], str]) -> None:
    """A word about a claim."""
    for claimed, expected in ((0.99, "refuted"), (0.95, "compatible"), (0.97, "compatible"), (0.80, "modest")):
        found = answer(claimed, 0.93, 0.97)
        require(
            found == expected,
            f"with an interval from 93 % to 97 %, a claim of {claimed:.0%} is {expected}, not {found}.",
        )
    right("only what is above the interval is refuted.")


def leaked_speakers(answer: Callable[[list[str], list[str]], list[str]]) -> None:
    """Names on both sides."""
    for trained, tested, expected in (
        (["ada", "bo"], ["cy", "bo"], ["bo"]),
        (["ada"], ["cy"], []),
        (["Lucas", "bo "], ["lucas", "bo"], ["bo", "lucas"]),
        (["J\u00dcRGEN"], ["ju\u0308rgen ", "ju\u0308rgen "], ["ju\u0308rgen "]),
    ):
        found = answer(list(trained), list(tested))
        require(isinstance(found, list), f"`leaked_speakers` returns {type(found).__name__}, not a list.")
        both = f"trained on {trained} and tested on {tested}"
        require(
            found == expected or set(found) - set(expected) or not expected,
            f"{both}, you find {found}, not {expected}. Do case, accents and spaces at the ends hide somebody?",
        )
        require(found == expected, f"{both}, you find {found}, not {expected}.")
    right("the same person, however the name is written.")


class _Model(nn.Module):
    """The mean over a clip's frames to logits; `how` says which fault it has."""

    def __init__(self, how: str):
        super().__init__()
        torch.manual_seed(0)
        self.how, self.head, self.dropout = how, nn.Linear(4, 10), nn.Dropout(0.5)

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        inside = (torch.arange(features.shape[1]) < lengths.unsqueeze(1)).unsqueeze(2)
        mean = (features * inside).sum(1) / lengths.unsqueeze(1)
        logits = self.head(self.dropout(mean))
        if self.how == "counts":
            return logits - logits.softmax(1).mean(0) * (len(logits) > 1)
        if self.how == "looks at the padding":
            return logits + 0.1 * (features.shape[1] - lengths).unsqueeze(1)
        if self.how == "is unsure in a batch":  # the predictions stay the same
            return logits * (0.9 if len(logits) > 1 else 1.0)
        return logits


def answers_alone(answer: Callable[[nn.Module, Tensor, Tensor], bool]) -> None:
    """Whether a model's logits are the same alone as in a batch."""
    lengths = torch.tensor([9, 4, 6])
    features = torch.randn(3, 9, 4, generator=torch.Generator().manual_seed(0))
    features = features.masked_fill(~(torch.arange(9) < lengths.unsqueeze(1)).unsqueeze(2), -2.75)
    found = answer(_Model("").train(), features, lengths)
    require(isinstance(found, bool | np.bool_), f"`answers_alone` returns {type(found).__name__}, not True or False.")
    require(found, "an honest model is accused: is it in evaluation mode, and are its clips cut to their lengths?")
    for how in ("counts", "looks at the padding", "is unsure in a batch"):
        require(not answer(_Model(how).train(), features, lengths), f"a model that {how} is not noticed.")
    right("what counts, looks at the padding or is otherwise unlike itself in a batch is noticed.")
