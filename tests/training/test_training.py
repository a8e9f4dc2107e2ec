"""Training is seeded and goes on after a kill bit for bit; its parts do what they are named after."""

import copy
import math
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
import yaml
from conftest import experiment_of, settings, write_metadata
from torch import nn
from torch.nn.modules.module import register_module_forward_hook
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from utils import InputError
from utils.data.metadata import read_metadata
from utils.data.splits import PROTOCOLS
from utils.experiments import fitting, runs
from utils.experiments.config import load_experiment
from utils.features.augmentation import AugmentationConfig
from utils.features.batches import BucketSampler, Spectrograms, SpokenDigits, training_batches
from utils.features.extraction import clip_features
from utils.features.log_mel import FeatureConfig
from utils.paths import COURSE_METADATA, PROJECT, speech_data
from utils.training import loop, objectives
from utils.training.loop import make_scheduler, train
from utils.training.objectives import Supervised, TrainingConfig, mix

FEATURES = FeatureConfig(n_mels=20)
AUGMENTATION = AugmentationConfig(noise_snr_db=(5.0, 35.0))
PLAIN = AugmentationConfig()  # none at all
ALL = {"weight_decay": 0.01, "label_smoothing": 0.1}  # of all configs here


class Small(nn.Module):
    """A network with all that makes training hard to repeat: dropout and batch normalisation."""

    def __init__(self, mels: int = 20):
        super().__init__()
        self.conv = nn.Conv1d(mels, 16, 3, padding=1)
        self.norm = nn.BatchNorm1d(16)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(16, 10)

    def forward(self, features, lengths):
        x = torch.relu(self.norm(self.conv(features.transpose(1, 2))))
        inside = torch.arange(x.shape[2]) < lengths.unsqueeze(1)
        return self.head(self.dropout((x * inside.unsqueeze(1)).sum(2) / lengths.unsqueeze(1)))


@pytest.fixture(scope="module")
def dataset(corpus) -> SpokenDigits:
    clips = corpus.clips
    return SpokenDigits(clips[clips["split"] == "TRAIN"], FEATURES.sample_rate)


@pytest.fixture(scope="module")
def validation(corpus):
    clips = corpus.clips
    return clip_features(clips[clips["split"] == "DEV"], FEATURES)


@pytest.fixture
def learn(dataset):
    """`learn(seed, **settings)` trains a small network: its weights and its history without the seconds."""

    def run(seed: int = 0, *, epochs: int = 3, augmentation=AUGMENTATION, state=None, validation=None, **changes):
        torch.manual_seed(7)
        model = Small()
        config = TrainingConfig(**ALL | {"epochs": epochs, "batch_size": 16} | changes)
        objective = Supervised(dataset, FEATURES, augmentation, config)
        history = train(model, objective, config, seed=seed, state=state, validation=validation)
        return model.state_dict(), [{k: v for k, v in row.items() if k != "seconds"} for row in history]

    return run


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# The same again


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(learn):
    weights, history = learn(5)
    torch.rand(3)  # whatever else has drawn random numbers
    again, history_again = learn(5)
    assert same(weights, again) and history == history_again
    other, _ = learn(6)
    assert not any(torch.equal(weights[name], other[name]) for name in ("conv.weight", "head.weight"))


def test_epochs_differ_in_order_and_augmentation(learn):
    """With a learning rate of almost zero, two epochs of the same batches would have the same loss."""
    _, history = learn(0, learning_rate=1e-12, schedule="constant")
    assert len({row["loss"] for row in history}) == 3


def test_history_tells_each_epoch(learn, validation):
    _, history = learn(0, validation=validation)
    assert [row["epoch"] for row in history] == [1, 2, 3]
    assert history[-1]["loss"] < history[0]["loss"]
    assert set(history[0]) == {"epoch", "loss", "learning_rate", "validation_loss", "validation_accuracy"}
    _, history = learn(0)
    assert set(history[0]) == {"epoch", "loss", "learning_rate"}


def test_training_sees_training_mode_and_leaves_the_last_weights(learn):
    """Batch normalisation counts its batches only in training mode: 80 clips in batches of 16, three times."""
    weights, _ = learn(0)
    assert weights["norm.num_batches_tracked"] == 15


def test_few_clips_are_learned_for_more_epochs_where_asked(learn):
    """80 clips in batches of 16 are five steps an epoch."""
    assert len(learn(0, epochs=2, min_steps=9)[1]) == 2
    weights, history = learn(0, epochs=2, min_steps=11)
    assert len(history) == 3 and weights["norm.num_batches_tracked"] == 15
    assert history[-1]["learning_rate"] < history[1]["learning_rate"]  # the schedule ends with the last step


# Killed and resumed


class Killed(BaseException):
    """Like a kill, it is not an error that anything may catch."""


KINDS = {
    "one-cycle": {"schedule": "one-cycle"},
    "cosine, averaged, mixup": {"schedule": "cosine", "average": 0.9, "mixup": 0.4},
    "plateau": {"schedule": "plateau", "validated": True},
    "patience, averaged": {"schedule": "constant", "patience": 50, "average": 0.5, "validated": True},
}


@pytest.mark.parametrize("saved", [False, True], ids=["before it is saved", "after it is saved"])
@pytest.mark.parametrize("killed_at", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_the_end_of_an_epoch_and_resumed_equals_uninterrupted(
    learn, validation, tmp_path, monkeypatch, kind, killed_at, saved
):
    changes = {name: value for name, value in KINDS[kind].items() if name != "validated"}
    arguments = changes | {"epochs": 4, "validation": validation if "validated" in KINDS[kind] else None}
    expected = learn(1, **arguments)
    state, epochs = tmp_path / "run.state", []
    write_atomically = loop.write_atomically

    def write_and_die(path, write):
        epochs.append(path)
        if len(epochs) == killed_at and not saved:
            raise Killed
        write_atomically(path, write)
        if len(epochs) == killed_at:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(training, "write_atomically", write_and_die)
        with pytest.raises(Killed):
            learn(1, state=state, **arguments)
    assert state.exists() == (saved or killed_at > 1)
    with monkeypatch.context() as patch:
        done = []
        patch.setattr(training, "write_atomically", lambda *given: done.append(1) or write_atomically(*given))
        weights, history = learn(1, state=state, **arguments)
    assert same(weights, expected[0])
    assert history == expected[1]
    assert len(done) == 4 - killed_at + (not saved)  # it did go on, and did not begin anew


def test_killed_within_an_epoch_and_resumed_equals_uninterrupted(learn, tmp_path, monkeypatch):
    expected = learn(1, average=0.9)
    call, calls = objectives.Augmenter.__call__, []

    def augment_and_die(self, *batch):
        calls.append(1)
        if len(calls) == 8:  # of five batches an epoch
            raise Killed
        return call(self, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(objectives.Augmenter, "__call__", augment_and_die)
        with pytest.raises(Killed):
            learn(1, average=0.9, state=tmp_path / "run.state")
    weights, history = learn(1, average=0.9, state=tmp_path / "run.state")
    assert same(weights, expected[0]) and history == expected[1]


def test_a_run_that_was_finished_is_not_trained_again(learn, tmp_path, monkeypatch):
    expected = learn(1, state=tmp_path / "run.state")
    monkeypatch.setattr(training, "_epoch", None)  # there is none to run
    weights, history = learn(1, state=tmp_path / "run.state")
    assert same(weights, expected[0]) and history == expected[1]


DIES = """
    import os, signal, sys
    from utils import cli, objectives

    config, folder = sys.argv[1:]
    call, calls = objectives.Augmenter.__call__, []

    def augment_and_die(self, *batch):
        calls.append(1)
        if len(calls) == 13:  # of five batches an epoch
            os.kill(os.getpid(), signal.SIGKILL)
        return call(self, *batch)

    objectives.Augmenter.__call__ = augment_and_die
    cli.main(["train", config, "--seed", "3", "--store", f"{folder}/results", "--runs", f"{folder}/runs"])
"""


def test_sdr_train_killed_by_the_system_goes_on_and_ends_the_same(corpus, tmp_path, sdr, monkeypatch):
    config = tmp_path / "tiny.yaml"
    learning = {"training": {"epochs": 4, "average": 0.9}, "augmentation": {"noise_snr_db": [5, 35]}}
    config.write_text(yaml.safe_dump(settings(corpus, "cnn1d", **learning)))
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    died = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(DIES), config, killed],
        env=os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
    folder = killed / "runs" / "tiny" / "course"
    assert [path.suffix for path in folder.iterdir()] == [".state"]  # no half checkpoint
    assert not (killed / "results").exists()

    epoch, epochs = loop._epoch, []
    monkeypatch.setattr(training, "_epoch", lambda *given: epochs.append(1) or epoch(*given))
    for place in (killed, whole):
        done = sdr("train", config, "--seed", 3, "--store", place / "results", "--runs", place / "runs")
        assert done.status == 0
    assert len(epochs) == 2 + 4  # the killed run had finished two of its four epochs

    weights = [torch.load(place / "runs/tiny/course/seed-3/best_model.pt") for place in (killed, whole)]
    assert same(*(loaded["model_state"] for loaded in weights))
    first, second = (place / "results" / "tiny" / "course" / "seed-3.json" for place in (killed, whole))
    first, second = (yaml.safe_load(path.read_text()) for path in (first, second))
    for history in (first["history"], second["history"]):
        for row in history:
            del row["seconds"]
    assert first["history"] == second["history"] and len(first["history"]) == 4
    assert first["metrics"] == second["metrics"]
    assert not list(folder.glob(".*"))  # the state is gone when the run is done


# Schedules


def rates(schedule: str, steps: int, losses=None) -> list[float]:
    """The learning rate that each step takes."""
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], 0.01)
    scheduler = make_scheduler(optimizer, TrainingConfig(learning_rate=0.01, schedule=schedule), steps)
    taken = []
    for step in range(steps):
        taken.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step(*([] if losses is None else [losses[step]]))
    return taken


def test_constant_keeps_the_rate():
    assert rates("constant", 10) == [0.01] * 10


def test_cosine_falls_as_a_cosine():
    expected = [0.005 * (1 + math.cos(math.pi * step / 20)) for step in range(20)]
    np.testing.assert_allclose(rates("cosine", 20), expected)


def test_one_cycle_rises_to_the_rate_and_falls_to_almost_nothing():
    taken = rates("one-cycle", 100)
    top = int(np.argmax(taken))
    assert taken[top] == pytest.approx(0.01) and 15 <= top <= 25
    assert np.all(np.diff(taken[: top + 1]) > 0) and np.all(np.diff(taken[top:]) < 0)
    assert taken[0] < 0.001 and taken[-1] < 1e-5


def test_plateau_halves_the_rate_when_validation_stops_improving():
    assert rates("plateau", 8, losses=[5, 4, 3, 2, 1, 0.5, 0.2, 0.1]) == [0.01] * 8
    taken = rates("plateau", 12, losses=[1.0] * 12)
    assert sorted(set(taken), reverse=True) == [0.01, 0.005, 0.0025]


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one-cycle"])
def test_a_schedule_may_have_few_steps(schedule):
    for steps in range(1, 13):
        taken = rates(schedule, steps)
        assert len(taken) == steps and all(0 < rate <= 0.01 + 1e-12 for rate in taken)


def test_a_schedule_spans_all_epochs(learn):
    _, history = learn(0, schedule="cosine", learning_rate=0.01)  # five steps an epoch, fifteen in all
    expected = [0.005 * (1 + math.cos(math.pi * step / 15)) for step in (5, 10, 15)]
    np.testing.assert_allclose([row["learning_rate"] for row in history], expected, atol=1e-12)


# Averaging


def test_averaged_weights_are_the_exponential_moving_average(learn):
    steps = []

    def remember(optimizer, *_):
        steps.append([weight.detach().clone() for group in optimizer.param_groups for weight in group["params"]])

    hook = register_optimizer_step_post_hook(remember)
    try:
        weights, _ = learn(0, average=0.8)
    finally:
        hook.remove()
    assert len(steps) == 15
    average = steps[0]
    for step in steps[1:]:
        average = [0.8 * a + 0.2 * w for a, w in zip(average, step, strict=True)]
    names = [name for name, _ in Small().named_parameters()]
    for name, expected in zip(names, average, strict=True):
        torch.testing.assert_close(weights[name], expected)


def test_statistics_are_averaged_too(learn):
    """Batch normalisation's belong to the weights that were averaged, not to the last ones."""
    seen = []
    hook = register_module_forward_hook(
        lambda module, *_: seen.append(module.running_mean.clone()) if isinstance(module, nn.BatchNorm1d) else None
    )
    try:
        weights, _ = learn(0, average=0.8)
    finally:
        hook.remove()
    average = seen[0]
    for mean in seen[1:]:
        average = 0.8 * average + 0.2 * mean
    torch.testing.assert_close(weights["norm.running_mean"], average)
    assert not torch.allclose(average, seen[-1])


def test_a_long_gradient_is_shortened(learn):
    lengths = []

    def remember(optimizer, *_):
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        lengths.append(torch.cat([weight.grad.flatten() for weight in weights]).norm().item())

    hook = register_optimizer_step_pre_hook(remember)
    try:
        learn(0, clip_norm=None)
        (as_they_are, lengths[:]) = (lengths[:], [])
        learn(0, clip_norm=0.1)
    finally:
        hook.remove()
    assert min(as_they_are) > 0.1 and lengths == pytest.approx([0.1] * len(as_they_are), rel=1e-3)


def test_without_averaging_the_last_weights_are_kept(learn):
    last = []

    def remember(optimizer, *_):
        last[:] = [weight.detach().clone() for group in optimizer.param_groups for weight in group["params"]]

    hook = register_optimizer_step_post_hook(remember)
    try:
        weights, _ = learn(0, average=0.0)
    finally:
        hook.remove()
    assert all(torch.equal(weights[name], w) for (name, _), w in zip(Small().named_parameters(), last, strict=True))


# Early stopping


def validated(monkeypatch, accuracies: list[float]) -> list[dict]:
    """Let validation find these accuracies, whatever the model; the weights that it was shown."""
    shown = []

    def predict(model, features, floor):
        shown.append(copy.deepcopy(model.state_dict()))
        right = round(accuracies[len(shown) - 1] * len(features))
        answers = [LABELS[i] if i < right else (LABELS[i] + 1) % 10 for i in range(len(features))]
        return torch.nn.functional.one_hot(torch.tensor(answers), 10).float()

    monkeypatch.setattr(training, "predict", predict)
    return shown


LABELS = [i % 10 for i in range(20)]
VALIDATION = [torch.zeros(5, 20)] * 20, torch.tensor(LABELS)


@pytest.mark.parametrize(
    ("accuracies", "patience", "epochs", "best"),
    [
        ([0.5, 0.8, 0.6, 0.7, 0.7, 0.9], 2, 4, 2),
        ([0.5, 0.8, 0.6, 0.8, 0.7, 0.9], 3, 5, 2),  # as good again is not better
        ([0.5, 0.6, 0.5, 0.7, 0.6, 0.6], 2, 6, 4),
        ([0.9, 0.8, 0.7, 0.6, 0.5, 0.4], None, 6, 1),  # without patience all epochs run, and still the best is kept
    ],
)
@pytest.mark.parametrize("average", [0.0, 0.9])
def test_it_stops_after_patience_and_restores_the_best(learn, monkeypatch, accuracies, patience, epochs, best, average):
    shown = validated(monkeypatch, accuracies)
    weights, history = learn(0, epochs=6, patience=patience, validation=VALIDATION, average=average)
    assert [row["validation_accuracy"] for row in history] == pytest.approx(accuracies[:epochs])
    assert same(weights, shown[best - 1])
    assert not same(weights, shown[best])


def test_the_best_weights_survive_a_kill_after_them(learn, monkeypatch, tmp_path):
    accuracies = [0.5, 0.8, 0.6, 0.7]
    shown = validated(monkeypatch, accuracies)
    write_atomically, written = loop.write_atomically, []

    def write_and_die(path, write):
        write_atomically(path, write)
        written.append(path)
        if len(written) == 3:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(training, "write_atomically", write_and_die)
        with pytest.raises(Killed):
            learn(0, epochs=4, validation=VALIDATION, state=tmp_path / "run.state")
    weights, _ = learn(0, epochs=4, validation=VALIDATION, state=tmp_path / "run.state")
    assert len(shown) == 4 and same(weights, shown[1])


@pytest.mark.parametrize("needs", [{"patience": 3}, {"schedule": "plateau"}])
def test_what_needs_validation_is_refused_without(learn, needs):
    with pytest.raises(InputError, match="validation"):
        learn(0, **needs)


@pytest.mark.parametrize(
    "wrong",
    [
        {"schedule": "linear"},
        {"epochs": 0},
        {"batch_size": 1},
        {"learning_rate": 0.0},
        {"average": 1.0},
        {"label_smoothing": 1.0},
        {"mixup": -0.1},
        {"patience": 0},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError):
        TrainingConfig(**wrong)


# Mixup


def test_mixup_follows_its_formula():
    inputs = torch.randn(10, 6, 4, generator=torch.Generator().manual_seed(0))
    frames, targets = torch.tensor([6, 2, 3, 4, 5, 6, 1, 2, 3, 4]), torch.eye(10)
    shares, partners = [], set()
    for seed in range(40):
        generator = torch.Generator().manual_seed(seed)
        mixed, lengths, soft = mix(inputs, frames, targets, 0.5, generator)
        torch.testing.assert_close(soft.sum(1), torch.ones(10))
        for i in range(10):
            share = soft[i, i].item()
            others = [j for j in range(10) if j != i and soft[i, j] > 0]
            assert len(others) <= 1
            other = others[0] if others else i
            partners.add((i, other))
            torch.testing.assert_close(mixed[i], share * inputs[i] + (1 - share) * inputs[other])
            assert lengths[i] == max(frames[i], frames[other])
            if other != i:
                assert share >= 0.5  # a clip stays mostly what it was
                shares.append(round(share, 6))
    assert len(partners) > 80  # of a hundred pairs
    assert 20 < len(set(shares)) <= 40  # a share a batch
    # the larger of two shares from Beta(1/2, 1/2), the arcsine law, has the mean 1/2 + 1/pi
    assert np.mean(sorted(set(shares))) == pytest.approx(0.5 + 1 / math.pi, abs=0.08)


def test_mixup_is_seeded_and_changes_training(learn):
    plain, _ = learn(0)
    mixed, _ = learn(0, mixup=0.4)
    assert not same(plain, mixed)
    assert same(mixed, learn(0, mixup=0.4)[0])


# Batches


def test_an_epochs_batches_are_full_hold_a_clip_once_and_little_padding(dataset):
    lengths = [len(waveform) for waveform in dataset.waveforms]
    sampler = BucketSampler(lengths, 7, torch.Generator().manual_seed(0), bucket=8)
    epochs = [list(sampler) for _ in range(2)]
    for batches in epochs:
        assert len(batches) == len(sampler) == 80 // 7
        assert all(len(batch) == 7 for batch in batches)
        drawn = [i for batch in batches for i in batch]
        assert len(set(drawn)) == 77
    assert epochs[0] != epochs[1]

    def spread(batches):
        return np.mean([np.ptp([lengths[i] for i in batch]) for batch in batches])

    assert spread(epochs[0]) < 0.5 * np.mean([np.ptp(lengths) for _ in range(11)])


def test_a_batch_holds_each_clips_waveform_and_label(dataset):
    found = 0
    for (waveforms, lengths), labels, _ in training_batches(dataset, 16, torch.Generator().manual_seed(0)):
        for waveform, length, label in zip(waveforms, lengths, labels, strict=True):
            there = [i for i, clip in enumerate(dataset.waveforms) if torch.equal(clip, waveform[:length])]
            assert [dataset.labels[i].item() for i in there] == [label.item()]
            assert not waveform[length:].any()
            found += 1
    assert found == 80


def test_fewer_clips_than_a_batch_are_one_batch(corpus, dataset):
    few = SpokenDigits(corpus.clips.head(5), FEATURES.sample_rate)
    ((waveforms, _), labels, _) = next(iter(training_batches(few, 64, torch.Generator())))
    assert len(waveforms) == len(labels) == 5


# Learning


@pytest.mark.parametrize("model", ["linear", "cnn1d"])
def test_a_model_learns_to_hear_unheard_speakers(corpus, model):
    experiment = experiment_of(corpus, model, **({"training": {"epochs": 6}} if model != "linear" else {}))
    split = PROTOCOLS["course"](corpus.clips, None)
    fitted, history = fitting.fit(experiment, split, seed=0)
    measured, table = runs.evaluate(fitted, experiment, split.tests["TEST"])
    assert measured["accuracy"] >= 0.7  # chance is 0.1
    assert table["identifier"].tolist() == split.tests["TEST"]["identifier"].tolist()
    assert (table["predicted"] == table["label"]).mean() == measured["accuracy"]
    assert len(history) == (0 if model == "linear" else 6)


@pytest.mark.skipif(not (speech_data() / "0_george_0.wav").exists(), reason="the course's clips are not here")
def test_the_linear_baseline_hears_a_person_it_never_heard():
    experiment = load_experiment(PROJECT / "configs" / "linear.yaml")
    split = PROTOCOLS["inside-train"](read_metadata(COURSE_METADATA), "jackson")
    fitted, _ = fitting.fit(experiment, split, seed=0)
    measured, _ = runs.evaluate(fitted, experiment, split.tests["TEST"])
    assert measured["n"] == 500 and measured["accuracy"] > 0.5


def test_a_whole_run_is_the_same_again_bit_for_bit(corpus, tmp_path):
    experiment = experiment_of(corpus, "cnn1d")
    one, other = (runs.run(experiment, 4, store=tmp_path / name / "results", runs=tmp_path / name) for name in "ab")
    assert one["metrics"] == other["metrics"]
    assert [row["loss"] for row in one["history"]] == [row["loss"] for row in other["history"]]
    files = [tmp_path / name / "results" / "tiny" / "course" / "seed-4.tsv.gz" for name in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_validated_protocol_stops_early_within_a_run(corpus, tmp_path):
    """Ratio has validation speakers, so patience is allowed, and the checkpoint holds the best epoch."""
    experiment = experiment_of(
        corpus, "cnn1d", data={"protocol": "ratio", "fold": "1"}, training={"epochs": 12, "patience": 1}
    )
    result = runs.run(experiment, 0, store=tmp_path / "results", runs=tmp_path / "runs")
    assert result["protocol"] == "ratio-1"
    accuracy = [row["validation_accuracy"] for row in result["history"]]
    assert len(accuracy) < 12 and accuracy[-1] <= max(accuracy[:-1])


@pytest.fixture
def interrupted(corpus, tmp_path, monkeypatch):
    """`interrupted(**sections)` runs an experiment and kills it in its second epoch, and gives a function.

    That one runs it again and says how many epochs it then trained.
    """

    def begin(**sections):
        epoch, epochs = loop._epoch, []
        experiment = experiment_of(corpus, "cnn1d", training={"epochs": 4}, **sections)
        folder = {"store": tmp_path / "results", "runs": tmp_path / "runs"}

        def learn_and_die(*given):
            epochs.append(1)
            if len(epochs) == 2:
                raise Killed
            return epoch(*given)

        def again() -> int:
            runs.run(experiment, 0, **folder)
            return len(epochs) - 2

        monkeypatch.setattr(training, "_epoch", learn_and_die)
        with pytest.raises(Killed):
            runs.run(experiment, 0, **folder)
        return again

    return begin


def test_an_interrupted_run_goes_on(interrupted):
    assert interrupted()() == 3


def test_an_interrupted_run_does_not_go_on_with_other_clips(interrupted, corpus, tmp_path):
    """A state belongs to its clips as to its config: clips that have changed since begin anew."""
    clips = corpus.clips
    clips["file"] = [str(corpus.folder / file) for file in clips["file"]]
    table = write_metadata(tmp_path / "clips.tsv", clips)
    again = interrupted(data={"metadata": str(table)})
    write_metadata(table, clips[clips["speaker"] != "ada"])
    assert again() == 4


def test_an_interrupted_run_does_not_go_on_with_other_code(interrupted, monkeypatch):
    """A layer's activation may have been edited in between: half of each would be neither."""
    again = interrupted()
    monkeypatch.setattr(experiments, "sha256", lambda path: "edited")
    assert again() == 4


def test_training_that_diverges_is_no_success(learn):
    with pytest.raises(InputError, match="diverged"):
        learn(0, learning_rate=1e30, clip_norm=None)


def test_without_augmentation_features_are_computed_once_and_the_same(corpus, project):
    """What is read from the cache is what an augmentation of nothing computes batch by batch."""
    clips = corpus.clips.query("split == 'TRAIN'")
    waveforms, spectrograms = SpokenDigits(clips, FEATURES.sample_rate), Spectrograms(clips, FEATURES)
    objectives_ = [
        objectives.Supervised(kind, FEATURES, AugmentationConfig(), TrainingConfig(batch_size=16))
        for kind in (waveforms, spectrograms)
    ]
    by_label = []
    for objective in objectives_:
        objective.generator.manual_seed(0)
        seen = {}
        for inputs, labels, speakers in objective.batches:
            features, frames = objective.augment(*inputs)
            for clip, n, *who in zip(features, frames, labels.tolist(), speakers.tolist(), strict=True):
                seen.setdefault(tuple(who), []).append(clip[:n])
        by_label.append({who: sorted(own, key=lambda clip: (len(clip), clip.sum())) for who, own in seen.items()})
    assert by_label[0].keys() == by_label[1].keys()
    for who, own in by_label[0].items():
        for ours, theirs in zip(own, by_label[1][who], strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
