"""Paired tests match their definitions and have the correct sign."""

import shutil

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from utils import InputError
from utils.evaluation import results, significance

SPEAKERS = np.repeat(["eve", "finn"], 50)


def correct(right: int, of: int = 100) -> np.ndarray:
    return (np.arange(of) < right).astype(int)


def test_the_clustered_interval_equals_that_of_resampling_speakers_and_then_their_clips():
    random, sizes = np.random.default_rng(3), {"ada": 20, "bob": 80, "cleo": 40, "dan": 60, "eve": 30}
    speakers = np.repeat(list(sizes), list(sizes.values()))
    right = random.random(len(speakers)) < np.repeat([0.95, 0.8, 0.6, 0.9, 0.7], list(sizes.values()))
    accuracies = []
    for _ in range(3000):
        drawn = [random.choice(right[speakers == name], sizes[name]) for name in random.choice(list(sizes), len(sizes))]
        accuracies.append(np.concatenate(drawn).mean())
    expected = np.quantile(accuracies, [0.025, 0.975]).tolist()
    assert significance.clustered_interval(right, speakers) == pytest.approx(expected, abs=0.01)


def test_mcnemar_is_a_coin_toss_for_each_clip_that_only_one_model_recognises():
    one, other = np.array([1] * 9 + [0] + [1] * 50 + [0] * 40), np.array([0] * 9 + [1] + [1] * 50 + [0] * 40)
    by_hand = 2 * (1 + 10) / 2**10  # at most one of ten coins differs, two-sided
    assert significance.mcnemar(one, other) == pytest.approx(by_hand) == significance.mcnemar(other, one)
    assert significance.mcnemar(one, one) == 1.0


def test_bootstrap_tells_a_real_difference_from_none():
    difference, low, high, p = significance.paired_bootstrap(correct(90), correct(70), SPEAKERS)
    assert difference == pytest.approx(0.2) and 0 < low < 0.2 < high and p < 0.001
    random = np.random.default_rng(0)
    one, other = (random.permutation(correct(80)) for _ in range(2))
    difference, low, high, p = significance.paired_bootstrap(one, other, SPEAKERS)
    assert difference == 0 and low < 0 < high and p > 0.5


def test_bootstrap_interval_equals_resampling_of_differences_within_speakers():
    random = np.random.default_rng(1)
    one, other = random.random(100) < 0.9, random.random(100) < 0.8
    one, other = one.astype(float), other.astype(float)
    differences = one - other
    drawn = [
        np.concatenate([random.choice(differences[name == SPEAKERS], 50) for name in ("eve", "finn")]).mean()
        for _ in range(4000)
    ]
    _, low, high, _ = significance.paired_bootstrap(one, other, SPEAKERS)
    assert (low, high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.011)


def test_bootstrap_p_is_two_sided():
    """Twice the share of resamples on the opposite side of zero, where the original sample counts as one of them."""
    random = np.random.default_rng(2)
    one, other = (random.permutation(correct(right)).astype(float) for right in (84, 79))
    difference = one - other
    drawn = np.array([random.choice(difference, 100).mean() for _ in range(10_000)])
    *_, p = significance.paired_bootstrap(one, other, np.repeat("eve", 100))
    assert 0.1 < p < 0.6 and p == pytest.approx(2 * (drawn <= 0).mean(), rel=0.1)
    *_, p = significance.paired_bootstrap(correct(100), correct(0), SPEAKERS, draws=99)
    assert p == pytest.approx(2 / 100)  # no resample is on the opposite side: the smallest p that 99 resamples allow


def test_holm_follows_its_published_steps():
    np.testing.assert_allclose(significance.holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(significance.holm([0.6, 0.9]), [1, 1])


def test_over_seeds_pairs_equal_seeds():
    one, other = {0: 0.9, 1: 0.8, 2: 0.85, 7: 0.1}, {2: 0.79, 1: 0.76, 0: 0.85, 8: 0.9}
    difference, p, seeds = significance.over_seeds(one, other)
    assert difference == pytest.approx(0.05) and seeds == 3
    assert p == pytest.approx(stats.ttest_rel([0.9, 0.8, 0.85], [0.85, 0.76, 0.79]).pvalue)
    difference, p, seeds = significance.over_seeds({0: 0.9}, other)
    assert difference == pytest.approx(0.05) and np.isnan(p) and seeds == 1


def test_over_seeds_knows_differences_that_are_all_the_same(recwarn):
    other = {0: 0.9, 1: 0.8, 2: 0.7}
    assert significance.over_seeds(other, other) == (0.0, 1.0, 3)
    more = {seed: accuracy + 0.1 for seed, accuracy in other.items()}
    assert significance.over_seeds(more, other) == (pytest.approx(0.1), 0.0, 3) and not list(recwarn)


@pytest.fixture
def put(tmp_path):
    def write(name: str, *rights: int) -> None:
        for seed, right in enumerate(rights):
            table = pd.DataFrame(
                {
                    "identifier": [f"clip {i}" for i in range(100)],
                    "speaker": SPEAKERS,
                    "split": "TEST",
                    "label": 3,
                    "predicted": np.where(correct(right), 3, 8),
                    "probability": 0.5,
                }
            )
            results.save(results.result_path(tmp_path, name, "course", seed), {"metrics": {}}, table)

    return write


def test_compare_puts_the_better_model_first_and_corrects_for_the_number_of_pairs(put, tmp_path):
    put("a", 60, 62)
    put("b", 90, 92, 97)
    put("c", 75)
    table = significance.compare(["a", "b", "c"], store=tmp_path)
    assert list(zip(table["better"], table["worse"], strict=True)) == [("b", "a"), ("c", "a"), ("b", "c")]
    assert table["difference"].tolist() == pytest.approx([32, 14, 18])
    assert (table["low"] < table["difference"]).all() and (table["difference"] < table["high"]).all()
    assert table["p bootstrap"].tolist() == pytest.approx([3 * 2 / (significance.DRAWS + 1)] * 3)  # the smallest ones
    alone = [significance.compare([one, "c"], store=tmp_path)["p McNemar"].item() for one in ("a", "b")]
    assert alone == pytest.approx([np.median([2 * 0.5**15, 2 * 0.5**13]), 2 * 0.5**17])  # 17: of 15, 17 and 22 clips
    assert table["p McNemar"].tolist()[1:] == pytest.approx([alone[0], 2 * alone[1]])  # the largest, and the second


def test_models_without_a_common_seed_are_compared_run_by_run():
    identifiers = [f"clip {i}" for i in range(100)]
    scores = {
        name: pd.DataFrame({"speaker": SPEAKERS} | runs, index=identifiers)
        for name, runs in (("a", {0: correct(60), 1: correct(60)}), ("b", {2: correct(90), 3: correct(90)}))
    }
    (p,) = significance.compare_scores(scores)["p McNemar"]
    assert p == significance.mcnemar(correct(90), correct(60))


def test_compare_names_the_experiment_without_runs(put, tmp_path):
    put("a", 60)
    with pytest.raises(InputError, match="no run of b"):
        significance.compare(["a", "b"], store=tmp_path)


def test_a_copy_of_a_result_is_no_seed(put, tmp_path):
    put("a", 60, 62)
    path = results.result_path(tmp_path, "a", "course", 0)
    shutil.copy(path, path.with_name("seed-0 copy.json"))
    assert list(significance.correct("a", "course", tmp_path).columns) == ["speaker", 0, 1]
