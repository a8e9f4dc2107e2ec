"""Is one model better than another, or was it luck? Paired tests on what both heard in the same clips."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from utils import InputError
from utils.evaluation import results


def correct(experiment: str, split: str, part: str = "TEST", store: Path = results.STORE) -> pd.DataFrame:
    """Which clips a model heard right: a row a clip (its identifier, and `speaker`), a column a seed, 0 or 1.

    Raises:
        InputError: the store has no run of this experiment and split.
    """
    paths = sorted((store / experiment / split).glob("seed-*.json"))
    if not paths:
        raise InputError(f"{store}: no run of {experiment} by {split}; make one with `sdr reproduce`")
    columns = {}
    for path in paths:
        heard = results.load_predictions(path).query("split == @part").set_index(["identifier", "speaker"])
        columns[int(path.stem.removeprefix("seed-"))] = (heard["label"] == heard["predicted"]).astype(int)
    return pd.DataFrame(columns).sort_index(axis=1).reset_index("speaker")


def mcnemar(one: np.ndarray, other: np.ndarray) -> float:
    """The exact McNemar test (McNemar 1947): p that models equally good differ as much or more, either way.

    Only clips that one model heard right and the other wrong count; were the models equally good, each such clip
    would fall to either side like a coin.

    Args:
        one, other: (clips,) whether each model is right.
    """
    wins, losses = int((one > other).sum()), int((one < other).sum())
    return float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def paired_bootstrap(
    one: np.ndarray, other: np.ndarray, speakers: np.ndarray, draws: int = 10_000
) -> tuple[float, float, float, float]:
    """How much more often `one` is right: the difference, its 95 % interval, and p of no difference (Efron 1979).

    Clips are drawn anew within each speaker, the same for both models, so what is hard for both cancels.

    Args:
        one, other: (clips,) whether each model is right, or how often, from 0 to 1, over its seeds.
        speakers: (clips,) names.
    """
    random, differences = np.random.default_rng(0), one - other
    sums = np.zeros(draws)
    for name in np.unique(speakers):
        own = differences[speakers == name]
        values, counts = np.unique(own, return_counts=True)  # a draw only has to say how often each value comes
        sums += random.multinomial(len(own), counts / len(own), size=draws) @ values
    drawn = sums / len(differences)
    low, high = np.quantile(drawn, [0.025, 0.975])
    against = min((drawn <= 0).sum(), (drawn >= 0).sum())
    p = 2 * (against + 1) / (draws + 1)  # the clips as they are count as a draw too (Davison and Hinkley 1997, 4.2)
    return float(differences.mean()), float(low), float(high), float(min(1.0, p))


def holm(p: Sequence[float]) -> np.ndarray:
    """p values corrected for their number (Holm 1979): the chance that any of them is as small by luck stays p."""
    values = np.asarray(p, dtype=float)
    order = values.argsort(kind="stable")
    scaled = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    corrected = np.empty_like(values)
    corrected[order] = scaled.clip(max=1.0)
    return corrected


def compare(experiments: Sequence[str], split: str = "course", store: Path = results.STORE) -> pd.DataFrame:
    """All pairs of models on the same TEST clips.

    Returns:
        A row a pair: `better`, `worse` (by the mean), the `difference` in points with its interval `low` to `high`
        and `p bootstrap`, all over the mean of each model's seeds; and `p McNemar`, the median over the pairs of
        seeds that have the same number, or of all pairs where one model has a single seed. Both p are corrected
        for the number of pairs (see `holm`).
    """
    heard = {name: correct(name, split, store=store) for name in experiments}
    rows = []
    for pair in itertools.combinations(experiments, 2):
        tables = sorted((heard[name].drop(columns="speaker") for name in pair), key=lambda t: -t.to_numpy().mean())
        names = sorted(pair, key=lambda name: -heard[name].drop(columns="speaker").to_numpy().mean())
        better, worse = tables[0], tables[1].loc[tables[0].index]
        difference, low, high, p = paired_bootstrap(
            better.mean(axis=1).to_numpy(), worse.mean(axis=1).to_numpy(), heard[names[0]]["speaker"].to_numpy()
        )
        seeds = [(a, b) for a in better for b in worse if a == b or 1 in (better.shape[1], worse.shape[1])]
        tests = [mcnemar(better[a].to_numpy(), worse[b].to_numpy()) for a, b in seeds]
        rows.append((*names, 100 * difference, 100 * low, 100 * high, p, float(np.median(tests))))
    table = pd.DataFrame(rows, columns=["better", "worse", "difference", "low", "high", "p bootstrap", "p McNemar"])
    for column in ("p bootstrap", "p McNemar"):
        table[column] = holm(table[column])
    return table


def over_seeds(one: Mapping[int, float], other: Mapping[int, float]) -> tuple[float, float, int]:
    """How much better `one` is with the same seeds: the mean difference, p of none (paired t-test), how many seeds.

    Args:
        one, other: accuracies by seed; seeds that only one of them has do not count. Below three p is nan.
    """
    seeds = sorted(one.keys() & other.keys())
    difference = np.array([one[seed] - other[seed] for seed in seeds])
    p = float(stats.ttest_1samp(difference, 0).pvalue) if len(seeds) > 2 else float("nan")
    return float(difference.mean()), p, len(seeds)
