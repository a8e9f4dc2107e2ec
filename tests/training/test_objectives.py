"""The loss of each objective equals its formula, and training changes the right parameters."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import experiment_of, tone

from model_neural.cnn1d import CNN1d, CNN1dConfig
from model_neural.contrastive import nt_xent, supervised_contrastive, swav, triplet
from utils import InputError
from utils.experiments.config import make_model
from utils.features.augmentation import AugmentationConfig, Augmenter
from utils.features.batches import SpokenDigits
from utils.features.log_mel import FeatureConfig, LogMel
from utils.training.contrastive_objectives import Contrastive, ContrastiveConfig, Joint
from utils.training.loop import train
from utils.training.objectives import NON_DIGIT, Supervised, TrainingConfig, class_weights, mix, two_views
from utils.training.pretraining import PretrainingConfig

FEATURES = FeatureConfig(n_mels=20)
PLAIN = AugmentationConfig()  # no augmentation: both views of a clip are equal
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


def test_supervised_loss_is_the_cross_entropy_of_the_augmented_clips(dataset, model):
    config = TrainingConfig(batch_size=16, label_smoothing=0.2)
    objective = Supervised(dataset, FEATURES, PLAIN, config)
    (waveforms, lengths), labels, _ = batch = first_batch(objective)
    log_posteriors = model(*LogMel(FEATURES)(waveforms, lengths)).log_softmax(1)
    expected = -(0.8 * log_posteriors[torch.arange(16), labels] + 0.2 * log_posteriors.mean(1)).mean()
    torch.testing.assert_close(objective.loss(model, batch), expected)


def test_rooms_have_the_noises_of_the_clips(corpus, model):
    losses, rooms = [], AugmentationConfig(room=1.0)
    for noises in ([], [tone(900, 1.0)]):
        dataset = SpokenDigits(corpus.clips.head(16), FEATURES.sample_rate, noises=noises)
        objective = Supervised(dataset, FEATURES, rooms, TrainingConfig(batch_size=16))
        losses.append(objective.loss(model, first_batch(objective)))
    assert losses[0] != losses[1]


def test_balanced_training_weighs_digits_inversely_to_their_number_of_clips(corpus, model):
    labels = torch.tensor([0] * 30 + list(range(1, 10)) * 10 + [NON_DIGIT] * 7)
    weights = class_weights(labels)
    assert weights[0] == pytest.approx(120 / 10 / 30) and weights[1:10].tolist() == pytest.approx([1.2] * 9)
    assert weights[10] == 1
    assert weights[labels[labels != NON_DIGIT]].mean() == pytest.approx(1)

    unequal = SpokenDigits(
        corpus.clips.query("split == 'TRAIN' and (label > 0 or speaker == 'ada')"), FEATURES.sample_rate
    )
    assert class_weights(unequal.labels)[0] > 1
    objective = Supervised(unequal, FEATURES, PLAIN, TrainingConfig(batch_size=16, label_smoothing=0.0, balance=True))
    (waveforms, lengths), labels, _ = batch = first_batch(objective)
    log_posteriors = model(*LogMel(FEATURES)(waveforms, lengths)).log_softmax(1)
    losses = -log_posteriors[torch.arange(len(labels)), labels] * class_weights(unequal.labels)[labels]
    torch.testing.assert_close(objective.loss(model, batch), losses.mean())


def test_the_weights_of_balanced_training_move_to_the_device_of_the_model(dataset):
    objective = Supervised(dataset, FEATURES, PLAIN, TrainingConfig(batch_size=16, balance=True))
    assert objective.to("meta").weights.device.type == "meta" and not objective.state_dict()


def test_logit_adjustment_adds_to_the_logits_in_the_loss(dataset, model):
    adjustment = [0.0] * 8 + [0.75, -0.5]
    config = TrainingConfig(batch_size=16, label_smoothing=0.2, logit_adjustment=tuple(adjustment))
    objective = Supervised(dataset, FEATURES, PLAIN, config)
    (waveforms, lengths), labels, _ = batch = first_batch(objective)
    logits = model(*LogMel(FEATURES)(waveforms, lengths)) + torch.tensor(adjustment)
    expected = F.cross_entropy(logits, labels, label_smoothing=0.2)
    torch.testing.assert_close(objective.loss(model, batch), expected)


def test_logit_adjustment_needs_ten_numbers():
    with pytest.raises(ValueError, match="logit_adjustment must be ten numbers, one a digit, not 2"):
        TrainingConfig(logit_adjustment=(0.0, 1.0))


def test_bfloat16_gives_nearly_the_same_loss_and_gradients(dataset, model):
    losses, gradients = [], []
    for precision in ("float32", "bfloat16"):
        objective = Supervised(dataset, FEATURES, PLAIN, TrainingConfig(batch_size=16, precision=precision))
        model.zero_grad()
        loss = objective.loss(model, first_batch(objective))
        loss.backward()
        losses.append(loss.detach())
        gradients.append(torch.cat([weight.grad.flatten() for weight in model.parameters()]))
    assert losses[1].dtype == gradients[1].dtype == torch.float32
    assert 0 < (losses[0] - losses[1]).abs() < 0.02
    assert F.cosine_similarity(*gradients, dim=0) > 0.99


def test_a_linear_probe_trains_the_head_only(dataset, model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    config = TrainingConfig(epochs=2, batch_size=16, only_head=True)
    train(model, Supervised(dataset, FEATURES, NOISY, config), config, seed=0)
    for name, value in model.state_dict().items():  # including batch statistics
        assert torch.equal(value, before[name]) != name.startswith("head."), name


def test_two_views_are_different_augmentations_of_the_same_clips(dataset):
    config = TrainingConfig(batch_size=8)
    objective = Supervised(dataset, FEATURES, NOISY, config)
    (waveforms, lengths), _, _ = first_batch(objective)
    features, frames = two_views(objective.augment, waveforms, lengths, FEATURES.floor)
    assert len(features) == len(frames) == 16
    for clip, n in zip(features, frames, strict=True):
        assert (clip[n:] == FEATURES.floor).all()
    assert not torch.equal(features[:8], features[8:])
    plain = two_views(Augmenter(PLAIN, FEATURES, objective.generator), waveforms, lengths, FEATURES.floor)
    assert torch.equal(plain[0][:8], plain[0][8:])


LOSSES = {
    "nt-xent": lambda z, labels, speakers: nt_xent(z, torch.arange(len(labels)).repeat(2), 0.2),
    "supcon": lambda z, labels, speakers: supervised_contrastive(z, labels.repeat(2), 0.2, speakers.repeat(2)),
    "triplet": lambda z, labels, speakers: triplet(z, labels.repeat(2), 0.4),
}


@pytest.mark.parametrize("name", LOSSES)
def test_contrastive_loss_compares_projections_of_the_last_hidden_layer(dataset, model, name):
    config = ContrastiveConfig(name, temperature=0.2, margin=0.4)
    objective = Contrastive(24, dataset, FEATURES, PLAIN, config, batch_size=16)
    (waveforms, lengths), labels, speakers = batch = first_batch(objective)
    features, frames = LogMel(FEATURES)(waveforms, lengths)
    z = objective.projection(model.embed(features.repeat(2, 1, 1), frames.repeat(2)))
    torch.testing.assert_close(objective.loss(model, batch), LOSSES[name](z, labels, speakers))


def test_swav_compares_with_prototypes_that_are_trained(dataset, model):
    config = ContrastiveConfig("swav", temperature=0.2, prototypes=5)
    objective = Contrastive(24, dataset, FEATURES, PLAIN, config, batch_size=16)
    (waveforms, lengths), _, speakers = batch = first_batch(objective)
    features, frames = LogMel(FEATURES)(waveforms, lengths)
    z = objective.projection(model.embed(features.repeat(2, 1, 1), frames.repeat(2)))
    cosines = F.cosine_similarity(z.unsqueeze(1), objective.prototypes.unsqueeze(0), dim=2)
    loss = objective.loss(model, batch)
    torch.testing.assert_close(loss, swav(cosines, speakers, 0.2))
    loss.backward()
    assert objective.prototypes.grad.abs().sum() > 0


def test_joint_loss_is_cross_entropy_plus_the_weighted_contrastive_loss(dataset, model):
    losses = []
    for weight in (1e-9, 1.0, 3.0):
        torch.manual_seed(0)  # the same projection every time
        objective = Joint(24, dataset, FEATURES, PLAIN, TrainingConfig(batch_size=16, contrastive_weight=weight))
        batch = first_batch(objective)
        losses.append(objective.loss(model, batch))
    (waveforms, lengths), labels, speakers = batch
    features, frames = LogMel(FEATURES)(waveforms, lengths)
    views = features.repeat(2, 1, 1), frames.repeat(2)
    z = objective.projection(model.embed(*views))
    torch.testing.assert_close(losses[0], F.cross_entropy(model(*views), labels.repeat(2), label_smoothing=0.1))
    contrastive = supervised_contrastive(z, labels.repeat(2), 0.1, speakers.repeat(2))
    torch.testing.assert_close(losses[1] - losses[0], contrastive)
    torch.testing.assert_close(losses[2] - losses[0], 3 * contrastive)


@pytest.mark.parametrize(
    "other",
    [
        {"mixup": 0.3},
        {"only_head": True},
        {"logit_adjustment": (1.0,) * 10},
        {"balance": True},
        {"precision": "bfloat16"},
    ],
)
def test_joint_training_rejects_settings_that_it_would_ignore(other):
    with pytest.raises(ValueError, match=f"contrastive_weight cannot be combined with {next(iter(other))}"):
        TrainingConfig(contrastive_weight=0.5, **other)


def test_joint_training_refuses_non_digits(corpus):
    dataset = SpokenDigits(corpus.clips.head(2).assign(label=[3, NON_DIGIT]), FEATURES.sample_rate)
    with pytest.raises(InputError, match="contrastive_weight needs digits only"):
        Joint(24, dataset, FEATURES, PLAIN, TrainingConfig(contrastive_weight=0.5))


def test_a_projection_is_trained_and_resumed_with_the_model(dataset, tmp_path):
    def learn(epochs, state=None):
        torch.manual_seed(0)
        model = CNN1d(CNN1dConfig(n_mels=20, channels=(8, 12)))
        config = PretrainingConfig(epochs=epochs, batch_size=16, schedule="constant")
        objective = Contrastive(24, dataset, FEATURES, NOISY, config.contrastive, config.batch_size)
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


@pytest.mark.parametrize("balance", [False, True])
def test_non_digits_are_an_eleventh_class_whose_logit_is_zero(corpus, balance):
    """p(digit) = exp(z) / (1 + sum of exp(z)), and p(no digit) = 1 / (1 + sum of exp(z))."""
    experiment = experiment_of(corpus, "cnn1d", training={"label_smoothing": 0, "balance": balance})
    clips = corpus.clips.iloc[[3, 14, 25]].assign(label=[3, NON_DIGIT, 5])
    dataset = SpokenDigits(clips, experiment.features.sample_rate)
    objective = Supervised(dataset, experiment.features, PLAIN, experiment.training)
    model = make_model(experiment).eval()
    (batch,) = objective.batches
    (waveforms, lengths), labels, _ = batch
    with torch.no_grad():
        z = model(*LogMel(experiment.features)(waveforms, lengths)).exp()
        rejected = 1 / (1 + z.sum(1))
        expected = [rejected[i] if label == NON_DIGIT else z[i, label] * rejected[i] for i, label in enumerate(labels)]
        weights = class_weights(dataset.labels)[labels] if balance else 1.0
        torch.testing.assert_close(objective.loss(model, batch), -(weights * torch.stack(expected).log()).mean())


# Mixup


def test_mixup_follows_its_formula():
    inputs = torch.randn(10, 6, 4, generator=torch.Generator().manual_seed(0))
    frames, targets = torch.tensor([6, 2, 3, 4, 5, 6, 1, 2, 3, 4]), torch.eye(10)
    weights, pairs = [], set()
    for seed in range(40):
        mixed, lengths, soft = mix(inputs, frames, targets, 0.5, torch.Generator().manual_seed(seed))
        assert torch.equal(mixed, mix(inputs, frames, targets, 0.5, torch.Generator().manual_seed(seed))[0])
        torch.testing.assert_close(soft.sum(1), torch.ones(10))
        for i in range(10):
            weight = soft[i, i].item()
            partners = [j for j in range(10) if j != i and soft[i, j] > 0]
            assert len(partners) <= 1
            other = partners[0] if partners else i
            pairs.add((i, other))
            torch.testing.assert_close(mixed[i], weight * inputs[i] + (1 - weight) * inputs[other])
            assert lengths[i] == max(frames[i], frames[other])
            if other != i:
                assert weight >= 0.5  # of the clip itself
                weights.append(round(weight, 6))
    assert len(pairs) > 80  # of a hundred
    assert 20 < len(set(weights)) <= 40  # one weight per batch
    # max(w, 1 - w) has the mean 1/2 + 1/pi, with w from Beta(1/2, 1/2), the arcsine distribution
    assert np.mean(sorted(set(weights))) == pytest.approx(0.5 + 1 / math.pi, abs=0.08)
