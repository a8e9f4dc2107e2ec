"""Is one model better than another, or is the difference chance? Paired tests on the same clips."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from utils import InputError
from utils.evaluation import results

DRAWS = 10_000  # of a bootstrap
ROUNDING = 1e-9  # differences of accuracies below this are due to rounding


def correct(experiment: str, split: str, store: Path = results.STORE) -> pd.DataFrame:
    """Which clips of TEST a model recognised correctly.

    Returns:
        One row per clip, indexed by identifier: its `speaker`, and for each seed a column of 0 and 1.

    Raises:
        InputError: the store has no run of this experiment on this split.
    """
    seeds = results.seeds_of(store, experiment, split)
    if not seeds:
        raise InputError(f"{store}: no run of {experiment} on {split}; `sdr reproduce` makes one")
    paths = {seed: results.result_path(store, experiment, split, seed) for seed in seeds}
    tables = {seed: results.load_predictions(path) for seed, path in paths.items()}
    return correct_by_seed({seed: table[table["split"] == "TEST"] for seed, table in tables.items()})


def correct_by_seed(predictions: Mapping[int, pd.DataFrame]) -> pd.DataFrame:
    """The same for tables of predictions by seed, with the columns of `results.load_predictions`.

    Of a clip that is listed several times, as the models of several folds were tested on it, the share that is correct.
    """
    columns = {}
    for seed, table in predictions.items():
        clips = table.set_index(["identifier", "speaker"])
        right = (clips["label"] == clips["predicted"]).astype(int)
        columns[seed] = right if right.index.is_unique else right.groupby(level=[0, 1], sort=False).mean()
    return pd.DataFrame(columns).sort_index(axis=1).reset_index("speaker")


def clustered_interval(correct: np.ndarray, speakers: np.ndarray) -> list[float]:
    """A 95 % interval for the accuracy, [low, high], by a speaker-clustered bootstrap.

    In two stages (Davison and Hinkley 1997, section 3.8): speakers are resampled, and within each the clips, so that it
    covers the choice of speakers as well, as `metrics.bootstrap_interval` does not. Few speakers say little about
    others: with two it is too narrow, and with one it covers the choice of clips alone.

    Args:
        correct: (clips,) whether each prediction is correct.
        speakers: (clips,) names.
    """
    random = np.random.default_rng(0)
    _, which = np.unique(speakers, return_inverse=True)
    sizes = np.bincount(which)
    times = random.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=DRAWS)  # each speaker is drawn
    hits = random.binomial(times * sizes, np.bincount(which, weights=correct) / sizes)
    return [float(bound) for bound in np.quantile(hits.sum(1) / (times @ sizes), [0.025, 0.975])]


def mcnemar(one: np.ndarray, other: np.ndarray) -> float:
    """The exact McNemar test (McNemar 1947): the two-sided p-value for equally good models.

    Only clips that exactly one of the models recognises correctly count. If the models were equally good, each model
    would be as likely as the other to be the correct one, like a coin toss. Of shares, this is the sign test.

    Args:
        one, other: (clips,) whether each model is correct, or the share of its folds that are, from 0 to 1.
    """
    wins, losses = int((one > other).sum()), int((one < other).sum())
    return float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def paired_bootstrap(
    one: np.ndarray, other: np.ndarray, speakers: np.ndarray, draws: int = DRAWS
) -> tuple[float, float, float, float]:
    """A paired bootstrap test (Efron 1979) of how much more often `one` is correct than `other`.

    Clips are resampled within each speaker, the same clips for both models, so that what is hard for both cancels out.

    Args:
        one, other: (clips,) whether each model is correct, or the share of its seeds that are, from 0 to 1.
        speakers: (clips,) names.

    Returns:
        The difference, the low and high ends of its 95 % interval, and the p-value for no difference.
    """
    random, differences = np.random.default_rng(0), one - other
    sums = np.zeros(draws)
    for name in np.unique(speakers):
        part = differences[speakers == name]
        values, counts = np.unique(part, return_counts=True)  # a resample is fully described by the count of each value
        sums += random.multinomial(len(part), counts / len(part), size=draws) @ values
    resampled = sums / len(differences)
    low, high = np.quantile(resampled, [0.025, 0.975])
    opposite = min((resampled <= 0).sum(), (resampled >= 0).sum())
    p = 2 * (opposite + 1) / (draws + 1)  # the original sample counts as a draw (Davison and Hinkley 1997, section 4.2)
    return float(differences.mean()), float(low), float(high), float(min(1.0, p))


def holm(p: Sequence[float]) -> np.ndarray:
    """p-values corrected for multiple comparisons (Holm 1979), to control the family-wise error rate."""
    values = np.asarray(p, dtype=float)
    order = values.argsort(kind="stable")
    scaled = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    corrected = np.empty_like(values)
    corrected[order] = scaled.clip(max=1.0)
    return corrected


def compare(experiments: Sequence[str], split: str = "course", store: Path = results.STORE) -> pd.DataFrame:
    """Compare all pairs of models on the same TEST clips.

    Returns:
        One row per pair: `better` and `worse` (by mean accuracy); the `difference` in percentage points with its
        interval `low` to `high` and `p bootstrap`, all computed on the mean over each model's seeds; and `p McNemar`,
        the median over pairs of runs with the same seed, or over all pairs if there are none or one model has a single
        seed. Both are corrected for the number of pairs (see `holm`). `p McNemar` is descriptive: it shows what a
        typical pair of runs would suggest, but a median of p-values is not itself a valid p-value.
    """
    return compare_scores({name: correct(name, split, store=store) for name in experiments})


def compare_scores(scores: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Compare all pairs of models (see `compare`), given which clips each recognised correctly (see `correct`)."""
    rows = []
    by_seed = {name: table.drop(columns="speaker") for name, table in scores.items()}
    for pair in itertools.combinations(scores, 2):
        names = sorted(pair, key=lambda name: -by_seed[name].to_numpy().mean())
        better = by_seed[names[0]]
        worse = by_seed[names[1]].loc[better.index]
        difference, low, high, p = paired_bootstrap(
            better.mean(axis=1).to_numpy(), worse.mean(axis=1).to_numpy(), scores[names[0]]["speaker"].to_numpy()
        )
        all_seeds = list(itertools.product(better, worse))
        same = [(a, b) for a, b in all_seeds if a == b and 1 not in (better.shape[1], worse.shape[1])]
        tests = [mcnemar(better[a].to_numpy(), worse[b].to_numpy()) for a, b in same or all_seeds]
        rows.append((*names, 100 * difference, 100 * low, 100 * high, p, float(np.median(tests))))
    table = pd.DataFrame(rows, columns=["better", "worse", "difference", "low", "high", "p bootstrap", "p McNemar"])
    for column in ("p bootstrap", "p McNemar"):
        table[column] = holm(table[column])
    return table


def over_seeds(one: Mapping[int, float], other: Mapping[int, float]) -> tuple[float, float, int]:
    """Compare two models seed by seed: the mean difference, the p-value of a paired t-test, the number of seeds.

    Args:
        one, other: accuracies by seed. Seeds that only one of them has are ignored; with fewer than three p is NaN.
    """
    seeds = sorted(one.keys() & other.keys())
    difference = np.array([one[seed] - other[seed] for seed in seeds])
    if len(seeds) < 3:
        p = float("nan")
    elif np.ptp(difference) < ROUNDING:  # all the same: what the test tends to as they approach one another
        p = float(abs(difference[0]) < ROUNDING)
    else:
        p = float(stats.ttest_1samp(difference, 0).pvalue)
    return float(difference.mean()), p, len(seeds)
