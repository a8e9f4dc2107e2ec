"""`sdr train`: a result, a checkpoint and figures; bad settings are refused before any training."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import write_bytes

from utils.evaluation import results
from utils.experiments import runs


@pytest.mark.parametrize("model", ["linear", "cnn1d"])
def test_it_writes_a_result_and_a_checkpoint_for_predict(sdr, project, drawing, write_config, corpus, model):
    done = sdr("train", write_config(model, "mine"), "--seed", 5, "--protocol", "loso", "--fold", "finn")
    assert done.status == 0
    assert "Traceback" not in done.err
    result = results.load(project.store / "mine" / "loso-finn" / "seed-5.json")
    assert result["seed"] == 5 and list(result["metrics"]["TEST"]["per_speaker"]) == ["finn"]
    assert "finn" not in result["train_speakers"] and "eve" in result["train_speakers"]
    assert f"TEST: accuracy {result['metrics']['TEST']['accuracy']:.1%}" in done.out
    folder = done.out.splitlines()[-1].removeprefix("checkpoint: ")
    assert Path(folder) == project.runs / "mine" / "loso-finn" / "seed-5"
    pictures = {path.name for path in (Path(folder) / "figures").iterdir()}
    assert pictures == {"TEST_confusion.png", "TEST_speakers.png", "TEST_digits.png"} | {
        "curves.png" for _ in result["history"]
    }
    predicted = sdr("predict", folder, corpus.folder / "2_finn_1.wav", "--json")
    assert predicted.status == 0 and len(json.loads(predicted.out)) == 1


def test_store_is_respected(sdr, project, write_config, tmp_path):
    assert sdr("train", write_config(), "--store", tmp_path / "other").status == 0
    assert (tmp_path / "other" / "tiny" / "course" / "seed-0.json").exists()
    assert not project.store.exists()


def test_variant_and_repetitions(sdr, project, write_config, tmp_path):
    base = write_config("cnn1d", "base", training={"epochs": 1})
    several = tmp_path / "several.yaml"
    several.write_text(f"base: {base.name}\nvariants: {{calm: {{}}, wild: {{training: {{epochs: 2}}}}}}\n")
    assert sdr("train", several, "--variant", "wild", "--repetitions", 1).status == 0
    (path,) = project.store.rglob("seed-0.json")
    assert path == project.store / "wild" / "course-repetitions-1" / "seed-0.json"
    result = json.loads(path.read_text())
    assert result["train_clips"] == 40 and len(result["history"]) == 2
    sdr("train", several).refused("with --variant: calm, wild")
    sdr("train", several, "--variant", "clam").refused("no variant 'clam'; did you mean 'calm'?")
    for wrong in (0, -1, "x", 100_001):
        sdr("train", several, "--variant", "calm", f"--repetitions={wrong}").refused("--repetitions", str(wrong))


def test_replacing_a_model_with_other_settings_is_announced(sdr, project, write_config):
    assert "replace" not in sdr("train", write_config()).err + sdr("train", write_config()).err
    assert "tiny/course/seed-0: holds a model with other settings" in sdr("train", write_config(model={"size": 4})).err


def test_a_checkpoint_that_uses_older_names_counts_as_the_same(sdr, project, write_config):
    config = write_config("cnn1d", training={"epochs": 1}, data={"repetitions": 1})
    folder = Path(sdr("train", config).out.splitlines()[-1].removeprefix("checkpoint: "))
    snapshot = folder / "config_snapshot.yaml"
    older = snapshot.read_text().replace("repetitions:", "takes:").replace("vtlp:", "warp:")
    assert older != snapshot.read_text()
    snapshot.write_text(older)
    assert "replace" not in sdr("train", config).err
    snapshot.write_text("{")  # a damaged one is replaced as well
    assert "replace" in sdr("train", config).err


def test_extra_epochs_for_few_clips_are_announced(sdr, project, write_config):
    done = sdr("train", write_config("cnn1d", training={"epochs": 1, "min_steps": 10, "batch_size": 32}))
    assert done.status == 0 and "5 epochs" in done.err and "min_steps" in done.err


# What it refuses


@pytest.mark.parametrize(
    ("sections", "parts"),
    [
        ({"training": {"epoch": 3}}, ("training", "'epoch'", "'epochs'")),
        ({"model": {"name": "cnn1"}}, ("'cnn1'", "'cnn1d'")),
        ({"training": {"epochs": "many"}}, ("epochs", "whole number")),
        ({"data": {"protocol": "corse"}}, ("'corse'", "course")),
        ({"data": {"protocol": "loso"}}, ("loso", "ada", "--fold")),
        ({"training": {"patience": 2}}, ("validation",)),
        ({"data": {"metadata": "nowhere.tsv"}}, ("nowhere.tsv",)),
    ],
)
def test_a_bad_config_is_refused(sdr, project, write_config, sections, parts):
    sdr("train", write_config("cnn1d", **sections)).refused(*parts)
    assert not project.store.exists() and not project.runs.exists()


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--protocol", "loso", "--fold", "zoe"], ("zoe", "ada")),
        (["--fold", "ada"], ("course", "ada")),
        (["--protocol", "loso"], ("--fold",)),
        (["--protocol", "ratio", "--fold", "x"], ("seed",)),
        (["--seed", "one"], ("--seed", "one")),
        (["--seed", "1" + 30 * "0"], ("--seed",)),
        (["--seed", "-1"], ("--seed",)),
    ],
)
def test_bad_arguments_are_refused(sdr, project, write_config, arguments, parts):
    sdr("train", write_config("cnn1d"), *arguments).refused(*parts)


def test_a_file_that_is_not_a_config_is_refused(sdr, project, tmp_path):
    sdr("train", tmp_path / "none.yaml").refused("none.yaml")
    sdr("train", write_bytes(tmp_path / "a.yaml", b"[1, 2")).refused("a.yaml", "not YAML")
    sdr("train", write_bytes(tmp_path / "b.yaml", b"- linear")).refused("b.yaml", "key: value")


@pytest.mark.parametrize("place", ["--store", "--runs"])
def test_an_unwritable_folder_is_refused_before_training(sdr, project, write_config, tmp_path, monkeypatch, place):
    monkeypatch.setattr(runs, "fit", None)  # calling it would raise another error
    (tmp_path / "file").touch()
    sdr("train", write_config(), place, tmp_path / "file" / "here").refused("file/here", "could not be written")


# Tracking


def test_runs_are_tracked_if_mlflow_is_installed(sdr, project, drawing, write_config):
    mlflow = pytest.importorskip("mlflow")
    done = sdr("train", write_config("cnn1d", "mine"), "--seed", 5)
    assert done.status == 0 and "make tracking" in done.out
    client = mlflow.MlflowClient(f"sqlite:///{project.runs / 'mlflow' / 'runs.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("mine").experiment_id])
    result = results.load(project.store / "mine" / "course" / "seed-5.json")
    assert run.data.params["training.epochs"] == "2" and run.data.params["model.name"] == "cnn1d"
    assert run.data.metrics["TEST accuracy"] == pytest.approx(result["metrics"]["TEST"]["accuracy"])
    losses = [entry.value for entry in client.get_metric_history(run.info.run_id, "loss")]
    assert losses == pytest.approx([row["loss"] for row in result["history"]])
    kept = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert {"best_model.pt", "config_snapshot.yaml", "figures"} <= kept


def test_what_mlflow_refuses_is_told_and_the_run_counts(sdr, project, write_config, monkeypatch):
    class Refusing:
        def __init__(self, store: str):
            raise RuntimeError("Detected out-of-date database schema\n(use mlflow db upgrade)")

    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace(MlflowClient=Refusing))
    done = sdr("train", write_config())
    assert done.status == 0 and "checkpoint: " in done.out and "tracked: `" not in done.out
    assert done.err.splitlines()[-1].endswith("(Detected out-of-date database schema)")


def test_without_mlflow_nothing_is_printed_or_written(sdr, project, write_config, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)  # its import fails
    done = sdr("train", write_config())
    assert done.status == 0 and "track" not in done.out + done.err
    assert not (project.runs / "mlflow").exists()


@pytest.mark.parametrize("name", ["../../theirs", "{}", "..", ".hidden"])
def test_a_name_never_leads_out_of_the_runs(sdr, project, write_config, tmp_path, name):
    theirs = tmp_path / "theirs" / "course" / "seed-0"
    theirs.mkdir(parents=True)
    (theirs / "note.txt").write_text("theirs")
    path = write_config()
    path.write_text(f"experiment: {name.format(tmp_path / 'theirs')}\n" + path.read_text())
    sdr("train", path).refused("tiny.yaml: experiment", "cannot be a name")
    sdr("train", write_config(), "--protocol", "loso", "--fold", "../../../theirs").refused("cannot be the name")
    assert (theirs / "note.txt").read_text() == "theirs" and not project.runs.exists()


def test_files_of_others_in_the_folder_of_a_run_are_kept_and_named_before_training(sdr, project, drawing, write_config):
    folder = project.runs / "tiny" / "course" / "seed-0"
    assert sdr("train", write_config()).status == 0
    assert sdr("train", write_config()).status == 0  # its own, with figures
    (folder / "note.txt").write_text("mine")
    sdr("train", write_config()).refused("holds 'note.txt'", "move it elsewhere")
    assert (folder / "note.txt").read_text() == "mine"
