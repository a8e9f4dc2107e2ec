"""Is it a digit at all, and how sure is the model? A temperature and a threshold, set on training speakers left out."""

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from utils.training.objectives import with_non_digit

TEMPERATURES = np.geomspace(0.2, 5, 200)


@dataclass(frozen=True)
class Calibration:
    """How a model's logits are read. The defaults leave them as they are, and let the model always answer."""

    rejects: bool = False  # whether it has learned what is no digit: that is an eleventh answer then
    temperature: float = 1.0  # logits are divided by it (Guo et al. 2017): a probability is how often it is right
    threshold: float = 0.0  # where no digit is at least so probable, it is none

    def __post_init__(self):
        if self.temperature <= 0 or not 0 <= self.threshold <= 1:
            raise ValueError("need temperature > 0 and threshold within [0, 1]")

    def probabilities(self, logits: Tensor) -> Tensor:
        """Logits (clips, 10) to probabilities (clips, 10), whose sum is less than 1 by that of no digit."""
        answers = with_non_digit(logits) if self.rejects else logits
        return (answers / self.temperature).softmax(1)[:, :10]


AS_IS = Calibration()


def calibrate(logits: Tensor, labels: Tensor, accepted: float, rejects: bool = False) -> Calibration:
    """The temperature under which logits explain the digits best, and the threshold that accepts so many of them.

    Args:
        logits: (clips, 10), of speakers whom the models that gave them had not heard.
        labels: (clips,) digits.
        accepted: the share of the digits that is to lie above the threshold, as 0.98.
        rejects: whether the models have learned what is no digit.
    """
    tried = [Calibration(rejects, round(float(temperature), 4)) for temperature in TEMPERATURES]
    losses = [F.nll_loss(each.probabilities(logits).clamp_min(1e-12).log(), labels).item() for each in tried]
    best = tried[int(np.argmin(losses))]
    confidence = best.probabilities(logits).amax(1)
    return replace(best, threshold=round(float(torch.quantile(confidence, 1 - accepted)), 4))


def calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """The expected calibration error (Naeini et al. 2015): how far confidence and accuracy lie apart, 0 to 1.

    Clips are sorted into bins of equal width by the probability of the digit that is heard; the error is the mean over
    the bins, weighted by their clips, of the distance between mean probability and accuracy.

    Args:
        probabilities: (clips, 10).
        labels: (clips,) digits.
    """
    confidence, heard = probabilities.max(1)
    right = (heard == labels).float()
    place = (confidence * bins).long().clamp_max(bins - 1)
    error = 0.0
    for number in place.unique():
        own = place == number
        error += own.float().mean().item() * abs(confidence[own].mean() - right[own].mean()).item()
    return error
