"""The quickstart: two models on the clips there are, and a notice where they are synthetic."""

import functools
from dataclasses import replace
from pathlib import Path

import pytest

from utils import InputError
from utils.applications import quickstart
from utils.experiments.config import DataConfig


@pytest.fixture(autouse=True)
def short(monkeypatch, tmp_path):
    def few_steps(path):
        made = read(path)
        return replace(made, training=replace(made.training, min_steps=0)) if made.training is not None else made

    read = quickstart.load_experiment
    monkeypatch.setattr(quickstart, "load_experiment", few_steps)
    monkeypatch.setattr(quickstart, "EPOCHS", 1)
    monkeypatch.setattr(quickstart, "PROJECT", tmp_path)
    monkeypatch.setattr(quickstart, "FOLDER", tmp_path / "runs" / "quickstart")


def test_both_models_are_trained_and_tested_on_unseen_speakers(corpus, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(quickstart, "find_clips", lambda: DataConfig(metadata=str(corpus.metadata)))
    monkeypatch.setattr(quickstart.sysconfig, "get_path", lambda _: str(tmp_path / ".venv" / "Scripts"))
    quickstart.run()
    shown = capsys.readouterr().out
    assert "Training on 4 speakers" in shown
    for model in ("linear", "cnn1d"):
        (row,) = (line for line in shown.splitlines() if line.startswith(model))
        assert "eve" in row and "finn" in row
    assert f"{Path('.venv', 'Scripts', 'sdr')} predict {Path('runs/quickstart/cnn1d/course/seed-0')} " in shown
    assert f"{Path('.venv', 'Scripts', 'jupyter')} lab " in shown
    assert (tmp_path / "runs/quickstart/cnn1d/course/seed-0/best_model.pt").is_file()


@pytest.mark.slow
def test_without_the_recordings_the_clips_are_synthetic_and_said_to_be(monkeypatch, capsys, tmp_path):
    def offline(folder):
        raise InputError("no network")

    speak = functools.partial(quickstart.corpus.speak, speakers=3, repetitions=1, progress=False)
    monkeypatch.setenv("SDR_SPEECH_DATA", str(tmp_path / "clips"))
    monkeypatch.setattr(quickstart.fsdd, "fetch", offline)
    monkeypatch.setattr(quickstart.corpus, "speak", speak)
    quickstart.run()
    shown = capsys.readouterr().out
    assert "no network" in shown and "SYNTHETIC" in shown
    assert "Training on 1 speaker and" in shown
