"""Self-training believes the surest clips of each digit, asks their neighbours, and never reads a label it must not."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import experiment_of
from torch.nn.functional import one_hot

from utils import InputError
from utils.experiments import clips, fitting, runs
from utils.features.extraction import clip_features
from utils.training.prediction import embed, predict
from utils.training.self_training import SelfTrainingConfig, agree, pseudo_labels, smoothed_posteriors


def sure_of(*digits: int, sure: float = 0.9) -> torch.Tensor:
    """(clips, 10): each digit with that probability, the others alike."""
    return one_hot(torch.tensor(digits), 10) * (sure - (1 - sure) / 9) + (1 - sure) / 9


def test_agree_averages_over_the_nearest():
    embeddings = torch.tensor([[1.0, 0.1], [1.0, 0.0], [1.0, -0.1], [-1.0, 0.1], [-1.0, 0.0], [-1.0, -0.1]])
    said = sure_of(3, 3, 8, 8, 8, 8)
    agreed = agree(said, embeddings, 3)
    torch.testing.assert_close(agreed[:3], said[:3].mean(0).expand(3, -1))  # outvoted
    torch.testing.assert_close(agreed[3:], said[3:])
    torch.testing.assert_close(agree(said, embeddings, 1), said)


def test_the_surest_of_each_digit_are_chosen():
    sure = torch.linspace(0.3, 0.95, 100)
    digits = torch.arange(100) % 10
    probabilities = torch.cat([sure_of(d, sure=p) for d, p in zip(digits.tolist(), sure.tolist(), strict=True)])
    rows, labels = pseudo_labels(probabilities, share=0.3)
    assert torch.equal(labels, digits[rows])
    assert torch.equal(labels.bincount(minlength=10), torch.full((10,), 3))
    assert rows.min() >= 70


def test_each_speaker_is_taken_to_say_each_digit_equally_often():
    """Of twenty clips, two a digit, one speaker's are all heard a little like zeros, the other's like nines."""
    said = torch.arange(10).repeat(4)
    probabilities = sure_of(*said.tolist(), sure=0.3)
    probabilities[:20, 0] += 0.6
    probabilities[20:, 9] += 0.6
    assert (probabilities.argmax(1) == said).float().mean() == 0.1
    posteriors = smoothed_posteriors(probabilities, torch.randn(40, 4), np.repeat(["eve", "finn"], 20), neighbours=1)
    assert torch.equal(posteriors.argmax(1), said)


@pytest.mark.parametrize("wrong", [{"rounds": ()}, {"rounds": (0.5, 1.2)}, {"rounds": (0.0,)}, {"neighbours": 0}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError):
        SelfTrainingConfig(**wrong)


@pytest.fixture
def one_speaker(corpus):
    return experiment_of(
        corpus,
        "cnn1d",
        data={"protocol": "one-speaker", "fold": "ada", "unlabelled": True},
        training={"epochs": 6},
        self_training={"rounds": [0.5, 1.0], "neighbours": 2},
    )


def test_a_run_learns_from_clips_without_labels_and_goes_on_after_a_kill(one_speaker, project, monkeypatch):
    result = runs.run(one_speaker, 0)
    assert [row.get("stage") for row in result["history"]] == [None] * 6 + ["round 1"] * 6 + ["round 2"] * 6
    assert result["train_speakers"] == ["ada"]

    train, calls = runs.train, []

    def die(*given, **named):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return train(*given, **named)

    other = project.folder / "other"
    with monkeypatch.context() as patch:
        patch.setattr(experiments, "train", die)
        with pytest.raises(KeyboardInterrupt):
            runs.run(one_speaker, 0, runs=other)
    again = runs.run(one_speaker, 0, runs=other)
    assert again["metrics"] == result["metrics"]
    assert not list(other.rglob("*.state"))


def test_what_it_learns_from_the_unlabelled_is_what_the_model_says(one_speaker):
    split = clips.split_clips(one_speaker)
    assert (split.unlabelled["label"] == -1).all()
    model, _ = fitting.fit(replace(one_speaker, self_training=None), split, seed=0)
    chosen = runs._label(model, one_speaker, split, share=1.0)
    features, _ = clip_features(split.unlabelled, one_speaker.features)
    floor = one_speaker.features.floor
    said, hidden = predict(model, features, floor), embed(model, features, floor)
    posteriors = smoothed_posteriors(said, hidden, split.unlabelled["speaker"].to_numpy(str), neighbours=2)
    labels = dict(zip(split.unlabelled["identifier"], posteriors.argmax(1).tolist(), strict=True))
    assert len(chosen) > 10 and [labels[clip] for clip in chosen["identifier"]] == chosen["label"].tolist()
    assert set(chosen["speaker"]) <= {"bob", "cleo", "dan"}


def test_self_training_without_clips_to_learn_from_is_refused(one_speaker, corpus):
    experiment = replace(one_speaker, data=replace(one_speaker.data, unlabelled=False))
    with pytest.raises(InputError, match="needs clips without labels"):
        fitting.fit(experiment, clips.split_clips(experiment), seed=0)
