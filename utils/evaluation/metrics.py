"""From predictions to numbers: accuracy and its company, how far they can be trusted, what a model costs."""

import numpy as np
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from utils.features.log_mel import FeatureConfig

DIGITS = range(10)


def metrics(labels: np.ndarray, predicted: np.ndarray, speakers: np.ndarray) -> dict:
    """Accuracy and its company, as plain numbers for JSON.

    Args:
        labels, predicted: (clips,) digits.
        speakers: (clips,) names.

    Returns:
        `accuracy`, `macro_f1`, `weighted_f1`, `macro_precision`, `macro_recall`, `n`, `interval` (see
        `bootstrap_interval`), `per_speaker` and `per_digit` accuracy, `confusion` (rows are the digits that were
        spoken, columns those that were heard).
    """
    correct = labels == predicted
    # a digit that was never spoken and never heard does not count in a macro average
    precision, recall, f1, _ = precision_recall_fscore_support(labels, predicted, average="macro", zero_division=0.0)
    return {
        "accuracy": float(accuracy_score(labels, predicted)),
        "macro_f1": float(f1),
        "weighted_f1": float(f1_score(labels, predicted, average="weighted", zero_division=0.0)),
        "macro_precision": float(precision),
        "macro_recall": float(recall),
        "n": len(labels),
        "interval": bootstrap_interval(correct, speakers),
        "per_speaker": {str(name): float(correct[speakers == name].mean()) for name in np.unique(speakers)},
        "per_digit": {str(digit): float(correct[labels == digit].mean()) for digit in np.unique(labels)},
        "confusion": confusion_matrix(labels, predicted, labels=DIGITS).tolist(),
    }


def bootstrap_interval(
    correct: np.ndarray, speakers: np.ndarray, draws: int = 2000, level: float = 0.95
) -> list[float]:
    """A percentile bootstrap interval of the accuracy, [low, high] (Efron 1979).

    Clips are drawn with replacement within each speaker. So it says how the accuracy varies with the clips that
    these speakers happened to say, not how it varies with the speakers: for that, see the folds of "loso".

    Args:
        correct: (clips,) whether each prediction is right.
        speakers: (clips,) names.
    """
    generator = np.random.default_rng(0)
    # the number of right clips in a resample of one speaker's n clips is binomial(n, that speaker's accuracy)
    hits = sum(
        generator.binomial((speakers == name).sum(), correct[speakers == name].mean(), size=draws)
        for name in np.unique(speakers)
    )
    tail = (1 - level) / 2
    return [float(bound) for bound in np.quantile(hits / len(correct), [tail, 1 - tail])]


def cost(model: nn.Module, config: FeatureConfig) -> dict:
    """Trained `parameters`, and `multiply_adds` for a clip of one second."""
    frames = 1 + config.sample_rate // config.hop_length
    clip = torch.full((1, frames, config.n_mels), config.floor), torch.tensor([frames])
    model.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(*clip)
    return {
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "multiply_adds": counter.get_total_flops() // 2,  # it counts a multiplication and an addition as two
    }
