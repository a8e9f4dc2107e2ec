"""Self-training: a model labels the unlabelled clips, and is trained again on those that it is most confident of."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from model_neural.contrastive import balance
from utils.settings import check_limits


@dataclass(frozen=True)
class SelfTrainingConfig:
    """Settings of self-training, a curriculum of several rounds (Cascante-Bonilla et al. 2021)."""

    rounds: tuple[float, ...] = (0.3, 0.6, 0.8, 0.9)  # fraction of the unlabelled clips that each round trains on
    neighbours: int = 20  # clips whose posteriors are averaged, including the clip itself; 1: no smoothing

    def __post_init__(self):
        if not self.rounds or not all(0 < share <= 1 for share in self.rounds):
            raise ValueError("need rounds above 0 and at most 1")
        check_limits(self, neighbours=(1, 10_000))


def pseudo_labels(posteriors: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Choose the most confident predictions: the same number of clips for each digit.

    Args:
        posteriors: (clips, 10), see `smoothed_posteriors`.
        share: the fraction of clips to choose, a tenth of it for each digit. A digit that is predicted less often than
            that contributes all of its clips.

    Returns:
        The chosen rows (chosen,) and their predicted digits (chosen,).
    """
    confidence, digits = posteriors.max(1)
    per_digit = max(1, round(share * len(digits) / 10))
    candidates = [(digits == digit).nonzero().squeeze(1) for digit in range(10)]
    rows = torch.cat([same[confidence[same].argsort(descending=True, stable=True)[:per_digit]] for same in candidates])
    return rows, digits[rows]


def adapted_posteriors(probabilities: Tensor, embeddings: Tensor, speakers: np.ndarray) -> Tensor:
    """Test-time adaptation: posteriors (clips, 10) that use all of a speaker's unlabelled clips.

    The same as `smoothed_posteriors`, over half as many neighbours as a speaker has clips of each digit, at most 20.
    """
    posteriors = torch.empty(probabilities.shape)
    for name in np.unique(speakers):
        rows = speakers == name
        neighbours = min(max(rows.sum() // 20, 1), 20)
        posteriors[rows] = smoothed_posteriors(probabilities[rows], embeddings[rows], speakers[rows], int(neighbours))
    return posteriors


def smoothed_posteriors(probabilities: Tensor, embeddings: Tensor, speakers: np.ndarray, neighbours: int) -> Tensor:
    """Posteriors of unlabelled clips (clips, 10), improved by two things that are known without labels.

    Clips of a speaker that sound alike are probably the same digit (`smooth_over_neighbours`). And each speaker says
    each digit equally often (`balance`): a corpus usually records who speaks, and asks every speaker for every digit.

    Args:
        probabilities: (clips, 10), the model's predictions.
        embeddings: (clips, width), the model's last hidden layer.
        speakers: (clips,) names.
        neighbours: see `smooth_over_neighbours`.
    """
    posteriors = torch.empty(probabilities.shape)
    for name in np.unique(speakers):
        rows = torch.from_numpy(speakers == name)
        smoothed = smooth_over_neighbours(probabilities[rows], embeddings[rows], neighbours)
        posteriors[rows] = balance(smoothed, iterations=20)
    return posteriors


def smooth_over_neighbours(probabilities: Tensor, embeddings: Tensor, neighbours: int) -> Tensor:
    """Average the posteriors of each clip's nearest neighbours, including its own: k-nearest-neighbour smoothing.

    A speaker's repetitions of a digit lie close together, even where the model's predictions for them differ.

    Args:
        probabilities: (clips, 10).
        embeddings: (clips, width). The nearest are those with the largest cosine similarity, after the mean is
            subtracted.
        neighbours: the number of clips to average over.

    Returns:
        (clips, 10).
    """
    points = F.normalize(embeddings - embeddings.mean(0), dim=1)
    nearest = (points @ points.T).topk(min(neighbours, len(points)), dim=1).indices
    return probabilities[nearest].mean(1)
