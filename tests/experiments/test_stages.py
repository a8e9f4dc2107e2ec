"""Pre-training and self-training as stages of a run: they never read a label that is hidden from them."""

import io
from dataclasses import replace

import pytest
import torch
from conftest import experiment_of

from utils import InputError
from utils.experiments import fitting, runs, stages
from utils.experiments.clips import split_clips
from utils.experiments.config import make_model
from utils.features.extraction import clip_features
from utils.training.prediction import embed, predict
from utils.training.self_training import smoothed_posteriors

# Pre-training

PRETRAINED = {"pretraining": {"epochs": 2, "batch_size": 16}}


def test_pre_training_does_not_see_labels(corpus, project):
    """It does not depend on which clips are labelled either: runs with few and with all repetitions share it."""
    experiment = experiment_of(corpus, "cnn1d", **PRETRAINED, data={"protocol": "course"})
    few = replace(experiment, data=replace(experiment.data, repetitions=1, unlabelled=True))
    states = []
    for chosen in (experiment, few):
        model = make_model(chosen)
        torch.manual_seed(0)
        history = stages.pretrain(model, chosen, split_clips(chosen), 0, project.runs)
        assert [row["stage"] for row in history] == ["pre-training"] * 2
        states.append(sorted((project.runs / "pretrained").iterdir()))
    assert states[0] == states[1] and len(states[0]) == 1
    assert stages.pretraining_clips(few, split_clips(few))["label"].eq(-1).all()


def test_a_run_continues_from_the_pre_trained_weights_and_records_both_stages(corpus, project):
    experiment = experiment_of(corpus, "cnn1d", **PRETRAINED, training={"learning_rate": 1e-12, "weight_decay": 0})
    result = runs.run(experiment, 0)
    assert [row.get("stage") for row in result["history"]] == ["pre-training"] * 2 + [None] * 2
    assert result["train_seconds"] == pytest.approx(sum(row["seconds"] for row in result["history"]))
    (state,) = (project.runs / "pretrained").iterdir()
    content = io.BytesIO(state.read_bytes()[32:])  # after the checksum
    pretrained = torch.load(content, weights_only=True)["model"]
    folder = runs.checkpoint_folder(experiment, "course", 0)
    weights = torch.load(folder / "best_model.pt", weights_only=True)["model_state"]
    torch.testing.assert_close(weights["stem.conv.weight"], pretrained["stem.conv.weight"])


@pytest.mark.parametrize("loss", ["supcon", "triplet"])
def test_a_loss_that_needs_labels_rejects_unlabelled_clips(corpus, loss):
    experiment = experiment_of(
        corpus,
        "cnn1d",
        pretraining={"contrastive": {"loss": loss}},
        data={"protocol": "one-speaker", "fold": "ada", "unlabelled": True},
    )
    with pytest.raises(InputError, match=f"'{loss}' needs labels"):
        stages.pretrain(make_model(experiment), experiment, split_clips(experiment), 0)


def test_unlabelled_clips_are_rejected_if_the_protocol_has_none(corpus):
    with pytest.raises(InputError, match="all its clips are labelled"):
        split_clips(experiment_of(corpus, "cnn1d", data={"unlabelled": True}))


# Self-training


@pytest.fixture
def one_speaker(corpus):
    return experiment_of(
        corpus,
        "cnn1d",
        data={"protocol": "one-speaker", "fold": "ada", "unlabelled": True},
        training={"epochs": 6},
        self_training={"rounds": [0.5, 1.0], "neighbours": 2},
    )


def test_self_training_runs_in_rounds_and_resumes_after_an_interruption(one_speaker, project, monkeypatch):
    result = runs.run(one_speaker, 0)
    assert [row.get("stage") for row in result["history"]] == [None] * 6 + ["round 1"] * 6 + ["round 2"] * 6
    assert result["train_speakers"] == ["ada"]

    train, calls = fitting.train, []

    def die(*arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return train(*arguments, **options)

    other = project.folder / "other"
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "train", die)
        with pytest.raises(KeyboardInterrupt):
            runs.run(one_speaker, 0, runs=other)
    resumed = runs.run(one_speaker, 0, runs=other)
    assert resumed["metrics"] == result["metrics"]
    assert not list(other.rglob("*.state"))


def test_unlabelled_clips_get_the_labels_that_the_model_predicts(one_speaker):
    split = split_clips(one_speaker)
    assert (split.unlabelled["label"] == -1).all()
    model, _ = fitting.fit(replace(one_speaker, self_training=None), split, seed=0)
    chosen = stages.pseudo_label(model, one_speaker, split, share=1.0)
    features, _ = clip_features(split.unlabelled, one_speaker.features)
    floor = one_speaker.features.floor
    probabilities, embeddings = predict(model, features, floor), embed(model, features, floor)
    posteriors = smoothed_posteriors(probabilities, embeddings, split.unlabelled["speaker"].to_numpy(str), neighbours=2)
    labels = dict(zip(split.unlabelled["identifier"], posteriors.argmax(1).tolist(), strict=True))
    assert len(chosen) > 10 and [labels[clip] for clip in chosen["identifier"]] == chosen["label"].tolist()
    assert set(chosen["speaker"]) <= {"bob", "cleo", "dan"}


def test_self_training_without_unlabelled_clips_is_rejected(one_speaker, corpus):
    experiment = replace(one_speaker, data=replace(one_speaker.data, unlabelled=False))
    with pytest.raises(InputError, match="self-training needs unlabelled clips"):
        fitting.fit(experiment, split_clips(experiment), seed=0)
