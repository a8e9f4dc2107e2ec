"""`sdr verify`: each verdict can happen, the exit status tells, and what was verified stands in the table."""

import functools
import json
import shutil
from datetime import date

import pytest
import torch
from conftest import use_table, write_metadata
from made_results import edit, metrics_of

from utils.evaluation import results, verified
from utils.evaluation.tables import Column, Table
from utils.experiments import runs, verification
from utils.experiments.config import find_experiment
from utils.files import sha256

COLUMNS = (Column("accuracy, %", "accuracy"), Column("verified", "verified"))


@pytest.fixture
def stored(sdr, project, corpus, write_config, tables, monkeypatch, tmp_path):
    """A table of a linear model and a small network, one run of each in the store, and a checkpoint of the former."""
    write_config("cnn1d", "network")
    use_table(monkeypatch, Table("made", "course", COLUMNS, {"little": 1, "network": 1}))
    monkeypatch.setattr(verification, "CHECKPOINTS", project.folder / "checkpoints")
    for name in ("train_again", "finish"):
        there = functools.partial(getattr(verification, name), place=project.runs / "verify")
        monkeypatch.setattr(verification, name, there)
    # whatever the state of this repository, the code is that which made the runs
    monkeypatch.setattr(results, "_git", lambda *words: "abc" if words[0] == "rev-parse" else "")
    runs.run(find_experiment("little", tmp_path), 0, store=project.store, runs=project.folder / "made")
    runs.run(find_experiment("network", tmp_path), 0, store=project.store, runs=project.folder / "made")
    (project.folder / "checkpoints").mkdir()
    (project.folder / "made" / "little" / "course" / "seed-0").rename(project.folder / "checkpoints" / "little")
    return project


def path_of(stored, name: str):
    return stored.store / name / "course" / "seed-0.json"


def elsewhere(result: dict) -> None:
    result["environment"] |= {"processor": "Another", "commit": "abc"}


def test_what_holds_is_equal_bit_for_bit_and_stands_in_the_table(sdr, stored):
    done = sdr("verify", "made", "--seed", 1)
    assert done.status == 0, done
    assert "results: 2 checked, 0 whose metrics" in done.out
    assert "little: equal" in done.out and "little course seed 0: equal" in done.out
    assert "network course seed 0: equal" in done.out and done.out.rstrip().endswith("nothing is different")
    assert sdr("report").status == 0
    readme = (stored.folder / "README.md").read_text()
    today = verified.load(stored.store)["network/course/seed-0"]["on"]
    assert readme.count(f"{today} (1 of 1)") == 2
    assert not (stored.runs / "verify").exists()


def test_quick_runs_are_trained_again_first(sdr, stored):
    edit(path_of(stored, "little"), lambda result: result.update(train_seconds=1e6))
    out = sdr("verify", "--seed", 1).out
    assert out.index("network course") < out.index("little course")


def test_tampered_predictions_are_found(sdr, stored):
    path = path_of(stored, "network")
    table = results.load_predictions(path)
    table.loc[table.index[-1], "predicted"] = (table["predicted"].iloc[-1] + 1) % 10
    results.save(path, results.load(path), table)
    done = sdr("verify", "--sample", 0)
    assert done.status == 1 and "1 whose metrics do not follow" in done.out
    assert "network/course/seed-0.json" in done.out and "does not follow from its predictions" in done.out


def test_another_weight_in_a_checkpoint_is_found(sdr, stored):
    folder = stored.folder / "checkpoints" / "little"
    weights = torch.load(folder / "best_model.pt", weights_only=True)
    for weight in weights["model_state"].values():
        weight.neg_()
    torch.save(weights, folder / "best_model.pt")
    done = sdr("verify", "--sample", 0)
    assert done.status == 1 and "little: different" in done.out and "damaged, or edited since" in done.out
    edit(folder / "checksums.json", lambda sums: sums.update({"best_model.pt": sha256(folder / "best_model.pt")}))
    done = sdr("verify", "--sample", 0)
    assert done.status == 1 and "little: different" in done.out and "accuracy: DEV" in done.out


def test_a_changed_metric_of_a_checkpoint_is_found(sdr, stored):
    def better(metrics):
        metrics["TEST"]["accuracy"] = 1.0 - metrics["TEST"]["accuracy"]

    edit(stored.folder / "checkpoints" / "little" / "metrics.json", better)
    done = sdr("verify", "--sample", 0)
    assert done.status == 1 and "little: different" in done.out and "TEST" in done.out


def rewrite(path, wrong: int) -> None:
    """Store a consistent result in which so many more predictions on TEST are wrong."""
    result, table = results.load(path), results.load_predictions(path)
    right = table.index[(table["split"] == "TEST") & (table["label"] == table["predicted"])][:wrong]
    assert len(right) == wrong
    table.loc[right, "predicted"] = (table.loc[right, "label"] + 1) % 10

    results.save(path, result | {"metrics": metrics_of(table)}, table)


def test_within_tolerance_needs_another_machine(sdr, stored):
    path = path_of(stored, "network")
    rewrite(path, 1)  # of 20 clips, so the accuracy is 5 points lower
    done = sdr("verify", "--model", "network")
    assert done.status == 1 and "network course seed 0: different" in done.out
    assert "nothing that is recorded differs" in done.out
    edit(path, elsewhere)
    done = sdr("verify", "--model", "network")
    assert done.status == 0 and "network course seed 0: within tolerance" in done.out
    assert "processor: was Another" in done.out and "accuracy: TEST" in done.out
    assert verified.load(stored.store)["network/course/seed-0"]["verdict"] == "within tolerance"


def test_a_seed_that_was_tested_on_less_sets_no_tolerance_for_the_rest(stored, tmp_path):
    path, network = path_of(stored, "network"), find_experiment("network", tmp_path)
    parts = set(results.load(path)["metrics"])
    for seed in range(1, 4):  # in whatever order the system lists them
        other = path.with_name(f"seed-{seed}.json")
        shutil.copy(path, other)
        edit(other, lambda result: result["metrics"].pop("DEV"))
    assert set(verification._tolerance(network, path)) == parts


def test_more_than_the_tolerance_is_different_on_any_machine(sdr, stored):
    path = path_of(stored, "little")
    rewrite(path, 2)
    edit(path, elsewhere)
    done = sdr("verify", "--model", "little")
    assert done.status == 1 and "little course seed 0: different" in done.out and "1 different" in done.out
    assert "| different |" in sdr("report").out


def test_what_differs_is_said(sdr, stored, write_config, corpus):
    edit(path_of(stored, "little"), lambda result: result["environment"].update(torch="1.0", commit="0" * 40))
    write_config("linear", "little", model={"size": 4})
    write_metadata(corpus.folder / "clips.tsv", corpus.clips.assign(note="read again"))
    try:
        done = sdr("verify", "--model", "little")
    finally:
        write_metadata(corpus.folder / "clips.tsv", corpus.clips.drop(columns="note"))
    assert "config: model: size was 5 and is 4" in done.out and "clips: " in done.out
    assert "torch: was 1.0" in done.out and "code: the commit 0000000" in done.out


def test_a_repeated_run_is_not_verified_any_more(sdr, stored):
    assert sdr("verify", "--model", "little").status == 0
    paths = [path_of(stored, "little")]
    assert verified.summary(stored.store, paths).endswith("(1 of 1)")
    edit(paths[0], lambda result: result.update(train_seconds=3.0))
    assert verified.summary(stored.store, paths) == ""


def test_code_with_uncommitted_changes_verifies_nothing(sdr, stored, monkeypatch):
    monkeypatch.setattr(results, "_git", lambda *words: "abc" if words[0] == "rev-parse" else " M utils/paths.py")
    done = sdr("verify", "--model", "little")
    assert "little course seed 0: equal" in done.out and not verified.file_of(stored.store).exists()
    assert "uncommitted" in done.out


def test_an_interrupted_verification_goes_on_where_it_was(sdr, stored, monkeypatch):
    made, run = [], verification.run

    def stop_at_the_second(experiment, seed, **given):
        if made:
            raise KeyboardInterrupt
        made.append(experiment.name)
        return run(experiment, seed, **given)

    monkeypatch.setattr(verification, "run", stop_at_the_second)
    assert sdr("verify", "--seed", 1).status == 130
    monkeypatch.setattr(
        verification, "run", lambda one, seed, **given: made.append(one.name) or run(one, seed, **given)
    )
    assert sdr("verify", "--seed", 1).status == 0
    assert sorted(made) == ["little", "network"]


def test_clips_that_are_not_here_are_said_and_refute_nothing(sdr, stored, corpus, tmp_path):
    away = corpus.metadata.rename(tmp_path / "away.tsv")
    verification._present.cache_clear()
    try:
        done = sdr("verify", "made", "--sample", 1)
    finally:
        away.rename(corpus.metadata)
        verification._present.cache_clear()
    assert done.status == 0 and "little: not checked" in done.out and "runs, trained again: 0 of 2" in done.out


def test_bad_input_is_refused_in_one_line(sdr, stored):
    sdr("verify", "curse").refused("unknown table 'curse'")
    sdr("verify", "--model", "huge").refused("unknown model 'huge'")
    sdr("verify", "--sample", "half").refused("--sample")
    path = verified.file_of(stored.store)
    for entry in (3, {"on": "yesterday", "verdict": "equal", "result": "x"}):
        path.write_text(json.dumps({"little/course/seed-0": entry}))
        sdr("verify", "--sample", 1).refused("verified.json", "damaged")
    path.unlink()
    path.mkdir()  # it would only be found out after the trainings
    sdr("verify", "--sample", 1).refused("verified.json", "damaged")


def test_the_record_is_of_runs_that_exist_and_says_when():
    """The committed file, if there is one: every entry is of a stored run."""
    for name, entry in verified.load(results.STORE).items():
        assert (results.STORE / f"{name}.json").is_file()
        date.fromisoformat(entry["on"])  # or raises
