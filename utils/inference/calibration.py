"""Confidence and rejection: a temperature, a threshold and Platt scaling, chosen on held-out training speakers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from utils.inference.strings import PlattScaling
from utils.settings import check_limits
from utils.training.objectives import with_non_digit

TEMPERATURES = np.geomspace(0.2, 5, 200)
ACCEPTED = 0.97  # share of unseen speakers' digits that a threshold accepts; the rest are rejected as non-digits


@dataclass(frozen=True)
class Calibration:
    """How logits become confidences. The defaults change nothing and never reject a clip."""

    rejects: bool = False  # whether the model was trained on non-digits: they are an eleventh class
    temperature: float = 1.0  # divides the logits, so that confidence matches accuracy (Guo et al. 2017)
    threshold: float = 0.0  # a clip whose best digit is less probable is rejected as a non-digit
    strings: PlattScaling = PlattScaling()  # of the probabilities of digits in strings

    def __post_init__(self):
        check_limits(self, temperature=(0.001, 1000), threshold=(0, 1))

    def probabilities(self, logits: Tensor) -> Tensor:
        """Logits (clips, 10) to probabilities (clips, 10); the remainder up to 1 is the probability of a non-digit."""
        classes = with_non_digit(logits) if self.rejects else logits
        return (classes / self.temperature).softmax(1)[:, :10]


AS_IS = Calibration()


def calibrate(logits: Tensor, labels: Tensor, accepted: float, rejects: bool = False) -> Calibration:
    """Choose the temperature that minimises the cross-entropy, and the threshold that accepts a given share of digits.

    Args:
        logits: (clips, 10), each computed by a model that was not trained on the clip's speaker.
        labels: (clips,) digits.
        accepted: the share of the digits to accept, for example 0.97.
        rejects: whether the models were trained on non-digits.
    """
    tried = [Calibration(rejects, round(float(temperature), 4)) for temperature in TEMPERATURES]
    losses = [F.nll_loss(each.probabilities(logits).clamp_min(1e-12).log(), labels).item() for each in tried]
    best = tried[int(np.argmin(losses))]
    confidence = best.probabilities(logits).amax(1)
    return replace(best, threshold=round(float(torch.quantile(confidence, 1 - accepted)), 4))


def fit_platt_scaling(probabilities: Sequence[float], correct: Sequence[bool]) -> PlattScaling:
    """The scaling that minimises the cross-entropy: a logistic regression on the log odds (Platt 1999).

    Args:
        probabilities: of digits that a model recognised in strings, before any scaling.
        correct: whether each was spoken there. If all were, or none, nothing is scaled.
    """
    from sklearn.linear_model import LogisticRegression  # takes long to load, and only this needs it

    if len(set(correct)) < 2:
        return PlattScaling()
    chances = np.clip(probabilities, 1e-4, 1 - 1e-4)  # they are rounded to four digits
    fitted = LogisticRegression(C=np.inf).fit(np.log(chances / (1 - chances))[:, None], correct)
    slope, shift = np.clip([fitted.coef_[0, 0], fitted.intercept_[0]], (0.001, -100), 100).round(4).tolist()
    return PlattScaling(slope, shift)


def calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """The expected calibration error (Naeini et al. 2015): the gap between confidence and accuracy, 0 to 1.

    Clips are sorted into bins of equal width by the probability of the predicted digit. The error is the mean over the
    bins, weighted by their numbers of clips, of the absolute difference between mean confidence and accuracy.

    Args:
        probabilities: (clips, 10).
        labels: (clips,) digits.
    """
    confidence, predicted = probabilities.max(1)
    correct = (predicted == labels).float()
    bin_index = (confidence * bins).long().clamp_max(bins - 1)
    error = 0.0
    for number in bin_index.unique():
        in_bin = bin_index == number
        error += in_bin.float().mean().item() * abs(confidence[in_bin].mean() - correct[in_bin].mean()).item()
    return error
