"""Self-training: a model labels the clips that nobody has labelled, and learns anew with those it is surest of."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from model_neural.contrastive import balance


@dataclass(frozen=True)
class SelfTrainingConfig:
    """In round n the share `rounds[n]` of the unlabelled clips is learned from (Cascante-Bonilla et al. 2021)."""

    rounds: tuple[float, ...] = (0.3, 0.6, 0.8, 0.9)
    neighbours: int = 20  # clips whose posteriors are averaged, the clip's own among them; 1: only that

    def __post_init__(self):
        if not self.rounds or not all(0 < share <= 1 for share in self.rounds) or self.neighbours < 1:
            raise ValueError("need rounds within (0, 1] and neighbours >= 1")


def pseudo_labels(posteriors: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Which clips to believe, and what they are taken for: of each digit the surest, and as many.

    Args:
        posteriors: (clips, 10), see `smoothed_posteriors`.
        share: of the clips; a digit that is heard less often than that gives all its clips.

    Returns:
        (chosen,) rows, and (chosen,) digits.
    """
    confidence, digits = posteriors.max(1)
    most = max(1, round(share * len(digits) / 10))
    rows = [(digits == digit).nonzero().squeeze(1) for digit in range(10)]
    rows = torch.cat([own[confidence[own].argsort(descending=True, stable=True)[:most]] for own in rows])
    return rows, digits[rows]


def smoothed_posteriors(probabilities: Tensor, embeddings: Tensor, speakers: np.ndarray, neighbours: int) -> Tensor:
    """Posterior probabilities of clips without labels, in the light of what else is known about them (clips, 10).

    Which of a speaker's clips sound alike (`agree`); and, as whoever records a corpus writes down who speaks and asks
    everybody for every digit, that each speaker says each digit equally often (`balance`).

    Args:
        probabilities: (clips, 10), the model's.
        embeddings: (clips, width), the model's last hidden layer.
        speakers: (clips,) names.
        neighbours: see `agree`.
    """
    posteriors = torch.empty(probabilities.shape)
    for name in np.unique(speakers):
        own = torch.from_numpy(speakers == name)
        posteriors[own] = balance(agree(probabilities[own], embeddings[own], neighbours), iterations=20)
    return posteriors


def agree(probabilities: Tensor, embeddings: Tensor, neighbours: int) -> Tensor:
    """The mean opinion of each clip's nearest neighbours, itself among them (clips, 10): k-nearest-neighbour smoothing.

    A speaker's takes of a digit lie close together, whatever the model takes each of them for.

    Args:
        probabilities: (clips, 10).
        embeddings: (clips, width); the nearest are those at the smallest angle, seen from the mean.
    """
    points = F.normalize(embeddings - embeddings.mean(0), dim=1)
    nearest = (points @ points.T).topk(min(neighbours, len(points)), dim=1).indices
    return probabilities[nearest].mean(1)
