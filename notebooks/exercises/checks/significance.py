"""Exercise 7: significance, the right way round."""

from collections.abc import Callable

import numpy as np
from scipy import stats

from notebooks.exercises.checks import array, near, require, right
from utils.evaluation import significance


def mcnemar(answer: Callable[[np.ndarray, np.ndarray], float]) -> None:
    """A p-value from two arrays (clips,) of 0 and 1."""
    for both, wins, losses, neither in ((80, 12, 3, 5), (80, 3, 12, 5), (10, 6, 5, 2), (300, 9, 0, 30)):
        one = np.repeat([1, 1, 0, 0], (both, wins, losses, neither))
        other = np.repeat([1, 0, 1, 0], (both, wins, losses, neither))
        found = float(array(answer(one.copy(), other.copy()), (), "what `mcnemar` returns"))
        expected = significance.mcnemar(one, other)
        case = f"with {wins} clips won and {losses} lost p is {expected:.4f}, not {found:.4f}"
        one_sided = [stats.binomtest(wins, wins + losses, alternative=side).pvalue for side in ("greater", "less")]
        require(
            abs(found - expected) < 1e-9 or min(abs(found - p) for p in one_sided) > 1e-9,
            f"{case}: that is one side only. Nobody knew which model would be ahead.",
        )
        all_clips = stats.binomtest(both + wins, both + wins + losses + neither).pvalue
        halves = stats.binomtest(both + wins, 2 * both + wins + losses).pvalue
        require(
            abs(found - expected) < 1e-9 or min(abs(found - all_clips), abs(found - halves)) > 1e-9,
            f"{case}: the clips that both models got right have been counted as tosses.",
        )
        require(abs(found - expected) < 1e-9, f"{case}.")
    same = np.array([1, 0, 1])
    require(answer(same, same) == 1.0, "two models that are right on the same clips have p = 1.")
    right("only the clips that one model alone gets right, and both sides.")


def bootstrap(answer: Callable[..., np.ndarray]) -> None:
    """Differences (draws,) of resampled accuracies."""
    generator = np.random.default_rng(1)
    speakers = np.repeat(["ada", "bo"], (120, 280))
    other = (generator.random(400) < 0.8).astype(int)
    one = np.where(generator.random(400) < 0.1, 1, other)

    def call(one: np.ndarray, other: np.ndarray, draws: int = 3000) -> np.ndarray:
        found = answer(one.copy(), other.copy(), speakers, draws, np.random.default_rng(0))
        return array(found, (draws,), "what `bootstrap` returns")

    found, observed = call(one, other), (one - other).mean()
    require(
        abs(found.mean() - observed) < 0.003,
        f"`one` is better by {100 * observed:.1f} points, and the mean of your draws is {100 * found.mean():.1f}: they "
        "are accuracies from 0 to 1, of `one` minus `other`, and scatter around the difference observed.",
    )
    require(found.std() > 0, "all draws are the same: clips are drawn with replacement.")
    require(
        bool((call(one, other) == found).all()), "the same generator gives other draws: draw all of them by `random`."
    )
    paired = _deviation([(one - other)[speakers == name] for name in ("ada", "bo")])
    require(
        found.std() < 1.5 * paired,
        f"your draws scatter by {100 * found.std():.1f} points, {found.std() / paired:.1f} times too much: the two "
        "models get different clips. Draw once, for both.",
    )
    require(found.std() > 0.7 * paired, "your draws scatter too little: draw as many clips as there are.")
    by_speaker = call((speakers == "ada").astype(int), (speakers == "bo").astype(int), 100)
    require(
        by_speaker.std() < 1e-9,
        "the number of clips of each speaker changes from draw to draw: draw among the clips of each speaker.",
    )
    require(
        near(by_speaker, np.full(100, -0.4)),
        "a speaker with few clips counts as much as one with many: the accuracy is the mean over all clips.",
    )
    right("the same clips for both models, and as many of each speaker as there are.")


def holm(answer: Callable[[np.ndarray], np.ndarray]) -> None:
    """Corrected p-values (m,)."""
    for p in (
        np.array([0.04, 0.01, 0.03]),
        np.array([0.5, 0.001, 0.9, 0.2]),
        np.array([0.011, 0.02, 0.01, 0.6, 0.012]),
    ):
        found, expected = array(answer(p.copy()), p.shape, "what `holm` returns"), significance.holm(p)
        case = f"{_list(p)} become {_list(found)}"
        require(
            not near(found, (p * len(p)).clip(max=1)) or near(found, expected),
            f"{case}: every value has been multiplied by {len(p)}. That is Bonferroni's correction; Holm's is milder.",
        )
        require(
            not near(found, np.sort(expected)) or near(found, expected),
            f"{case}: these are sorted. Put them back into the order in which they came.",
        )
        require(bool((found <= 1).all()), f"{case}: no probability is above 1.")
        order = np.argsort(p)
        require(
            bool((np.diff(found[order]) >= -1e-12).all()),
            f"{case}: a smaller p has become larger than a larger one. No value may fall below the one before it.",
        )
        require(near(found, expected), f"{case}, and should become {_list(expected)}.")
    right("corrected, in order, and never above 1.")


def false_findings(answer: Callable[[np.ndarray, np.ndarray, float], float]) -> None:
    """The share of significant ideas that do not help."""
    helps = np.arange(40) < 8
    p = np.where(np.arange(40) % 4 == 0, 0.03, 0.3)
    p[:6] = 0.003
    for level in (0.05, 0.01):
        found = float(array(answer(p, helps, level), (), "what `false_findings` returns"))
        expected, turned = (~helps[p < level]).mean(), (p < level)[~helps].mean()
        require(
            abs(found - expected) < 1e-9 or abs(found - turned) > 1e-9,
            "that is the share of the useless ideas that are significant, the other way round. Of the *significant* "
            "ideas, how many are useless?",
        )
        require(
            abs(found - expected) < 1e-9 or abs(found - (1 - expected)) > 1e-9,
            "that is the share of the significant ideas that do help.",
        )
        require(abs(found - expected) < 1e-9, f"you find a share of {found:.2f} where it is {expected:.2f}.")
    right("of the significant ideas, those that do nothing.")


def _deviation(parts: list[np.ndarray]) -> float:
    """The standard deviation of the mean of all clips, if clips are drawn within each part."""
    return float(np.sqrt(sum(len(part) * part.var() for part in parts)) / sum(map(len, parts)))


def _list(values: np.ndarray) -> str:
    return ", ".join(f"{value:.3g}" for value in values)
