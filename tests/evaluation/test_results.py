"""The results store: results read as written, and anything edited, damaged or misplaced is noticed."""

import gzip
import json
import re
import shutil
import subprocess

import pandas as pd
import pytest
from made_results import edit, metrics_of, predictions_of, write_result

from utils import InputError
from utils.evaluation import results
from utils.experiments.config import snapshot
from utils.paths import PROJECT


def test_a_result_reads_as_it_was_written(tmp_path):
    path = write_result(tmp_path, 0.75, dev=0.6)
    assert path == tmp_path / "little" / "course" / "seed-0.json"
    assert results.load(path)["metrics"]["TEST"]["accuracy"] == 0.75
    expected = pd.concat([predictions_of(0.75), predictions_of(0.6, split="DEV")])
    pd.testing.assert_frame_equal(results.load_predictions(path), expected.reset_index(drop=True), check_dtype=False)
    results.verify(path)


def test_equal_results_are_equal_bytes_at_any_time_by_any_process(tmp_path, monkeypatch):
    written = []
    for now, process in ((1e9, 11), (2e9, 12)):
        monkeypatch.setattr("time.time", lambda now=now: now)
        monkeypatch.setattr("os.getpid", lambda process=process: process)
        path = write_result(tmp_path, 0.75)
        written.append((path.read_bytes(), results.predictions_path(path).read_bytes()))
    assert written[0] == written[1]


@pytest.mark.parametrize("names", [("01", "02"), ("NA", "nan"), ("1e3", '"')], ids=" ".join)
def test_speaker_names_that_look_like_numbers_stay_text(tmp_path, names):
    """AudioMNIST names its speakers 01 to 60."""
    table = pd.concat([predictions_of(0.5, names[0]), predictions_of(0.9, names[1])])
    path = write_result(tmp_path, 0.5)
    results.save(path, results.load(path) | {"metrics": metrics_of(table)}, table)
    assert set(results.load_predictions(path)["speaker"]) == set(names)
    results.verify(path)


TAMPERED = {
    "accuracy": lambda result: result["metrics"]["TEST"].update(accuracy=0.8),
    "accuracy of a speaker": lambda result: result["metrics"]["TEST"]["per_speaker"].update(eve=0.8),
    "macro F1": lambda result: result["metrics"]["TEST"].update(macro_f1=0.99),
    "confusion": lambda result: result["metrics"]["TEST"]["confusion"][0].reverse(),
    "a metric missing": lambda result: result["metrics"]["TEST"].pop("interval"),
    "a split missing": lambda result: result["metrics"].pop("DEV"),
    "a split added": lambda result: result["metrics"].update(OTHER=result["metrics"]["TEST"]),
}


@pytest.mark.parametrize("change", TAMPERED.values(), ids=TAMPERED)
def test_verify_rejects_edited_metrics(tmp_path, change):
    path = write_result(tmp_path, 0.75, dev=0.6)
    edit(path, change)
    with pytest.raises(InputError, match=re.escape(str(path))):
        results.verify(path)


def test_verify_reports_which_splits_the_predictions_cover(tmp_path):
    path = write_result(tmp_path, 0.75, dev=0.6)
    edit(path, lambda result: result["metrics"].pop("DEV"))
    with pytest.raises(InputError, match="reports TEST, but its predictions cover TEST, DEV"):
        results.verify(path)


def test_a_copy_of_a_result_does_not_count_as_another_seed(tmp_path):
    path = write_result(tmp_path, 0.75)
    for old, new in ((path, "seed-1.json"), (results.predictions_path(path), "seed-1.tsv.gz")):
        shutil.copy(old, path.parent / new)
    for read in (results.verify, results.load_stored):  # the latter is how tables are read
        with pytest.raises(InputError, match=r"seed-1.json: the result of a different run: .*seed 0"):
            read(path.with_name("seed-1.json"))


@pytest.mark.parametrize("key", ["experiment", "seed", "config", "train_seconds"])
def test_a_result_without_a_required_entry_is_refused(tmp_path, key):
    path = write_result(tmp_path, 0.75)
    edit(path, lambda result: result.pop(key))
    with pytest.raises(InputError, match=f"{re.escape(str(path))}: not a result .it has no {key}"):
        results.load(path)


def test_verify_rejects_edited_predictions(tmp_path):
    path = write_result(tmp_path, 0.75)
    table = results.load_predictions(path)
    table.loc[19, "predicted"] = table.loc[19, "label"]
    table.to_csv(results.predictions_path(path), sep="\t", index=False, compression="gzip")
    with pytest.raises(InputError, match="on TEST does not follow from its predictions"):
        results.verify(path)


def test_damaged_and_missing_files_are_named(tmp_path):
    path = write_result(tmp_path, 0.75)
    predictions = results.predictions_path(path)
    predictions.write_bytes(predictions.read_bytes()[:40])
    with pytest.raises(InputError, match="not a table of predictions"):
        results.verify(path)
    predictions.unlink()
    with pytest.raises(InputError, match=re.escape(str(predictions))):
        results.verify(path)
    for content in ("{", "[1]", "{}"):
        path.write_text(content)
        with pytest.raises(InputError, match=f"{re.escape(str(path))}: not (a result|JSON)"):
            results.verify(path)
    path.unlink()
    with pytest.raises(InputError, match="there is no such file"):
        results.load(path)


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [("model\t: 85\nmodel name\t: Maker X: 3 GHz\n", "Maker X: 3 GHz"), ("Features\t: fp\n", "arm64"), (None, "arm64")],
)
def test_the_processor_is_named_on_linux_and_elsewhere(cpuinfo, name, tmp_path, monkeypatch):
    if cpuinfo is not None:
        (tmp_path / "cpuinfo").write_text(cpuinfo)
    monkeypatch.setattr(results, "Path", lambda _: tmp_path / "cpuinfo")
    monkeypatch.setattr("platform.processor", str)
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert results.environment()["processor"] == name


def test_a_run_writes_all_that_the_contract_promises(trained):
    result = json.loads(trained.path.read_text())
    assert {"config", "metrics", "parameters", "multiply_adds", "train_seconds", "environment"} <= result.keys()
    assert {"accuracy", "macro_f1", "per_speaker", "confusion"} <= result["metrics"]["TEST"].keys()
    assert {"torch", "python", "processor", "threads", "commit"} <= result["environment"].keys()
    assert result["config"] == snapshot(trained.experiment)
    assert result["parameters"] == 5 * 20 * 10 + 10
    assert (result["train_speakers"], result["train_clips"]) == (["ada", "bob", "cleo", "dan"], 80)
    assert list(result["metrics"]) == ["DEV", "TEST"]
    results.verify(trained.path)
    table = results.load_predictions(trained.path)
    assert len(table) == 40 and set(table["speaker"]) == {"eve", "finn"}


def test_committed_results_were_made_by_committed_code():
    """Otherwise nobody could reproduce them."""
    found = subprocess.run(["git", "ls-files", "results/runs/**.json"], cwd=PROJECT, capture_output=True, text=True)
    if found.returncode or not found.stdout:
        pytest.skip("not a git checkout")
    made = {name: results.load(PROJECT / name)["environment"] for name in found.stdout.splitlines()}
    assert [name for name, environment in made.items() if environment["changed"] or not environment["commit"]] == []


WRONG_TYPES = {
    "accuracy": lambda result: result["metrics"]["TEST"].update(accuracy="high"),
    "no accuracy": lambda result: result["metrics"]["TEST"].pop("accuracy"),
    "no TEST": lambda result: result["metrics"].pop("TEST"),
    "metrics": lambda result: result.update(metrics=[1]),
    "a part": lambda result: result["metrics"].update(TEST=None),
    "macro F1": lambda result: result["metrics"]["TEST"].update(macro_f1=True),
    "config": lambda result: result.update(config="x"),
    "data": lambda result: result["config"].update(data=[1]),
    "metadata": lambda result: result["config"]["data"].update(metadata=5),
    "seed": lambda result: result.update(seed="0"),
    "experiment": lambda result: result.update(experiment={}),
    "protocol": lambda result: result.update(protocol=None),
    "parameters": lambda result: result.update(parameters=1.5),
    "train_seconds": lambda result: result.update(train_seconds="long"),
    "history": lambda result: result.update(history=5),
    "an epoch": lambda result: result.update(history=[5]),
    "an epoch's seconds": lambda result: result.update(history=[{"stage": "pre-training", "seconds": "x"}]),
    "no number": lambda result: result["metrics"]["TEST"].update(accuracy=float("nan")),
    "a negative number": lambda result: result.update(multiply_adds=-1),
    "a number beyond all others": lambda result: result.update(train_seconds=10**400),
    "field tests": lambda result: result.update(field=["10"]),
    "a field test": lambda result: result.update(field={"10": None}),
    "sampled": lambda result: result.update(sampled=None),
    "strings": lambda result: result.update(strings={"pauses": "x"}),
}


@pytest.mark.parametrize("change", WRONG_TYPES.values(), ids=WRONG_TYPES)
def test_an_entry_of_the_wrong_type_is_named(tmp_path, change):
    path = write_result(tmp_path, 0.75)
    edit(path, change)
    for read in (results.load, results.verify):
        with pytest.raises(InputError, match=f"^{re.escape(str(path))}: not a result .") as caught:
            read(path)
        assert len(str(caught.value)) < 300 and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "cost", [[], 3, {"milliseconds": 1}, {"milliseconds": "x", "megabytes": 1}, {"milliseconds": 1, "model": 2}]
)
def test_costs_that_are_no_numbers_are_named(tmp_path, cost):
    results.costs_path(tmp_path / "runs").write_text(json.dumps({"costs": {"little": cost}}))
    with pytest.raises(InputError, match=r"costs.json: costs: little: expected the numbers megabytes and milliseconds"):
        results.load_costs(tmp_path / "runs")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a": ' * 100_000, "9" * 5000, "\0", '"\\ud800"'])
def test_deep_nesting_and_odd_json_are_refused(tmp_path, text):
    path = write_result(tmp_path, 0.75)
    path.write_text(text)
    with pytest.raises(InputError, match="not a result|not JSON"):
        results.load(path)


def test_predictions_cut_or_flipped_anywhere_are_named(tmp_path):
    path = write_result(tmp_path, 0.75)
    predictions = results.predictions_path(path)
    content = predictions.read_bytes()
    for place in range(0, len(content), 3):
        for damaged in (content[:place], content[:place] + bytes([content[place] ^ 0x10]) + content[place + 1 :]):
            predictions.write_bytes(damaged)
            try:
                results.verify(path)
            except InputError as error:
                assert str(tmp_path) in str(error) and "\n" not in str(error)
            else:  # in the header, which holds a time, the system and a name
                assert place < 30 and len(damaged) == len(content)


@pytest.mark.parametrize("column", ["speaker", "label", "predicted", "split", "probability"])
@pytest.mark.parametrize("change", ["missing", "text"])
def test_predictions_with_odd_columns_are_refused(tmp_path, column, change):
    path = write_result(tmp_path, 0.75)
    table = results.load_predictions(path)
    table = table.drop(columns=column) if change == "missing" else table.assign(**{column: "x"})
    table.to_csv(results.predictions_path(path), sep="\t", index=False, compression="gzip")
    with pytest.raises(InputError, match=re.escape(str(tmp_path))):
        results.verify(path)


def test_predictions_that_would_fill_the_memory_are_refused(tmp_path):
    path = write_result(tmp_path, 0.75)
    results.predictions_path(path).write_bytes(gzip.compress(bytes(results.MAX_BYTES + 1), 1))
    with pytest.raises(InputError, match="more than 67,108,864 bytes"):
        results.load_predictions(path)
    results.predictions_path(path).unlink()
    results.predictions_path(path).mkdir()
    with pytest.raises(InputError, match="this is a folder"):
        results.load_predictions(path)
