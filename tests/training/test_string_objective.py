"""The loss of strings: CTC's formula, the limit in time, the digits' times, and where a change of tempo moves them."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from model_neural.crnn import BLANK, CRNN, CRNNConfig
from utils import InputError
from utils.features.augmentation import AugmentationConfig
from utils.features.batches import SpokenDigits
from utils.features.log_mel import FeatureConfig
from utils.features.strings import StringConfig
from utils.training import string_objective
from utils.training.distributed import Process
from utils.training.loop import train
from utils.training.objectives import TrainingConfig
from utils.training.string_objective import EARLY, LATE, TIMES_WEIGHT, Strings, string_loss

FEATURES = FeatureConfig(n_mels=20, trim_db=None, level="none", range_db=80.0, mean_db=-40.0)
STRINGS = StringConfig(number=32, most_words=3, long_silences=0.0)
SECONDS = 0.04  # of a step


def random_labels(steps: int, seed: int = 0) -> Tensor:
    return torch.randn(1, steps, 11, generator=torch.Generator().manual_seed(seed)).log_softmax(2)


def naive(labels: Tensor, digits: list[int], allowed: list[tuple[float, float]]) -> float:
    """The negative logarithm of the summed probability of all paths that read as `digits`, each in a time allowed."""
    total, spans = 0.0, list(zip(digits, allowed, strict=True))
    for path in itertools.product(range(11), repeat=len(labels)):
        runs = [(label, [step for step, _ in run]) for label, run in itertools.groupby(enumerate(path), lambda s: s[1])]
        named = [(label, steps) for label, steps in runs if label != BLANK]
        if [label for label, _ in named] != digits:
            continue
        if all(
            any(low - 1e-6 <= SECONDS * step <= high + 1e-6 for digit, (low, high) in spans if digit == label)
            for label, steps in named
            for step in steps
        ):
            total += math.exp(sum(labels[step, label].item() for step, label in enumerate(path)))
    return -math.log(total)


def loss_of(labels: Tensor, digits: list[int], starts: list[float], ends: list[float]) -> float:
    passed = torch.zeros(*labels.shape[:2], 2)
    steps = torch.tensor([labels.shape[1]])
    batch = [torch.tensor([values]) for values in (digits, starts, ends)]
    return string_loss(labels, passed, steps, *batch, SECONDS).item()


@pytest.mark.parametrize("digits", [[3], [7, 2], [4, 4]])
def test_the_loss_of_the_labels_is_that_of_all_paths_within_the_limit(digits, monkeypatch):
    monkeypatch.setattr("utils.training.string_objective.TIMES_WEIGHT", 0.0)
    labels = random_labels(5)
    ends = [0.08] if len(digits) == 1 else [0.01, 0.23]  # steps are at 0, 0.04, ... 0.16 s
    starts = [-1.0] if len(digits) == 1 else [-1.0, 0.1]
    allowed = [(max(start, end - EARLY), end + LATE) for start, end in zip(starts, ends, strict=True)]
    expected = naive(labels[0], digits, allowed) / len(digits)
    assert loss_of(labels, digits, starts, ends) == pytest.approx(expected, rel=1e-4)


def test_the_loss_of_the_times_counts_the_steps_at_which_a_digit_may_be_named():
    labels, passed = random_labels(30), torch.zeros(1, 30, 2)
    starts, ends = torch.tensor([[0.2]]), torch.tensor([[0.6]])
    time = SECONDS * torch.arange(30)
    passed[0] = torch.stack([time - 0.2, time - 0.6], 1)
    batch = torch.tensor([30]), torch.tensor([[5]]), starts, ends, SECONDS
    true = string_loss(labels, passed, *batch)
    near = (time >= 0.6 - EARLY) & (time <= 0.6 + LATE)
    elsewhere = string_loss(labels, passed + 9.0 * ~near.view(1, 30, 1), *batch)
    late = string_loss(labels, passed + 1.0, *batch)
    assert elsewhere.item() == pytest.approx(true.item())
    assert (late - true).item() == pytest.approx(TIMES_WEIGHT * 2 * (1.0 - 0.025), rel=1e-4)


def test_a_step_at_which_two_digits_may_be_named_learns_the_times_of_the_nearer_end():
    labels, passed = random_labels(30), torch.zeros(1, 30, 2)
    starts, ends = torch.tensor([[0.2, 0.5]]), torch.tensor([[0.6, 0.74]])
    time = SECONDS * torch.arange(30)
    passed[0] = torch.stack([time - 0.2, time - 0.6], 1).where(time.unsqueeze(1) < 0.67, 0)
    passed[0] += torch.stack([time - 0.5, time - 0.74], 1).where(time.unsqueeze(1) > 0.67, 0)
    batch = torch.tensor([30]), torch.tensor([[5, 7]]), starts, ends, SECONDS
    assert time_loss(labels, passed, *batch) == pytest.approx(0, abs=1e-5)
    assert time_loss(labels, passed + 0.1 * (time > 0.67).view(1, 30, 1), *batch) > 0.01


def time_loss(labels: Tensor, passed: Tensor, *batch) -> float:
    """What the times add to the loss of the labels, the same for any times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(string_objective, "TIMES_WEIGHT", 0.0)
        alone = string_loss(labels, passed, *batch)
    return (string_loss(labels, passed, *batch) - alone).item()


def test_a_digit_that_ends_after_the_last_step_may_be_named_at_the_last_step(monkeypatch):
    monkeypatch.setattr(string_objective, "TIMES_WEIGHT", 0.0)
    labels = random_labels(3)
    expected = -(labels[0, :2, BLANK].sum() + labels[0, 2, 6]).item()
    assert loss_of(labels, [6], [0.0], [1.0]) == pytest.approx(expected, rel=1e-4)


def test_a_string_without_digits_costs_the_steps_that_are_not_blank():
    labels = random_labels(6)
    none = torch.zeros(1, 0)
    loss = string_loss(labels, torch.zeros(1, 6, 2), torch.tensor([6]), none.long(), none, none, SECONDS)
    assert loss.item() == pytest.approx(-labels[0, :, BLANK].sum().item(), rel=1e-5)


def test_padding_does_not_change_the_loss():
    labels, passed = random_labels(40), torch.randn(1, 40, 2, generator=torch.Generator().manual_seed(1))
    digits, starts, ends = torch.tensor([[5, 1]]), torch.tensor([[0.1, 0.5]]), torch.tensor([[0.4, 0.9]])
    alone = string_loss(labels, passed, torch.tensor([40]), digits, starts, ends, SECONDS)
    wide = [torch.cat([part, 5 + torch.zeros(1, 9, part.shape[2])], 1) for part in (labels, passed)]
    more = [torch.cat([part, torch.full((1, 1), value)], 1) for part, value in ((digits, -1), (starts, 0), (ends, 0))]
    assert string_loss(*wide, torch.tensor([40]), *more, SECONDS).item() == pytest.approx(alone.item(), rel=1e-5)


@pytest.fixture(scope="module")
def words(corpus) -> SpokenDigits:
    return SpokenDigits(corpus.clips.query("split == 'TRAIN'"), FEATURES.sample_rate)


def objective(words: SpokenDigits, **augmentation) -> Strings:
    config = TrainingConfig(batch_size=8, epochs=2, learning_rate=3e-3)
    return Strings(words, FEATURES, AugmentationConfig(**augmentation), config, STRINGS)


@pytest.mark.parametrize(
    "tempo", [{"stretch": (0.7, 1.4)}, {"warp_time": 0.5}, {"stretch": (0.7, 1.4), "warp_time": 0.5}]
)
def test_a_change_of_tempo_moves_the_digits_with_their_sound(words, tempo):
    """A loud click at each start and end is where the times say, before and after."""
    made = objective(words, **tempo)
    made.generator.manual_seed(0)
    frames = torch.tensor([200, 150])
    starts, ends = torch.tensor([[2400, 8000], [1600, 6400]]), torch.tensor([[4800, 12000], [4000, 8000]])
    inputs = torch.full((2, 200, 20), FEATURES.floor)
    for string, (first, last) in enumerate(zip(starts // 80, ends // 80, strict=True)):
        inputs[string, torch.cat([first, first + 1, last, last + 1])] = 5.0
    moved, lengths, new_starts, new_ends = made.move(inputs, frames, starts, ends)
    for string in range(2):
        assert (lengths[string] != frames[string]) == ("stretch" in tempo)
        for time in torch.cat([new_starts[string], new_ends[string]]):
            frame = round(time.item() * 100)
            assert moved[string, frame - 2 : frame + 2].max() > 1.0
    assert (new_ends > new_starts).all() and (new_ends - ends / 8000).abs().max() > 0.05


def test_nothing_else_moves_the_digits(words):
    made = objective(words, stretch=(1.3, 1.4), warp_time=0.5, room=1.0, room_seconds=0.9)
    waveforms, lengths = next(iter(made.batches)).waveforms
    changed, same = made.augmenter.change_waveforms(waveforms, lengths)
    features, frames = made.augmenter.front_end(changed, same)
    assert torch.equal(same, lengths) and torch.equal(made.augmenter.change_features(features, frames)[1], frames)


def test_the_loss_is_of_the_digits_at_their_times_in_seconds(words, monkeypatch):
    seen = []
    monkeypatch.setattr(string_objective, "string_loss", lambda *given: seen.extend(given))
    made = objective(words)
    made.generator.manual_seed(0)
    batch = next(iter(made.batches))
    made.loss(CRNN(CRNNConfig(n_mels=20)).eval(), batch)
    _, _, steps, digits, starts, ends, seconds = seen
    assert seconds == pytest.approx(SECONDS) and torch.equal(digits, batch.labels)
    torch.testing.assert_close(seconds * steps, batch.waveforms[1] / 8000, atol=SECONDS, rtol=0)
    for found, samples in ((starts, batch.starts), (ends, batch.ends)):
        torch.testing.assert_close(found, samples / 8000, atol=0.0101, rtol=0)  # a frame


@pytest.mark.parametrize("augmentation", [{"gain_db": (6.0, 9.0)}, {"mask_bands": 10}])
def test_strings_are_augmented_before_and_after_the_front_end(words, augmentation):
    network, losses = CRNN(CRNNConfig(n_mels=20)).eval(), []
    for made in (objective(words), objective(words, **augmentation)):
        made.generator.manual_seed(0)
        losses.append(made.loss(network, next(iter(made.batches))).item())
    assert losses[0] != losses[1]


def test_logit_adjustment_raises_the_log_odds_that_the_loss_sees(words, monkeypatch):
    seen = []
    monkeypatch.setattr(string_objective, "string_loss", lambda labels, *_: seen.append(labels))
    network = CRNN(CRNNConfig(n_mels=20)).eval()
    for adjustment in ((), (0.0,) * 8 + (0.75, -0.5)):
        config = TrainingConfig(batch_size=8, logit_adjustment=adjustment)
        made = Strings(words, FEATURES, AugmentationConfig(), config, STRINGS)
        made.generator.manual_seed(0)
        made.loss(network, next(iter(made.batches)))
    plain, adjusted = (labels - labels[..., BLANK:] for labels in seen)
    expected = torch.tensor([0.0] * 8 + [0.75, -0.5, 0.0]).expand_as(plain)
    torch.testing.assert_close(adjusted - plain, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(seen[1].exp().sum(2), torch.ones(plain.shape[:2]))


def test_strings_are_not_shared_among_processes(words, monkeypatch):
    monkeypatch.setattr(string_objective, "this_process", lambda: Process(0, 2, torch.device("cpu")))
    made = objective(words)
    with pytest.raises(InputError, match="in a single process"):
        made.loss(CRNN(CRNNConfig(n_mels=20)), next(iter(made.batches)))


def test_a_training_is_the_same_again_and_resumes(words, tmp_path):
    def trained(state=None, epochs=2):
        torch.manual_seed(0)
        model = CRNN(CRNNConfig(n_mels=20, channels=(16, 16, 16), width=16, units=16))
        made = objective(words, noise_snr_db=(10.0, 30.0), stretch=(0.9, 1.1))
        config = TrainingConfig(batch_size=8, epochs=epochs, schedule="constant")
        return train(model, made, config, seed=1, state=state), model.state_dict()

    history, once = trained()
    trained(tmp_path / "state", epochs=1)
    _, resumed = trained(tmp_path / "state")
    assert len(history) == 2 and history[1]["loss"] < history[0]["loss"]
    assert all(torch.equal(once[name], resumed[name]) for name in once)
