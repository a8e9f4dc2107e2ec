"""A run recognises unseen speakers, is reproducible, and resumes after an interruption if nothing has changed."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest
import torch
import yaml
from conftest import experiment_of, settings, write_metadata

from utils.data.metadata import read_metadata
from utils.data.splits import PROTOCOLS
from utils.experiments import fingerprints, fitting, runs
from utils.experiments.config import load_experiment
from utils.paths import CONFIGS, COURSE_METADATA, PROJECT, speech_data
from utils.training import loop


@pytest.mark.parametrize("model", ["linear", "cnn1d"])
def test_a_model_learns_to_recognise_unseen_speakers(corpus, model):
    experiment = experiment_of(corpus, model, **({"training": {"epochs": 6}} if model != "linear" else {}))
    split = PROTOCOLS["course"](corpus.clips, None)
    fitted, history = fitting.fit(experiment, split, seed=0)
    measured, table = runs.evaluate(fitted, experiment, split.tests["TEST"])
    assert measured["accuracy"] >= 0.7  # chance is 0.1
    assert table["identifier"].tolist() == split.tests["TEST"]["identifier"].tolist()
    assert (table["predicted"] == table["label"]).mean() == measured["accuracy"]
    assert len(history) == (0 if model == "linear" else 6)


@pytest.mark.skipif(not (speech_data() / "0_george_0.wav").exists(), reason="the course's recordings are not available")
def test_the_linear_baseline_recognises_an_unseen_speaker():
    experiment = load_experiment(CONFIGS / "linear.yaml")
    split = PROTOCOLS["inside-train"](read_metadata(COURSE_METADATA), "jackson")
    fitted, _ = fitting.fit(experiment, split, seed=0)
    measured, _ = runs.evaluate(fitted, experiment, split.tests["TEST"])
    assert measured["n"] == 500 and measured["accuracy"] > 0.5


def test_a_run_is_reproducible_bit_for_bit(corpus, tmp_path):
    experiment = experiment_of(corpus, "cnn1d")
    one, other = (runs.run(experiment, 4, store=tmp_path / name / "results", runs=tmp_path / name) for name in "ab")
    assert one["metrics"] == other["metrics"]
    assert [row["loss"] for row in one["history"]] == [row["loss"] for row in other["history"]]
    files = [tmp_path / name / "results" / "tiny" / "course" / "seed-4.tsv.gz" for name in "ab"]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_run_of_a_protocol_with_validation_stops_early(corpus, tmp_path):
    """The protocol "ratio" has validation speakers, so patience is allowed."""
    experiment = experiment_of(
        corpus, "cnn1d", data={"protocol": "ratio", "fold": "1"}, training={"epochs": 12, "patience": 1}
    )
    result = runs.run(experiment, 0, store=tmp_path / "results", runs=tmp_path / "runs")
    assert result["protocol"] == "ratio-1"
    accuracy = [row["validation_accuracy"] for row in result["history"]]
    assert len(accuracy) < 12 and accuracy[-1] <= max(accuracy[:-1])


@pytest.fixture
def interrupted(corpus, tmp_path, monkeypatch):
    """`interrupted(**sections)` starts a run of four epochs and kills it in the second.

    It returns a function that runs it again, and returns how many epochs it trained then.
    """

    def begin(**sections):
        epoch, epochs = loop._epoch, []
        experiment = experiment_of(corpus, "cnn1d", training={"epochs": 4}, **sections)
        folder = {"store": tmp_path / "results", "runs": tmp_path / "runs"}

        def train_and_die(*arguments):
            epochs.append(1)
            if len(epochs) == 2:
                raise KeyboardInterrupt
            return epoch(*arguments)

        def again() -> int:
            runs.run(experiment, 0, **folder)
            return len(epochs) - 2

        monkeypatch.setattr(loop, "_epoch", train_and_die)
        with pytest.raises(KeyboardInterrupt):
            runs.run(experiment, 0, **folder)
        return again

    return begin


def test_an_interrupted_run_resumes(interrupted):
    assert interrupted()() == 3


def test_an_interrupted_run_starts_again_if_the_clips_have_changed(interrupted, corpus, tmp_path):
    clips = corpus.clips
    clips["file"] = [str(corpus.folder / file) for file in clips["file"]]
    table = write_metadata(tmp_path / "clips.tsv", clips)
    again = interrupted(data={"metadata": str(table)})
    write_metadata(table, clips[clips["speaker"] != "ada"])
    assert again() == 4


def test_an_interrupted_run_starts_again_if_the_code_has_changed(interrupted, monkeypatch):
    """A model's code may have been edited in between."""
    again = interrupted()
    monkeypatch.setattr(fingerprints, "sha256", lambda path: "edited")
    assert again() == 4


KILLS_ITSELF = """
    import os, signal, sys
    from utils.commands import main
    from utils.training import objectives

    config, folder = sys.argv[1:]
    call, calls = objectives.Augmenter.__call__, []

    def augment_and_die(self, *batch):
        calls.append(1)
        if len(calls) == 13:  # of five batches per epoch
            os.kill(os.getpid(), signal.SIGKILL)
        return call(self, *batch)

    objectives.Augmenter.__call__ = augment_and_die
    main.main(["train", config, "--seed", "3", "--store", f"{folder}/results", "--runs", f"{folder}/runs"])
"""


def test_sdr_train_killed_by_a_signal_resumes_to_the_same_result(corpus, tmp_path, sdr, monkeypatch):
    config = tmp_path / "tiny.yaml"
    sections = {"training": {"epochs": 4, "ema_decay": 0.9}, "augmentation": {"noise_snr_db": [5, 35]}}
    config.write_text(yaml.safe_dump(settings(corpus, "cnn1d", **sections)))
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    killed_run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLS_ITSELF), config, killed],
        env=os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert killed_run.returncode == -signal.SIGKILL, killed_run.stderr
    folder = killed / "runs" / "tiny" / "course"
    assert [path.suffix for path in folder.iterdir()] == [".state"]  # no partial checkpoint
    assert not (killed / "results").exists()

    epoch, epochs = loop._epoch, []
    monkeypatch.setattr(loop, "_epoch", lambda *arguments: epochs.append(1) or epoch(*arguments))
    monkeypatch.setattr("utils.evaluation.figures.save_run", lambda result, folder: None)
    for place in (killed, whole):
        done = sdr("train", config, "--seed", 3, "--store", place / "results", "--runs", place / "runs")
        assert done.status == 0
    assert len(epochs) == 2 + 4  # the killed run had completed two of its four epochs

    weights = [torch.load(place / "runs/tiny/course/seed-3/best_model.pt") for place in (killed, whole)]
    one, other = (loaded["model_state"] for loaded in weights)
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    first, second = (place / "results" / "tiny" / "course" / "seed-3.json" for place in (killed, whole))
    first, second = (yaml.safe_load(path.read_text()) for path in (first, second))
    for history in (first["history"], second["history"]):
        for row in history:
            del row["seconds"]
    assert first["history"] == second["history"] and len(first["history"]) == 4
    assert first["metrics"] == second["metrics"]
    assert not list(folder.glob(".*"))  # the state is deleted when the run is complete
