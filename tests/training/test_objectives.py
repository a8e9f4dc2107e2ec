"""Objectives: what a batch costs is what their formulas say, and they learn what they are to learn and nothing else."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from conftest import experiment_of

from model_neural.cnn1d import CNN1d, CNN1dConfig
from model_neural.contrastive import nt_xent, supervised_contrastive, swav, triplet
from utils import InputError
from utils.experiments import clips, runs, stages
from utils.experiments.config import make_model
from utils.features.augmentation import AugmentationConfig
from utils.features.batches import SpokenDigits
from utils.features.log_mel import FeatureConfig, LogMel
from utils.training import objectives
from utils.training.loop import train
from utils.training.objectives import (
    NON_DIGIT,
    Contrastive,
    ContrastiveConfig,
    Joint,
    PretrainingConfig,
    Supervised,
    TrainingConfig,
    two_views,
)

FEATURES = FeatureConfig(n_mels=20)
PLAIN = AugmentationConfig()  # none at all: both views of a clip are the same
NOISY = AugmentationConfig(noise_snr_db=(5.0, 35.0), stretch=(0.8, 1.2))


@pytest.fixture(scope="module")
def dataset(corpus) -> SpokenDigits:
    return SpokenDigits(corpus.clips.query("split == 'TRAIN'"), FEATURES.sample_rate)


@pytest.fixture
def model() -> CNN1d:
    torch.manual_seed(0)
    return CNN1d(CNN1dConfig(n_mels=20, channels=(8, 12), dropout=0.0))


def first_batch(objective) -> tuple:
    objective.generator.manual_seed(1)
    return next(iter(objective.batches))


def test_supervised_is_cross_entropy_of_the_augmented_clips(dataset, model):
    config = TrainingConfig(batch_size=16, label_smoothing=0.2)
    objective = Supervised(dataset, FEATURES, PLAIN, config)
    (waveforms, lengths), labels, _ = batch = first_batch(objective)
    chances = model(*LogMel(FEATURES)(waveforms, lengths)).log_softmax(1)
    by_hand = -(0.8 * chances[torch.arange(16), labels] + 0.2 * chances.mean(1)).mean()
    torch.testing.assert_close(objective.loss(model, batch), by_hand)


def test_a_probe_moves_the_head_and_nothing_else(dataset, model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    config = TrainingConfig(epochs=2, batch_size=16, only_head=True)
    train(model, Supervised(dataset, FEATURES, NOISY, config), config, seed=0)
    for name, value in model.state_dict().items():  # statistics of batch normalisation among them
        assert torch.equal(value, before[name]) != name.startswith("head."), name


def test_two_views_are_of_the_same_clips_and_differ(dataset):
    config = TrainingConfig(batch_size=8)
    objective = Supervised(dataset, FEATURES, NOISY, config)
    (waveforms, lengths), _, _ = first_batch(objective)
    features, frames = two_views(objective.augment, waveforms, lengths, FEATURES.floor)
    assert len(features) == len(frames) == 16
    for clip, n in zip(features, frames, strict=True):
        assert (clip[n:] == FEATURES.floor).all()
    assert not torch.equal(features[:8], features[8:])
    plain = two_views(objectives.Augmenter(PLAIN, FEATURES, objective.generator), waveforms, lengths, FEATURES.floor)
    assert torch.equal(plain[0][:8], plain[0][8:])


LOSSES = {
    "nt-xent": lambda z, labels, speakers: nt_xent(z, torch.arange(len(labels)).repeat(2), 0.2),
    "supcon": lambda z, labels, speakers: supervised_contrastive(z, labels.repeat(2), 0.2, speakers.repeat(2)),
    "triplet": lambda z, labels, speakers: triplet(z, labels.repeat(2), 0.4),
}


@pytest.mark.parametrize("name", LOSSES)
def test_contrastive_compares_what_the_projection_makes_of_the_last_hidden_layer(dataset, model, name):
    config = PretrainingConfig(batch_size=16, contrastive=ContrastiveConfig(name, temperature=0.2, margin=0.4))
    objective = Contrastive(24, dataset, FEATURES, PLAIN, config)
    (waveforms, lengths), labels, speakers = batch = first_batch(objective)
    features, frames = LogMel(FEATURES)(waveforms, lengths)
    z = objective.projection(model.embed(features.repeat(2, 1, 1), frames.repeat(2)))
    torch.testing.assert_close(objective.loss(model, batch), LOSSES[name](z, labels, speakers))


def test_swav_compares_with_prototypes_that_it_learns(dataset, model):
    config = PretrainingConfig(batch_size=16, contrastive=ContrastiveConfig("swav", temperature=0.2, prototypes=5))
    objective = Contrastive(24, dataset, FEATURES, PLAIN, config)
    (waveforms, lengths), _, speakers = batch = first_batch(objective)
    features, frames = LogMel(FEATURES)(waveforms, lengths)
    z = objective.projection(model.embed(features.repeat(2, 1, 1), frames.repeat(2)))
    cosines = F.cosine_similarity(z.unsqueeze(1), objective.prototypes.unsqueeze(0), dim=2)
    loss = objective.loss(model, batch)
    torch.testing.assert_close(loss, swav(cosines, speakers, 0.2))
    loss.backward()
    assert objective.prototypes.grad.abs().sum() > 0


def test_joint_is_cross_entropy_and_a_weight_of_the_contrastive_loss(dataset, model):
    losses = []
    for weight in (1e-9, 1.0, 3.0):
        torch.manual_seed(0)  # the same projection
        objective = Joint(24, dataset, FEATURES, PLAIN, TrainingConfig(batch_size=16, contrastive_weight=weight))
        batch = first_batch(objective)
        losses.append(objective.loss(model, batch))
    (waveforms, lengths), labels, speakers = batch
    features, frames = LogMel(FEATURES)(waveforms, lengths)
    twice = features.repeat(2, 1, 1), frames.repeat(2)
    z = objective.projection(model.embed(*twice))
    torch.testing.assert_close(losses[0], F.cross_entropy(model(*twice), labels.repeat(2), label_smoothing=0.1))
    contrast = supervised_contrastive(z, labels.repeat(2), 0.1, speakers.repeat(2))
    torch.testing.assert_close(losses[1] - losses[0], contrast)
    torch.testing.assert_close(losses[2] - losses[0], 3 * contrast)


@pytest.mark.parametrize("other", [{"mixup": 0.3}, {"only_head": True}])
def test_joint_training_refuses_what_it_would_leave_out(other):
    with pytest.raises(ValueError, match="contrastive_weight does not go together"):
        TrainingConfig(contrastive_weight=0.5, **other)


def test_a_projection_is_trained_and_resumed_with_its_model(dataset, tmp_path):
    def learn(epochs, state=None):
        torch.manual_seed(0)
        model = CNN1d(CNN1dConfig(n_mels=20, channels=(8, 12)))
        config = PretrainingConfig(epochs=epochs, batch_size=16, schedule="constant")
        objective = Contrastive(24, dataset, FEATURES, NOISY, config)
        untrained = objective.projection.layers[0].weight.clone()
        history = train(model, objective, config, seed=0, state=state)
        assert not torch.equal(objective.projection.layers[0].weight, untrained)
        return [row["loss"] for row in history], {**model.state_dict(), **objective.state_dict()}

    losses, weights = learn(3)
    assert losses[-1] < losses[0]
    learn(1, tmp_path / "run.state")
    resumed, again = learn(3, tmp_path / "run.state")
    assert resumed == losses
    assert all(torch.equal(weights[name], again[name]) for name in weights)


# Through an experiment

PRETRAINED = {"pretraining": {"epochs": 2, "batch_size": 16}}


def test_pre_training_does_not_see_labels(corpus, project):
    """Nor who is labelled: with few takes and with all it is the same, and is done once for both."""
    experiment = experiment_of(corpus, "cnn1d", **PRETRAINED, data={"protocol": "course"})
    few = replace(experiment, data=replace(experiment.data, takes=1, unlabelled=True))
    states = []
    for chosen in (experiment, few):
        model = runs.make_model(chosen)
        torch.manual_seed(0)
        history = stages.pretrain(model, chosen, clips.split_clips(chosen), 0, project.runs)
        assert [row["stage"] for row in history] == ["pre-training"] * 2
        states.append(sorted((project.runs / "pretrained").iterdir()))
    assert states[0] == states[1] and len(states[0]) == 1
    assert stages.pretraining_clips(few, clips.split_clips(few))["label"].eq(-1).all()


def test_a_run_with_pre_training_tells_of_both_and_goes_on_from_what_was_pre_trained(corpus, project):
    experiment = experiment_of(corpus, "cnn1d", **PRETRAINED, training={"learning_rate": 1e-12, "weight_decay": 0})
    result = runs.run(experiment, 0)
    assert [row.get("stage") for row in result["history"]] == ["pre-training"] * 2 + [None] * 2
    assert result["train_seconds"] == pytest.approx(sum(row["seconds"] for row in result["history"]))
    (state,) = (project.runs / "pretrained").iterdir()
    pretrained = torch.load(state, weights_only=True)["model"]
    folder = runs.checkpoint_folder(experiment, "course", 0)
    weights = torch.load(folder / "best_model.pt", weights_only=True)["model_state"]
    torch.testing.assert_close(weights["stem.conv.weight"], pretrained["stem.conv.weight"])


@pytest.mark.parametrize("loss", ["supcon", "triplet"])
def test_a_loss_that_needs_labels_refuses_clips_without(corpus, loss):
    experiment = experiment_of(
        corpus,
        "cnn1d",
        pretraining={"contrastive": {"loss": loss}},
        data={"protocol": "one-speaker", "fold": "ada", "unlabelled": True},
    )
    with pytest.raises(InputError, match=f"'{loss}' needs labels"):
        stages.pretrain(runs.make_model(experiment), experiment, clips.split_clips(experiment), 0)


def test_unlabelled_clips_are_refused_where_there_are_none(corpus):
    with pytest.raises(InputError, match="all its clips have labels"):
        clips.split_clips(experiment_of(corpus, "cnn1d", data={"unlabelled": True}))


def test_what_is_no_digit_is_an_eleventh_answer_whose_logit_is_zero(corpus):
    """The loss against its formula: p(digit) = exp(z) / (1 + sum of exp(z)), p(none) = 1 / (1 + sum of exp(z))."""
    experiment = experiment_of(corpus, "cnn1d", training={"label_smoothing": 0})
    clips = corpus.clips.iloc[[3, 14, 25]].assign(label=[3, NON_DIGIT, 5])
    dataset = SpokenDigits(clips, experiment.features.sample_rate)
    objective = Supervised(dataset, experiment.features, PLAIN, experiment.training)
    model = make_model(experiment).eval()
    (batch,) = objective.batches
    (waveforms, lengths), labels, _ = batch
    with torch.no_grad():
        z = model(*LogMel(experiment.features)(waveforms, lengths)).exp()
        none = 1 / (1 + z.sum(1))
        by_hand = [none[i] if label == NON_DIGIT else z[i, label] * none[i] for i, label in enumerate(labels)]
        torch.testing.assert_close(objective.loss(model, batch), -torch.stack(by_hand).log().mean())
