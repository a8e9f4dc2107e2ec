"""Training that was killed resumes after its last complete epoch, and ends with the same weights, bit for bit."""

import io
import os
import sys
from functools import partial

import pytest
from small_network import FEATURES, VALIDATION, fake_validation, same, train_small, training_set

from utils import InputError
from utils.features.extraction import clip_features
from utils.training import loop, objectives


@pytest.fixture(scope="module")
def learn(corpus):
    """`learn(seed, **settings)` trains a small network: its weights and its history."""
    return partial(train_small, training_set(corpus))


@pytest.fixture(scope="module")
def validation(corpus):
    return clip_features(corpus.clips.query("split == 'DEV'"), FEATURES)


class Killed(BaseException):
    """Not an Exception, so that no handler catches it."""


KINDS = {
    "one-cycle": {"schedule": "one-cycle"},
    "cosine, EMA, mixup": {"schedule": "cosine", "ema_decay": 0.9, "mixup": 0.4},
    "plateau": {"schedule": "plateau", "validated": True},
    "patience, EMA": {"schedule": "constant", "patience": 50, "ema_decay": 0.5, "validated": True},
}


@pytest.mark.parametrize("saved", [False, True], ids=["before saving", "after saving"])
@pytest.mark.parametrize("killed_at", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_training_killed_at_the_end_of_an_epoch_resumes_to_the_same_weights(
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
        patch.setattr(loop, "write_atomically", write_and_die)
        with pytest.raises(Killed):
            learn(1, state=state, **arguments)
    assert state.exists() == (saved or killed_at > 1)
    with monkeypatch.context() as patch:
        done = []
        patch.setattr(loop, "write_atomically", lambda *given: done.append(1) or write_atomically(*given))
        weights, history = learn(1, state=state, **arguments)
    assert same(weights, expected[0])
    assert history == expected[1]
    assert len(done) == 4 - killed_at + (not saved)  # resumed, not started again


def test_training_killed_within_an_epoch_resumes_to_the_same_weights(learn, tmp_path, monkeypatch):
    expected = learn(1, ema_decay=0.9)
    call, calls = objectives.Augmenter.__call__, []

    def augment_and_die(self, *batch):
        calls.append(1)
        if len(calls) == 8:  # of five batches per epoch
            raise Killed
        return call(self, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(objectives.Augmenter, "__call__", augment_and_die)
        with pytest.raises(Killed):
            learn(1, ema_decay=0.9, state=tmp_path / "run.state")
    weights, history = learn(1, ema_decay=0.9, state=tmp_path / "run.state")
    assert same(weights, expected[0]) and history == expected[1]


def test_finished_training_is_not_repeated(learn, tmp_path, monkeypatch):
    expected = learn(1, state=tmp_path / "run.state")
    monkeypatch.setattr(loop, "_epoch", None)  # fails if called
    weights, history = learn(1, state=tmp_path / "run.state")
    assert same(weights, expected[0]) and history == expected[1]


def test_the_progress_bar_of_a_resumed_training_begins_where_that_stopped(learn, tmp_path, monkeypatch):
    """Otherwise the time left would be told as if the epochs before had taken no time."""
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    for progress in (False, True):
        learn(0, epochs=2, state=tmp_path / "run.state", progress=progress)
    assert "2/2" in terminal.getvalue() and "0/2" not in terminal.getvalue()


def test_the_best_weights_survive_a_later_kill(learn, monkeypatch, tmp_path):
    accuracies = [0.5, 0.8, 0.6, 0.7]
    validated = fake_validation(monkeypatch, accuracies)
    write_atomically, written = loop.write_atomically, []

    def write_and_die(path, write):
        write_atomically(path, write)
        written.append(path)
        if len(written) == 3:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(loop, "write_atomically", write_and_die)
        with pytest.raises(Killed):
            learn(0, epochs=4, validation=VALIDATION, state=tmp_path / "run.state")
    weights, _ = learn(0, epochs=4, validation=VALIDATION, state=tmp_path / "run.state")
    assert len(validated) == 4 and same(weights, validated[1])


def test_a_flipped_bit_in_a_state_starts_the_training_anew(learn, tmp_path, capsys):
    expected, state = learn(1), tmp_path / "run.state"
    learn(1, state=state)
    content = state.read_bytes()
    for place in range(0, 8 * len(content), 8 * len(content) // 6 + 5):
        damaged = bytearray(content)
        damaged[place // 8] ^= 1 << place % 8
        state.write_bytes(damaged)
        weights, history = learn(1, state=state)
        assert same(weights, expected[0]) and history == expected[1]
        assert f"{state}: damaged" in capsys.readouterr().err
    assert learn(1, state=state)[1] == expected[1]
    assert capsys.readouterr().err == ""  # the new state is sound


@pytest.mark.parametrize("content", [b"", b"x", b"x" * 1000])
def test_a_state_that_is_none_starts_the_training_anew(learn, tmp_path, content):
    (tmp_path / "run.state").write_bytes(content)
    assert same(learn(1, state=tmp_path / "run.state")[0], learn(1)[0])


def test_the_state_of_another_training_is_not_resumed(learn, tmp_path, capsys):
    """The name of a state is a hash of the settings, the clips and the code."""
    learn(1, state=tmp_path / "one.state")
    (tmp_path / "one.state").rename(tmp_path / "other.state")
    weights, _ = learn(2, state=tmp_path / "other.state")
    assert same(weights, learn(2)[0]) and "of another training" in capsys.readouterr().err


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system")
def test_a_state_that_is_a_pipe_is_refused(learn, tmp_path):
    os.mkfifo(tmp_path / "run.state")
    with pytest.raises(InputError, match=r"run.state: not a regular file"):
        learn(1, state=tmp_path / "run.state")
