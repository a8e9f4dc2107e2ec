"""Speakers who sound like one another: perhaps the same person under two names.

Each clip is described by its voice vector (see `Measures`), less the mean vector of its label. The distance between two
speakers is that between their mean vectors, in standard deviations of one speaker's clips (the Mahalanobis distance),
corrected for the noise of the means. The best linear classifier of both speakers would confuse their clips with
probability Phi(-distance / 2).
"""

from collections.abc import Iterator, Mapping
from statistics import NormalDist

import numpy as np
import pandas as pd

from utils.applications.corpus_check.findings import Finding
from utils.applications.corpus_check.measures import Measures

ALIKE = 2.2  # standard deviations
MIN_CLIPS = 20  # of a speaker; means of fewer are too uncertain
SHRINKAGE = 0.02  # of the covariance towards a multiple of the identity


def check_voices(clips: pd.DataFrame, measured: Mapping[int, Measures]) -> Iterator[Finding]:
    """Pairs of speakers whose distance is below `ALIKE`."""
    places = np.array(list(measured), dtype=int)
    if not len(places):
        return
    chosen = clips.iloc[places]
    vectors = np.stack([clip.voice for clip in measured.values()])
    for one, other, distance in alike(vectors, chosen["label"].to_numpy(), chosen["speaker"].to_numpy(dtype=object)):
        splits = [" and ".join(sorted(set(clips.loc[clips["speaker"] == name, "split"]))) for name in (one, other)]
        confused = NormalDist().cdf(-distance / 2)
        message = (
            f"{one} ({splits[0]}) and {other} ({splits[1]}): a linear classifier would confuse {confused:.0%} of their "
            f"clips (distance {distance:.1f})"
        )
        examples = tuple(int(places[(chosen["speaker"] == name).to_numpy()][0]) for name in (one, other))
        yield Finding("voices", "warning", message, examples, -distance)


def alike(vectors: np.ndarray, labels: np.ndarray, speakers: np.ndarray) -> list[tuple[str, str, float]]:
    """Pairs of speakers that are closer than `ALIKE`, and their distance, closest first.

    Args:
        vectors: (clips, width).
        labels: (clips,).
        speakers: (clips,); those with fewer than `MIN_CLIPS` clips are left out.
    """
    names, number = np.unique(speakers, return_counts=True)
    keep = np.isin(speakers, names[number >= MIN_CLIPS])
    names, place, number = np.unique(speakers[keep], return_inverse=True, return_counts=True)
    if len(names) < 2:
        return []
    vectors = vectors[keep].astype(np.float64)
    for label in np.unique(labels[keep]):
        vectors[labels[keep] == label] -= vectors[labels[keep] == label].mean(0)
    means = np.stack([vectors[place == i].mean(0) for i in range(len(names))])
    within = vectors - means[place]
    covariance = within.T @ within / (len(within) - len(names))
    width = len(covariance)
    average = np.trace(covariance) / width + 1e-12
    covariance = (1 - SHRINKAGE) * covariance + SHRINKAGE * average * np.eye(width)
    whitened = np.linalg.solve(np.linalg.cholesky(covariance), means.T).T
    square = ((whitened[:, None] - whitened[None]) ** 2).sum(-1) - width * (1 / number[:, None] + 1 / number[None])
    distance = np.sqrt(square.clip(0))
    pairs = [
        (str(names[i]), str(names[j]), float(distance[i, j]))
        for i, j in zip(*np.triu_indices(len(names), 1), strict=True)
    ]
    return sorted((pair for pair in pairs if pair[2] < ALIKE), key=lambda pair: pair[2])
