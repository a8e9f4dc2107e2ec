"""Pseudo-labels are the most confident predictions of each digit, smoothed over neighbours and balanced by speaker."""

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from utils.training.self_training import (
    SelfTrainingConfig,
    adapted_posteriors,
    pseudo_labels,
    smooth_over_neighbours,
    smoothed_posteriors,
)


def posteriors_of(*digits: int, confidence: float = 0.9) -> torch.Tensor:
    """Posteriors (clips, 10) with this confidence in each digit; the other digits are equally likely."""
    return one_hot(torch.tensor(digits), 10) * (confidence - (1 - confidence) / 9) + (1 - confidence) / 9


def test_posteriors_are_averaged_over_the_nearest_neighbours():
    embeddings = torch.tensor([[1.0, 0.1], [1.0, 0.0], [1.0, -0.1], [-1.0, 0.1], [-1.0, 0.0], [-1.0, -0.1]])
    posteriors = posteriors_of(3, 3, 8, 8, 8, 8)
    smoothed = smooth_over_neighbours(posteriors, embeddings + torch.tensor([50.0, 0.0]), 3)  # the mean is subtracted
    torch.testing.assert_close(smoothed[:3], posteriors[:3].mean(0).expand(3, -1))  # two against one
    torch.testing.assert_close(smoothed[3:], posteriors[3:])
    torch.testing.assert_close(smooth_over_neighbours(posteriors, embeddings, 1), posteriors)


def test_the_most_confident_clips_of_each_digit_are_chosen():
    confidence = torch.linspace(0.3, 0.95, 100)
    digits = torch.arange(100) % 10
    pairs = zip(digits.tolist(), confidence.tolist(), strict=True)
    posteriors = torch.cat([posteriors_of(digit, confidence=value) for digit, value in pairs])
    rows, labels = pseudo_labels(posteriors, share=0.7)
    assert torch.equal(labels, digits[rows])
    assert torch.equal(labels.bincount(minlength=10), torch.full((10,), 7))
    assert rows.min() >= 30


def test_predictions_are_balanced_for_each_speaker():
    """All clips of one speaker are biased towards zero, all of the other towards nine; both say each digit twice."""
    digits = torch.arange(10).repeat(4)
    probabilities = posteriors_of(*digits.tolist(), confidence=0.3)
    probabilities[:20, 0] += 0.6
    probabilities[20:, 9] += 0.6
    assert (probabilities.argmax(1) == digits).float().mean() == 0.1
    posteriors = smoothed_posteriors(probabilities, torch.randn(40, 4), np.repeat(["eve", "finn"], 20), neighbours=1)
    assert torch.equal(posteriors.argmax(1), digits)
    torch.testing.assert_close(posteriors.unflatten(0, (2, 20)).sum(1), torch.full((2, 10), 2.0), atol=0.001, rtol=0)


def test_adaptation_corrects_predictions_by_the_speakers_other_clips():
    """Each digit has a place of its own among the embeddings; a sixth of its clips are misrecognised."""
    digits = torch.arange(10).repeat(12)
    wrong = torch.arange(120) < 20
    probabilities = posteriors_of(*torch.where(wrong, (digits + 3) % 10, digits).tolist(), confidence=0.6)
    embeddings = one_hot(digits, 10).float() + 0.01 * torch.randn(120, 10, generator=torch.Generator().manual_seed(0))
    speakers = np.array(["eve"] * 120)
    assert torch.equal(probabilities.argmax(1) == digits, ~wrong)
    assert torch.equal(adapted_posteriors(probabilities, embeddings, speakers).argmax(1), digits)
    one_clip = adapted_posteriors(probabilities[:1], embeddings[:1], speakers[:1])
    assert one_clip.shape == (1, 10) and one_clip.isfinite().all()


def test_adaptation_averages_over_half_as_many_neighbours_as_there_are_clips_of_a_digit():
    numbers = {"eve": 10, "finn": 80, "gus": 600}
    speakers = np.repeat(list(numbers), list(numbers.values()))
    probabilities, embeddings = torch.rand(690, 10).softmax(1), torch.randn(690, 5)
    adapted = adapted_posteriors(probabilities, embeddings, speakers)
    for name, neighbours in (("eve", 1), ("finn", 4), ("gus", 20)):
        own = speakers == name
        expected = smoothed_posteriors(probabilities[own], embeddings[own], speakers[own], neighbours)
        assert torch.equal(adapted[own], expected)


@pytest.mark.parametrize("invalid", [{"rounds": ()}, {"rounds": (0.5, 1.2)}, {"rounds": (0.0,)}, {"neighbours": 0}])
def test_invalid_self_training_settings_are_rejected(invalid):
    with pytest.raises(ValueError):
        SelfTrainingConfig(**invalid)
