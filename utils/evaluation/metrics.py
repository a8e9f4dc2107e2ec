"""From predictions to numbers: accuracy and related metrics, confidence intervals, and the cost of a model."""

import numpy as np
import torch
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from torch import nn

from utils.features.log_mel import FeatureConfig

DIGITS = range(10)
RESAMPLES = 2000  # of a bootstrap interval


def metrics(labels: np.ndarray, predicted: np.ndarray, speakers: np.ndarray) -> dict:
    """Accuracy and related metrics, as plain numbers for JSON.

    Args:
        labels: (clips,) digits.
        predicted: (clips,) digits, or `NON_DIGIT` where no digit was recognised.
        speakers: (clips,) names.

    Returns:
        `accuracy`, `macro_f1`, `weighted_f1`, `macro_precision`, `macro_recall`, `n`, `interval` (see
        `bootstrap_interval`), `per_speaker` and `per_digit` accuracy, `confusion` (rows are spoken digits,
        columns predicted digits).
    """
    correct = labels == predicted
    # averages leave out digits that were neither spoken nor predicted
    found = np.intersect1d(np.union1d(labels, predicted), DIGITS)
    precision, recall, f1, spoken = precision_recall_fscore_support(labels, predicted, labels=found, zero_division=0.0)
    return {
        "accuracy": float(correct.mean()),
        "macro_f1": float(f1.mean()),
        "weighted_f1": float(np.average(f1, weights=spoken)),
        "macro_precision": float(precision.mean()),
        "macro_recall": float(recall.mean()),
        "n": len(labels),
        "interval": bootstrap_interval(correct, speakers),
        "per_speaker": {str(name): float(correct[speakers == name].mean()) for name in np.unique(speakers)},
        "per_digit": {str(digit): float(correct[labels == digit].mean()) for digit in np.unique(labels)},
        "confusion": confusion_matrix(labels, predicted, labels=DIGITS).tolist(),
    }


def bootstrap_interval(correct: np.ndarray, speakers: np.ndarray, level: float = 0.95) -> list[float]:
    """A percentile bootstrap confidence interval for the accuracy, [low, high] (Efron 1979).

    Clips are resampled with replacement within each speaker. The interval therefore covers the choice of clips by
    these speakers, but not the choice of speakers; the folds of "loso" show how much speakers differ.

    Args:
        correct: (clips,) whether each prediction is correct.
        speakers: (clips,) names.
        level: the confidence level.
    """
    generator = np.random.default_rng(0)
    # the number of correct clips in a resample of a speaker's n clips is binomial(n, accuracy for this speaker)
    hits = sum(
        generator.binomial((speakers == name).sum(), correct[speakers == name].mean(), size=RESAMPLES)
        for name in np.unique(speakers)
    )
    tail = (1 - level) / 2
    return [float(bound) for bound in np.quantile(hits / len(correct), [tail, 1 - tail])]


def cost(model: nn.Module, config: FeatureConfig) -> dict:
    """The number of trainable `parameters`, and `multiply_adds` for a one-second clip."""
    from torch.utils.flop_counter import FlopCounterMode  # 50 MB, which tests of a model do not need

    frames = 1 + config.sample_rate // config.hop_length
    clip = torch.full((1, frames, config.n_mels), config.floor), torch.tensor([frames])
    model.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(*clip)
    return {
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "multiply_adds": counter.get_total_flops() // 2,  # it counts a multiplication and an addition separately
    }
