"""Pre-training and self-training as stages of a run: they never read a label that is hidden from them."""

import copy
import io
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import experiment_of, write_metadata

from utils import InputError
from utils.data.metadata import read_metadata
from utils.experiments import fitting, runs, stages
from utils.experiments.clips import split_clips, word_clips
from utils.experiments.config import load_experiments, make_model
from utils.features.extraction import clip_features
from utils.paths import CONFIGS
from utils.training import loop
from utils.training.prediction import embed, embedding_width, predict
from utils.training.pretraining import WordsConfig
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


# Pre-training on words


@pytest.fixture
def words(corpus, tmp_path):
    """The same clips as words of another language, by other speakers: four words of TRAIN, "zero" among them."""
    clips = corpus.clips.assign(file=lambda clips: clips["path"], speaker=lambda clips: "other " + clips["speaker"])
    clips = clips[clips["label"] < 4].assign(
        label=lambda clips: clips["label"].map(["zero", "dos", "tres", "go"].__getitem__)
    )
    return str(write_metadata(tmp_path / "words.tsv", clips))


@pytest.fixture
def words_first(corpus, words):
    return experiment_of(
        corpus,
        "cnn1d",
        data={"protocol": "one-speaker", "fold": "ada"},
        pretraining={"epochs": 2, "batch_size": 8, "words": {"tables": [words]}},
    )


def test_words_are_numbered_and_english_digits_left_out(words_first):
    clips = stages.pretraining_clips(words_first, split_clips(words_first))
    assert set(clips["label"]) == {0, 1, 2} and not clips["word"].str.endswith("zero").any()
    assert clips.groupby("word")["label"].nunique().eq(1).all()
    assert set(clips["split"]) == {"TRAIN"}


def test_the_head_of_a_pre_training_on_words_has_a_class_for_each(words_first, project):
    split = split_clips(words_first)
    model = make_model(words_first)
    before = copy.deepcopy(model.state_dict())
    history = stages.pretrain(model, words_first, split, 0, project.runs)
    assert [row["stage"] for row in history] == ["pre-training"] * 2
    after = model.state_dict()
    assert not torch.equal(before["stem.conv.weight"], after["stem.conv.weight"])
    assert all(torch.equal(before[name], after[name]) for name in after if name.startswith("head."))
    (state,) = (project.runs / "pretrained").iterdir()
    stored = torch.load(io.BytesIO(state.read_bytes()[32:]), weights_only=True)
    assert stored["objective"]["head.weight"].shape == (3, embedding_width(model))


def test_a_pre_training_on_words_is_shared_and_resumed(words_first, corpus, project):
    """It depends on the words and the seed, not on who is labelled; an interrupted one ends with the same weights."""
    bob = replace(words_first, data=replace(words_first.data, fold="bob"))
    models = []
    for chosen in (words_first, bob):
        torch.manual_seed(0)
        models.append(make_model(chosen))
        stages.pretrain(models[-1], chosen, split_clips(chosen), 0, project.runs)
    assert len(list((project.runs / "pretrained").iterdir())) == 1
    assert all(torch.equal(one, other) for one, other in zip(*(m.state_dict().values() for m in models), strict=True))

    epochs = []

    def die(*arguments):
        epochs.append(1)
        if len(epochs) == 2:
            raise KeyboardInterrupt
        return _epoch(*arguments)

    _epoch, other = loop._epoch, project.folder / "other"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "_epoch", die)
        with pytest.raises(KeyboardInterrupt):
            torch.manual_seed(0)
            stages.pretrain(make_model(bob), bob, split_clips(bob), 0, other)
    resumed = make_model(bob)  # with other weights, which the resumed state replaces
    stages.pretrain(resumed, bob, split_clips(bob), 0, other)
    for name, weight in models[0].state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name])


def test_the_digits_that_are_learned_cannot_be_words(words_first, corpus):
    def first(**words):
        return stages.pretraining_clips(
            experiment_of(corpus, "cnn1d", pretraining={"words": words}), split_clips(words_first)
        )

    with pytest.raises(InputError, match="has the digits that are learned afterwards"):
        first(digits=[str(corpus.metadata)])
    with pytest.raises(InputError, match="is a digit, but this table is for other words"):
        first(tables=[str(corpus.metadata)])


def test_a_speaker_of_the_words_is_not_tested_on(words_first, words):
    clips = read_metadata(words, digits=False)
    clips.loc[clips["speaker"] == "other bob", "speaker"] = "Eve"  # a speaker of TEST
    write_metadata(Path(words), clips)
    with pytest.raises(InputError, match="speaker 'eve' is on both sides"):
        stages.pretraining_clips(words_first, split_clips(words_first))


def test_synthetic_words_are_told_apart_by_language(words_first, monkeypatch, corpus):
    def spoken(language, voices):
        return corpus.metadata

    monkeypatch.setattr("utils.data.synthesis.foreign_digits.speak_foreign_digits", spoken)
    clips = word_clips(WordsConfig(languages=("de", "fr")), words_first.data)
    assert clips["label"].nunique() == 20 and len(clips) == 2 * len(corpus.clips)


def test_no_experiment_of_one_labelled_speaker_learns_english_digits_of_others():
    for name, experiment in load_experiments(CONFIGS / "synthesis.yaml").items():
        words = experiment.pretraining and experiment.pretraining.words
        if words:
            assert words.digits == ("utils/data/corpora/arabic.tsv",), name
            assert not any(language.startswith("en") for language in words.languages)


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
