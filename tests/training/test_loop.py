"""The training loop is reproducible; schedules, averaging, clipping and early stopping follow their definitions."""

import io
import math
import sys
from functools import partial

import numpy as np
import pytest
import torch
from small_network import (
    AUGMENTATION,
    FEATURES,
    VALIDATION,
    SmallNetwork,
    fake_validation,
    same,
    train_small,
    training_set,
)
from torch import nn
from torch.nn.modules.module import register_module_forward_hook
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from model_neural.resnet import ResNet, ResNetConfig
from utils import InputError
from utils.features.extraction import clip_features
from utils.training import loop
from utils.training.loop import make_scheduler, train
from utils.training.objectives import Supervised, TrainingConfig

LAST = torch.channels_last


@pytest.fixture(scope="module")
def learn(corpus):
    """`learn(seed, **settings)` trains a small network: its weights and its history."""
    return partial(train_small, training_set(corpus))


@pytest.fixture(scope="module")
def validation(corpus):
    return clip_features(corpus.clips.query("split == 'DEV'"), FEATURES)


def test_the_same_seed_gives_the_same_weights_and_another_seed_does_not(learn):
    weights, history = learn(5)
    torch.rand(3)  # other random numbers drawn in between do not matter
    again, history_again = learn(5)
    assert same(weights, again) and history == history_again
    other, _ = learn(6)
    assert not any(torch.equal(weights[name], other[name]) for name in ("conv.weight", "head.weight"))


def test_epochs_differ_in_order_and_augmentation(learn):
    """With a learning rate near zero, epochs with equal batches would have the same loss."""
    _, history = learn(0, learning_rate=1e-12, schedule="constant")
    assert len({row["loss"] for row in history}) == 3


def test_the_history_has_a_row_per_epoch(learn, validation):
    _, history = learn(0, validation=validation)
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert history[-1]["loss"] < history[0]["loss"]
    assert set(history[0]) == {"epoch", "loss", "learning_rate", "validation_loss", "validation_accuracy"}
    _, history = learn(0)
    assert set(history[0]) == {"epoch", "loss", "learning_rate"}


def test_training_is_in_training_mode_for_all_epochs(learn):
    """Batch normalisation counts batches in training mode only: 80 clips in batches of 16, for three epochs."""
    weights, _ = learn(0)
    assert weights["norm.num_batches_tracked"] == 15


def test_min_steps_adds_epochs_for_few_clips(learn):
    """80 clips in batches of 16 are five steps per epoch."""
    assert len(learn(0, epochs=2, min_steps=9)[1]) == 2
    weights, history = learn(0, epochs=2, min_steps=11)
    assert len(history) == 3 and weights["norm.num_batches_tracked"] == 15
    assert history[-1]["learning_rate"] < history[1]["learning_rate"]  # the schedule ends with the last step


def test_an_error_clears_the_progress_bar(corpus, monkeypatch):
    def diverge(*_):
        raise InputError("training diverged")

    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(loop, "_epoch", diverge)
    config = TrainingConfig(epochs=1)
    objective = Supervised(training_set(corpus), FEATURES, AUGMENTATION, config)
    with pytest.raises(InputError) as raised:  # keeps the bar from being collected, as the handler of a command does
        train(SmallNetwork(), objective, config, seed=0, progress=True)
    shown = terminal.getvalue()
    assert raised.match("training diverged")
    assert "training:   0%|" in shown and shown.rstrip("\r").rpartition("\r")[2].strip() == ""


# Schedules


def rates(schedule: str, steps: int, losses=None) -> list[float]:
    """The learning rate of each step."""
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], 0.01)
    scheduler = make_scheduler(optimizer, TrainingConfig(learning_rate=0.01, schedule=schedule), steps)
    taken = []
    for step in range(steps):
        taken.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step(*([] if losses is None else [losses[step]]))
    return taken


def test_constant_schedule_keeps_the_rate():
    assert rates("constant", 10) == [0.01] * 10


def test_cosine_schedule_falls_like_a_cosine():
    expected = [0.005 * (1 + math.cos(math.pi * step / 20)) for step in range(20)]
    np.testing.assert_allclose(rates("cosine", 20), expected)


def test_one_cycle_schedule_rises_to_the_rate_and_falls_to_almost_zero():
    taken = rates("one-cycle", 100)
    top = int(np.argmax(taken))
    assert taken[top] == pytest.approx(0.01) and 15 <= top <= 25
    assert np.all(np.diff(taken[: top + 1]) > 0) and np.all(np.diff(taken[top:]) < 0)
    assert taken[0] < 0.001 and taken[-1] < 1e-5


def test_plateau_schedule_halves_the_rate_when_validation_stops_improving():
    assert rates("plateau", 8, losses=[5, 4, 3, 2, 1, 0.5, 0.2, 0.1]) == [0.01] * 8
    taken = rates("plateau", 12, losses=[1.0] * 12)
    assert sorted(set(taken), reverse=True) == [0.01, 0.005, 0.0025]


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one-cycle"])
def test_schedules_work_with_few_steps(schedule):
    for steps in range(1, 13):
        taken = rates(schedule, steps)
        assert len(taken) == steps and all(0 < rate <= 0.01 + 1e-12 for rate in taken)


def test_the_schedule_spans_all_epochs(learn):
    _, history = learn(0, schedule="cosine", learning_rate=0.01)  # five steps per epoch, fifteen in total
    expected = [0.005 * (1 + math.cos(math.pi * step / 15)) for step in (5, 10, 15)]
    np.testing.assert_allclose([row["learning_rate"] for row in history], expected, atol=1e-12)


def test_the_schedule_plateau_follows_the_validation_loss(learn, monkeypatch):
    fake_validation(monkeypatch, [0.5] * 6)
    _, history = learn(0, epochs=6, schedule="plateau", learning_rate=0.01, validation=VALIDATION)
    assert [row["learning_rate"] for row in history] == [0.01] * 5 + [0.005]  # after four without improvement


# Decay, averaging and clipping


def test_weight_decay_makes_weights_smaller(learn):
    without, decayed = (learn(0, weight_decay=decay)[0]["conv.weight"].norm() for decay in (0.0, 30.0))
    assert decayed < 0.9 * without


def test_ema_weights_are_the_exponential_moving_average(learn):
    steps = []

    def remember(optimizer, *_):
        steps.append([weight.detach().clone() for group in optimizer.param_groups for weight in group["params"]])

    hook = register_optimizer_step_post_hook(remember)
    try:
        weights, _ = learn(0, ema_decay=0.8)
    finally:
        hook.remove()
    assert len(steps) == 15
    average = steps[0]
    for step in steps[1:]:
        average = [0.8 * a + 0.2 * w for a, w in zip(average, step, strict=True)]
    names = [name for name, _ in SmallNetwork().named_parameters()]
    for name, expected in zip(names, average, strict=True):
        torch.testing.assert_close(weights[name], expected)


def test_running_statistics_are_averaged_too(learn):
    """Those of batch normalisation must fit the averaged weights, not the last ones."""
    seen = []
    hook = register_module_forward_hook(
        lambda module, *_: seen.append(module.running_mean.clone()) if isinstance(module, nn.BatchNorm1d) else None
    )
    try:
        weights, _ = learn(0, ema_decay=0.8)
    finally:
        hook.remove()
    average = seen[0]
    for mean in seen[1:]:
        average = 0.8 * average + 0.2 * mean
    torch.testing.assert_close(weights["norm.running_mean"], average)
    assert not torch.allclose(average, seen[-1])


def test_gradients_are_clipped_to_the_norm(learn):
    norms = []

    def remember(optimizer, *_):
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        norms.append(torch.cat([weight.grad.flatten() for weight in weights]).norm().item())

    hook = register_optimizer_step_pre_hook(remember)
    try:
        learn(0, clip_norm=None, learning_rate=1e-12)
        (unclipped, norms[:]) = (norms[:], [])
        learn(0, clip_norm=0.1)
    finally:
        hook.remove()
    assert min(unclipped) > 0.1 and max(unclipped) < 3 * min(unclipped)  # each of one batch alone
    assert norms == pytest.approx([0.1] * len(unclipped), rel=1e-3)


def test_without_ema_the_last_weights_are_kept(learn):
    last = []

    def remember(optimizer, *_):
        last[:] = [weight.detach().clone() for group in optimizer.param_groups for weight in group["params"]]

    hook = register_optimizer_step_post_hook(remember)
    try:
        weights, _ = learn(0, ema_decay=0.0)
    finally:
        hook.remove()
    names = [name for name, _ in SmallNetwork().named_parameters()]
    assert all(torch.equal(weights[name], weight) for name, weight in zip(names, last, strict=True))


# Validation and early stopping


@pytest.mark.parametrize(
    ("accuracies", "patience", "epochs", "best"),
    [
        ([0.5, 0.8, 0.6, 0.7, 0.7, 0.9], 2, 4, 2),
        ([0.5, 0.8, 0.6, 0.8, 0.7, 0.9], 3, 5, 2),  # an equal accuracy is no improvement
        ([0.5, 0.6, 0.5, 0.7, 0.6, 0.6], 2, 6, 4),
        ([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], None, 6, 1),  # without patience all epochs run, but the best weights are kept
    ],
)
@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_early_stopping_restores_the_best_weights(learn, monkeypatch, accuracies, patience, epochs, best, ema_decay):
    validated = fake_validation(monkeypatch, accuracies)
    weights, history = learn(0, epochs=6, patience=patience, validation=VALIDATION, ema_decay=ema_decay)
    assert [row["validation_accuracy"] for row in history] == pytest.approx(accuracies[:epochs])
    assert same(weights, validated[best - 1])
    assert not same(weights, validated[best])


@pytest.mark.parametrize("needs", [{"patience": 3}, {"schedule": "plateau"}])
def test_settings_that_need_validation_are_rejected_without(learn, needs):
    with pytest.raises(InputError, match="validation"):
        learn(0, **needs)


@pytest.mark.parametrize(
    "invalid",
    [
        {"schedule": "linear"},
        {"epochs": 0},
        {"batch_size": 1},
        {"learning_rate": 0.0},
        {"ema_decay": 1.0},
        {"label_smoothing": 1.0},
        {"mixup": -0.1},
        {"patience": 0},
    ],
)
def test_invalid_settings_are_rejected(invalid):
    with pytest.raises(ValueError):
        TrainingConfig(**invalid)


# Mixup and divergence


def test_mixup_is_seeded_and_changes_training(learn):
    plain, _ = learn(0)
    mixed, _ = learn(0, mixup=0.4)
    assert not same(plain, mixed)
    assert same(mixed, learn(0, mixup=0.4)[0])


@pytest.mark.parametrize(("channels", "last"), [((8, 16), False), ((16, 16), True)])
def test_channels_are_last_unless_they_are_few(corpus, channels, last):
    """PyTorch 2.11 writes beyond its memory in the skip connection otherwise."""
    model = ResNet(ResNetConfig(FEATURES.n_mels, channels))
    objective = Supervised(training_set(corpus), FEATURES, AUGMENTATION, TrainingConfig())
    convolution, seen = model.blocks[1].first.conv, set()
    convolution.register_forward_hook(lambda *_: seen.add(convolution.weight.is_contiguous(memory_format=LAST)))
    train(model, objective, TrainingConfig(epochs=1, min_steps=0), seed=0)
    assert seen == {last}


def test_diverging_training_is_an_error(learn):
    with pytest.raises(InputError, match="diverged"):
        learn(0, learning_rate=1e30, clip_norm=None)
