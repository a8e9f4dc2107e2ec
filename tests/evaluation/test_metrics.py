"""Metrics match their definitions, the interval matches a bootstrap by resampling, and costs match a count by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_score, recall_score
from torch import nn

from model_neural.gru import GRU, GRUConfig
from utils.evaluation.metrics import bootstrap_interval, cost, metrics
from utils.features.log_mel import FeatureConfig
from utils.training.objectives import NON_DIGIT

# Metrics


def naive(labels: list[int], predicted: list[int], speakers: list[str]) -> dict:
    """The same metrics, counted clip by clip."""
    pairs = list(zip(labels, predicted, strict=True))
    confusion = [[pairs.count((spoken, guess)) for guess in range(10)] for spoken in range(10)]
    precision, recall, f1, support = [], [], [], []
    for digit in sorted({*labels, *predicted} - {NON_DIGIT}):
        hits = confusion[digit][digit]
        spoken, guessed = labels.count(digit), predicted.count(digit)
        precision.append(hits / guessed if guessed else 0)
        recall.append(hits / spoken if spoken else 0)
        f1.append(2 * hits / (spoken + guessed))
        support.append(spoken)

    def share(chosen: list[tuple[int, int]]) -> float:
        return sum(label == guess for label, guess in chosen) / len(chosen)

    return {
        "accuracy": share(pairs),
        "macro_f1": np.mean(f1),
        "weighted_f1": np.average(f1, weights=support),
        "macro_precision": np.mean(precision),
        "macro_recall": np.mean(recall),
        "n": len(labels),
        "per_speaker": {
            name: share([pair for pair, who in zip(pairs, speakers, strict=True) if who == name])
            for name in sorted(set(speakers))
        },
        "per_digit": {str(d): share([pair for pair in pairs if pair[0] == d]) for d in sorted(set(labels))},
        "confusion": confusion,
    }


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(NON_DIGIT, 9), st.sampled_from("abc")), min_size=1, max_size=60)
)
@settings(max_examples=40)
def test_metrics_equal_a_count_clip_by_clip(clips):
    columns = [list(column) for column in zip(*clips, strict=True)]
    measured = metrics(*map(np.array, columns))
    low, high = measured.pop("interval")
    assert 0 <= low <= measured["accuracy"] + 1e-9 and measured["accuracy"] <= high + 1e-9 <= 1 + 1e-8
    expected = naive(*columns)
    assert measured.keys() == expected.keys()
    for name, value in expected.items():
        assert measured[name] == (pytest.approx(value) if isinstance(value, float | dict) else value), name


def test_metrics_agree_with_scikit_learn_if_all_digits_occur():
    random = np.random.default_rng(0)
    labels, predicted = np.tile(np.arange(10), 30), random.integers(0, 10, 300)
    predicted[::2] = labels[::2]
    measured = metrics(labels, predicted, np.array(["a", "b"] * 150))
    assert measured["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert measured["weighted_f1"] == pytest.approx(f1_score(labels, predicted, average="weighted"))
    assert measured["macro_precision"] == pytest.approx(precision_score(labels, predicted, average="macro"))
    assert measured["macro_recall"] == pytest.approx(recall_score(labels, predicted, average="macro"))
    assert np.sum(measured["confusion"]) == 300


def test_rows_of_the_confusion_matrix_are_spoken_digits():
    confusion = metrics(np.array([3, 3, 3]), np.array([5, 5, 3]), np.array(["a"] * 3))["confusion"]
    assert confusion[3][5] == 2 and confusion[5][3] == 0


# The interval


def naive_bootstrap(correct: np.ndarray, speakers: np.ndarray, draws: int, level: float) -> np.ndarray:
    random = np.random.default_rng(1)
    accuracies = []
    for _ in range(draws):
        drawn = [random.choice(correct[speakers == name], (speakers == name).sum()) for name in np.unique(speakers)]
        accuracies.append(np.concatenate(drawn).mean())
    return np.quantile(accuracies, [(1 - level) / 2, (1 + level) / 2])


@pytest.mark.parametrize("level", [0.95, 0.5])
@pytest.mark.parametrize("shares", [(0.9, 0.5), (0.7, 0.7), (0.99, 0.2, 0.6)])
def test_the_interval_equals_that_of_a_bootstrap_by_resampling(shares, level):
    sizes = (120, 40, 80)[: len(shares)]
    correct = np.concatenate([np.arange(n) < share * n for n, share in zip(sizes, shares, strict=True)])
    speakers = np.repeat(["a", "b", "c"][: len(shares)], sizes)
    expected = naive_bootstrap(correct, speakers, 3000, level)
    np.testing.assert_allclose(bootstrap_interval(correct, speakers, level=level), expected, atol=0.008)


def test_the_interval_resamples_within_each_speaker():
    """If one speaker is always recognised and another never, resampling within speakers cannot change the accuracy."""
    correct = np.repeat([True, False], 50)
    assert bootstrap_interval(correct, np.repeat(["a", "b"], 50)) == [0.5, 0.5]
    low, high = bootstrap_interval(correct, np.array(["a"] * 100))
    assert 0.35 < low < 0.45 and 0.55 < high < 0.65


@pytest.mark.parametrize(("right", "expected"), [(True, [1.0, 1.0]), (False, [0.0, 0.0])])
def test_the_interval_of_accuracy_0_or_1_is_a_point(right, expected):
    assert bootstrap_interval(np.array([right] * 7), np.array(list("aabbbcc"))) == expected


def test_the_interval_is_deterministic():
    correct, speakers = np.arange(90) % 3 > 0, np.repeat(["a", "b"], 45)
    assert bootstrap_interval(correct, speakers) == bootstrap_interval(correct, speakers)


# Cost


class Countable(nn.Module):
    """A convolution over time, then a layer on the mean, both easy to count by hand."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(20, 8, 3, padding=1)
        self.head = nn.Linear(8, 10)

    def forward(self, features, lengths):
        return self.head(self.conv(features.transpose(1, 2)).mean(2))


def test_cost_counts_parameters_and_multiply_adds_per_second():
    features = FeatureConfig(sample_rate=8000, hop_length=100, n_mels=20)
    frames = 81  # in one second: at 0, 12.5, ... 1000 ms
    assert cost(Countable(), features) == {
        "parameters": (20 * 8 * 3 + 8) + (8 * 10 + 10),
        "multiply_adds": frames * 20 * 8 * 3 + 8 * 10,
    }


def test_cost_counts_recurrent_layers():
    width, frames = 16, 101  # in one second
    model = GRU(GRUConfig(n_mels=20, channels=(2, 3), width=width, layers=2))
    convolutions = frames * 10 * 2 * 25 + 51 * 5 * 3 * 2 * 9  # to 10 bands; to 51 frames and 5 bands
    layers = sum(2 * 3 * width * (inputs + width) for inputs in (3 * 5, 2 * width))  # two directions, three gates
    total = convolutions + 51 * layers + 4 * width * 10
    assert cost(model, FeatureConfig(n_mels=20))["multiply_adds"] == total


def test_cost_does_not_change_batch_normalisation_statistics():
    class Normed(Countable):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(20)

        def forward(self, features, lengths):
            return super().forward(self.norm(features.transpose(1, 2)).transpose(1, 2), lengths)

    model = Normed()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    cost(model.train(), FeatureConfig(n_mels=20))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
