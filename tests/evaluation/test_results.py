"""Tables say what the results say: means over folds and seeds, nothing edited, nothing that does not belong."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from statistics import fmean, stdev

import numpy as np
import pandas as pd
import pytest
import yaml

from utils import InputError
from utils.evaluation import metrics, results
from utils.evaluation.documents import PLACE
from utils.evaluation.tables import load_tables
from utils.experiments import reporting, runs
from utils.experiments.config import load_experiment, snapshot
from utils.experiments.reporting import HELD_OUT, TRAIN_SPEAKERS
from utils.files import sha256
from utils.paths import COURSE_METADATA, PROJECT

SPEAKERS = TRAIN_SPEAKERS + HELD_OUT


def predictions_of(accuracy: float, speaker: str = "eve", split: str = "TEST", clips: int = 20) -> pd.DataFrame:
    """A table in which this share of the clips is heard right."""
    labels = np.arange(clips) % 10
    right = np.arange(clips) < round(accuracy * clips)
    return pd.DataFrame(
        {
            "identifier": [f"{speaker}_{i}" for i in range(clips)],
            "speaker": speaker,
            "split": split,
            "label": labels,
            "predicted": np.where(right, labels, (labels + 1) % 10),
            "probability": 0.5,
        }
    )


def metrics_of(table: pd.DataFrame) -> dict:
    parts = table.groupby("split", sort=False)
    return {
        name: metrics.metrics(*(part[column].to_numpy() for column in ("label", "predicted", "speaker")))
        for name, part in parts
    }


@pytest.fixture
def models(tmp_path, monkeypatch):
    """The tables' experiments are two made ones; the configs lie in a folder of their own."""
    folder = tmp_path / "configs"
    folder.mkdir()
    for name, size in (("little", 5), ("large", 9)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({"model": {"name": "linear", "size": size}}))
    monkeypatch.setattr(report, "CONFIGS", folder)
    made = {name: replace(table, experiments={"little": 3, "large": 1}) for name, table in load_tables().items()}
    monkeypatch.setattr(report, "TABLES", made)
    return folder


@pytest.fixture
def put(project, models):
    """`put(accuracy, split, seed, model, **changes)` writes a run to the project's store and gives its path."""

    def write(accuracy, split="course", seed=0, model="little", dev=None, **changes):
        tables = [predictions_of(accuracy)]
        if dev is not None:
            tables.append(predictions_of(dev, split="DEV"))
        table = pd.concat(tables)
        result = {
            "experiment": model,
            "protocol": split,
            "seed": seed,
            "config": snapshot(load_experiment(models / f"{model}.yaml")),
            "metadata_sha256": sha256(COURSE_METADATA),
            "metrics": metrics_of(table),
            "parameters": 1234,
            "multiply_adds": 5_678_000,
            "train_seconds": 10.0 + seed,
        }
        path = results.result_path(project.store, model, split, seed)
        results.save(path, result | changes, table)
        return path

    return write


def edit(path, change) -> None:
    """Let `change` alter the result at `path`."""
    result = json.loads(path.read_text())
    change(result)
    path.write_text(json.dumps(result))


# The store


def test_a_result_reads_as_it_was_written(put, project):
    path = put(0.75, dev=0.6)
    assert path == project.store / "little" / "course" / "seed-0.json"
    assert results.load(path)["metrics"]["TEST"]["accuracy"] == 0.75
    expected = pd.concat([predictions_of(0.75), predictions_of(0.6, split="DEV")])
    pd.testing.assert_frame_equal(results.load_predictions(path), expected.reset_index(drop=True), check_dtype=False)
    results.verify(path)


def test_the_same_result_is_the_same_bytes_whenever_it_is_written(put, monkeypatch):
    written = []
    for now in (1e9, 2e9):
        monkeypatch.setattr("time.time", lambda now=now: now)
        path = put(0.75)
        written.append((path.read_bytes(), results.predictions_path(path).read_bytes()))
    assert written[0] == written[1]


def test_names_that_look_like_numbers_stay_names(put, project, models):
    """AudioMNIST calls its speakers 01 to 60."""
    (models / "x.yaml").write_text((models / "little.yaml").read_text())
    for names in (("01", "02"), ("NA", "nan"), ("1e3", '"')):
        table = pd.concat([predictions_of(0.5, names[0]), predictions_of(0.9, names[1])])
        path = project.store / "x" / "course" / "seed-0.json"
        put(0.5, model="x")
        results.save(path, results.load(path) | {"metrics": metrics_of(table)}, table)
        assert set(results.load_predictions(path)["speaker"]) == set(names)
        results.verify(path)


TAMPERED = {
    "accuracy": lambda result: result["metrics"]["TEST"].update(accuracy=0.8),
    "a speaker's": lambda result: result["metrics"]["TEST"]["per_speaker"].update(eve=0.8),
    "macro F1": lambda result: result["metrics"]["TEST"].update(macro_f1=0.99),
    "confusion": lambda result: result["metrics"]["TEST"]["confusion"][0].reverse(),
    "a metric left out": lambda result: result["metrics"]["TEST"].pop("interval"),
    "a split left out": lambda result: result["metrics"].pop("DEV"),
    "a split added": lambda result: result["metrics"].update(OTHER=result["metrics"]["TEST"]),
}


@pytest.mark.parametrize("change", TAMPERED.values(), ids=TAMPERED)
def test_a_tampered_metric_is_noticed(put, change):
    path = put(0.75, dev=0.6)
    edit(path, change)
    with pytest.raises(InputError, match=re.escape(str(path))):
        results.verify(path)


def test_a_copy_is_no_further_seed(put):
    path = put(0.75)
    for old, new in ((path, path.with_name("seed-1.json")), (results.predictions_path(path), "seed-1.tsv.gz")):
        shutil.copy(old, path.parent / new)
    with pytest.raises(InputError, match=r"seed-1.json: the result of another run: .*seed 0"):
        results.verify(path.with_name("seed-1.json"))


@pytest.mark.parametrize("key", ["parameters", "multiply_adds"])
def test_runs_of_one_row_have_the_same_model(put, key):
    put(0.75)
    put(0.75, seed=1, **{key: 99})
    with pytest.raises(InputError, match=f"seed 1: its {key} are not those of the other runs of little"):
        reporting.rows("course")


@pytest.mark.parametrize("key", ["experiment", "seed", "config", "train_seconds"])
def test_what_lacks_a_part_is_no_result(put, key):
    path = put(0.75)
    edit(path, lambda result: result.pop(key))
    with pytest.raises(InputError, match=f"{re.escape(str(path))}: not a result .it has no {key}"):
        results.load(path)


def test_a_tampered_prediction_is_noticed(put):
    path = put(0.75)
    table = results.load_predictions(path)
    table.loc[19, "predicted"] = table.loc[19, "label"]
    table.to_csv(results.predictions_path(path), sep="\t", index=False, compression="gzip")
    with pytest.raises(InputError, match="on TEST is not that of its predictions"):
        results.verify(path)


def test_a_damaged_or_missing_file_is_named(put):
    path = put(0.75)
    beside = results.predictions_path(path)
    beside.write_bytes(beside.read_bytes()[:40])
    with pytest.raises(InputError, match="not a table of predictions"):
        results.verify(path)
    beside.unlink()
    with pytest.raises(InputError, match=re.escape(str(beside))):
        results.verify(path)
    for content in ("{", "[1]", "{}"):
        path.write_text(content)
        with pytest.raises(InputError, match=f"{re.escape(str(path))}: not a result"):
            results.verify(path)
    path.unlink()
    with pytest.raises(InputError, match="not a result"):
        results.load(path)


def test_a_run_writes_what_the_contract_says(trained):
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


# The rows


def test_a_row_is_mean_and_deviation_over_seeds_of_the_mean_over_folds(put):
    accuracies = {}
    for seed in range(3):
        for i, speaker in enumerate(SPEAKERS):
            accuracies[seed, speaker] = (10 + i + 2 * seed * (speaker == "lucas")) / 20
            put(accuracies[seed, speaker], f"loso-{speaker}", seed)
    (row,) = reporting.rows("loso")
    means = [fmean(accuracies[seed, speaker] for speaker in SPEAKERS) for seed in range(3)]
    assert means[1] == pytest.approx(means[0] + 0.1 / 6)  # lucas' two more clips of 20
    assert row["accuracy_mean"] == pytest.approx(fmean(means))
    assert row["accuracy_std"] == pytest.approx(stdev(means)) == pytest.approx(0.1 / 6)
    assert row["seeds"] == 3 and row["parameters"] == 1234
    assert row["train_seconds"] == pytest.approx(11)
    assert row["held_out"] == pytest.approx(
        [fmean([accuracies[seed, "lucas"], accuracies[seed, "yweweler"]]) for seed in range(3)]
    )
    assert row["folds"]["loso-jackson"] == pytest.approx([0.55] * 3)


def test_rows_have_the_contracts_keys(put):
    put(0.75)
    (row,) = reporting.rows("course")
    required = {"table", "model", "protocol", "accuracy_mean", "accuracy_std", "seeds", "parameters"}
    assert required <= row.keys()
    assert {key: row[key] for key in sorted(required)} == {
        "accuracy_mean": 0.75,
        "accuracy_std": 0.0,  # of a single seed
        "model": "little",
        "parameters": 1234,
        "protocol": "course",
        "seeds": 1,
        "table": "course",
    }
    json.dumps(row)


def test_experiments_stand_in_their_order_and_without_runs_not_at_all(put):
    assert reporting.rows("course") == []
    put(0.5, model="large")
    assert [row["model"] for row in reporting.rows("course")] == ["large"]
    put(0.75, model="little")
    assert [row["model"] for row in reporting.rows("course")] == ["little", "large"]


def test_a_seed_counts_only_when_all_its_folds_are_there(put):
    for speaker in SPEAKERS[:-1]:
        put(0.5, f"loso-{speaker}", 0)
    assert reporting.rows("loso") == []
    put(0.5, f"loso-{SPEAKERS[-1]}", 0)
    put(1.0, f"loso-{SPEAKERS[0]}", 1)  # the only fold of a second seed
    (row,) = reporting.rows("loso")
    assert (row["accuracy_mean"], row["seeds"]) == (0.5, 1)


def test_a_run_by_another_config_is_refused(put, models):
    put(0.5, seed=0)
    (models / "little.yaml").write_text(yaml.safe_dump({"model": {"name": "linear", "size": 6}}))
    put(0.6, seed=1)
    with pytest.raises(InputError, match="little, course, seed 0: made with another 'model'"):
        reporting.rows("course")


def test_a_run_from_other_clips_is_refused(put):
    """Synthetic speech never stands in for the recordings."""
    put(0.99, metadata_sha256="0" * 64)
    with pytest.raises(InputError, match=f"not made from the clips of {COURSE_METADATA.name}"):
        reporting.rows("course")


def test_an_unknown_table_is_refused_and_the_known_are_named(put):
    with pytest.raises(InputError, match="'curse'; known are course, loso"):
        reporting.rows("curse")


# The tables


def test_a_table_shows_mean_deviation_seeds_and_cost(put):
    for seed, accuracy in enumerate((0.8, 0.9, 0.85)):
        put(accuracy, seed=seed, dev=0.7)
    put(0.5, model="large", dev=0.4)
    lines = reporting.markdown("course").splitlines()
    assert lines[0] == "<!-- table course -->" and lines[-1] == "<!-- end of table -->"
    header, _, little, large = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:-1])
    shown = dict(zip(header, little, strict=True))
    assert shown["model"] == "little"
    assert shown["TEST accuracy, %"] == "85.0 ± 5.0"
    assert shown["DEV accuracy, %"] == "70.0 ± 0.0"
    assert (shown["seeds"], shown["parameters"], shown["training"]) == ("3", "1,234", "11 s")
    assert shown["command"] == "`sdr reproduce course --model little`"
    assert large[:3] == ["large", "50.0", "40.0"]  # one seed has no deviation


PLACE = "<!-- table course -->\nold\n<!-- end of table -->"


def notebook(*outputs, indent: int = 1) -> str:
    """A notebook with one code cell, as Jupyter saves it."""
    cell = {"cell_type": "code", "id": "1", "metadata": {}, "execution_count": 1, "source": ["1"]}
    cells = [cell | {"outputs": list(outputs)}, {"cell_type": "markdown", "id": "2", "metadata": {}, "source": [PLACE]}]
    return (
        json.dumps(
            {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=indent, ensure_ascii=False
        )
        + "\n"
    )


def shows(markdown: str | list[str]) -> dict:
    data = {"text/markdown": markdown, "text/plain": ["<IPython.core.display.Markdown object>"]}
    return {"output_type": "display_data", "metadata": {}, "data": data}


@pytest.fixture
def rendered(put, project):
    """A project whose README and notebooks have places for tables; `report.update` has filled them."""
    put(0.8, seed=0, dev=0.7)
    put(0.9, seed=1, dev=0.7)
    (project.folder / "README.md").write_text(f"# Digits ± 100 %\n\n{PLACE}\n\nand more\n{PLACE}\n")
    folder = project.folder / "notebooks"
    text = {"output_type": "stream", "name": "stdout", "text": [PLACE]}
    (folder / "a.ipynb").write_text(notebook(text, shows(["é\n", PLACE, "\nmore"])))
    (folder / "b.ipynb").write_text(notebook(shows("no table here"), indent=4))  # saved in a style of its own
    (folder / "c.ipynb").write_text(notebook(shows(PLACE), indent=4))
    project.untouched = (folder / "b.ipynb").read_text()
    project.changed = reporting.update()
    return project


def test_update_renders_the_tables_of_readme_and_notebook_outputs(rendered):
    assert rendered.changed == ["README.md", "a.ipynb", "c.ipynb"]
    table = reporting.markdown("course")
    assert "85.0 ± 7.1" in table
    assert (rendered.folder / "README.md").read_text() == f"# Digits ± 100 %\n\n{table}\n\nand more\n{table}\n"
    text = (rendered.folder / "notebooks" / "a.ipynb").read_text()
    cells = json.loads(text)["cells"]
    assert "é" in text  # as Jupyter writes it
    stream, shown = cells[0]["outputs"]
    assert stream["text"] == [PLACE] and cells[1]["source"] == [PLACE]  # only Markdown outputs hold tables
    assert "".join(shown["data"]["text/markdown"]) == f"é\n{table}\nmore"
    assert shown["data"]["text/plain"] == ["<IPython.core.display.Markdown object>"]
    assert (rendered.folder / "notebooks" / "b.ipynb").read_text() == rendered.untouched


def test_an_empty_place_leaves_what_follows_alone(rendered):
    """It once took the next table's place, and all that stood between, for its own."""
    path = rendered.folder / "README.md"
    empty = "<!-- table course -->\n<!-- end of table -->"
    path.write_text(f"{empty}\n\nbetween\n\n{empty}\n")
    reporting.update()
    table = reporting.markdown("course")
    assert path.read_text() == f"{table}\n\nbetween\n\n{table}\n"


START, END = "<!-- table course -->\n", "<!-- end of table -->\n"
BROKEN = {
    "no end": START + "old\n\nprose\n\n" + START + "old\n" + END,
    "no start": START + "old\n" + END + "old\n" + END,
    "a start of another kind": "<!--Table course -->\nold\n" + END,
    "an end of another kind": START + "old\n<!-- end of table-->\n",
}


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_table_without_its_marks_is_refused_and_nothing_is_lost(rendered, text, check):
    """It once swallowed all up to the next table, and was taken for up to date."""
    path = rendered.folder / "README.md"
    path.write_text(text)
    with pytest.raises(InputError, match="README.md: .* marks is missing or misspelt"):
        reporting.update(check)
    assert path.read_text() == text


def test_a_notebook_that_is_none_is_named(rendered):
    (rendered.folder / "notebooks" / "a.ipynb").write_text('{"cells": [')
    with pytest.raises(InputError, match=r"a\.ipynb: "):
        reporting.update()


def test_committed_results_were_made_by_committed_code():
    """Or nobody could make them again."""
    found = subprocess.run(["git", "ls-files", "results/runs/**.json"], cwd=PROJECT, capture_output=True, text=True)
    if found.returncode or not found.stdout:
        pytest.skip("not a git checkout")
    made = {name: results.load(PROJECT / name)["environment"] for name in found.stdout.splitlines()}
    assert [name for name, environment in made.items() if environment["changed"] or not environment["commit"]] == []


def test_every_table_is_shown_somewhere():
    texts = [path.read_text() for path in (PROJECT / "README.md", *(PROJECT / "notebooks").glob("*.ipynb"))]
    shown = {name for text in texts for name in re.findall(r"<!-- table ([\w-]+) -->", text)}
    assert shown == set(load_tables())
    assert {"course", "loso", "arabic", "corpora"} <= set(PLACE.findall(texts[0]))


def test_nothing_changes_where_all_is_as_the_results_say(rendered):
    files = {path: path.stat().st_mtime_ns for path in rendered.folder.rglob("*") if path.is_file()}
    assert reporting.update() == [] and reporting.update(check=True) == []
    assert files == {path: path.stat().st_mtime_ns for path in rendered.folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["README.md", "notebooks/a.ipynb", "notebooks/c.ipynb"])
def test_check_fails_where_a_figure_was_edited_by_hand(rendered, name):
    path = rendered.folder / name
    edited = path.read_text().replace("85.0", "95.0")
    assert edited != path.read_text()
    path.write_text(edited)
    with pytest.raises(InputError, match=re.escape(f"{path}: a table is not what the results say")):
        reporting.update(check=True)
    assert path.read_text() == edited  # a check changes nothing
    assert reporting.update() == [path.name]
    assert "95.0" not in path.read_text()


def test_check_fails_where_a_new_run_is_not_in_the_tables(rendered, put):
    put(0.1, seed=2, dev=0.1)
    with pytest.raises(InputError, match="README.md"):
        reporting.update(check=True)


def test_check_verifies_every_result_even_of_no_table(rendered, put):
    path = put(0.8, "ratio-1")
    reporting.update(check=True)
    edit(path, lambda result: result["metrics"]["TEST"].update(accuracy=0.99))
    with pytest.raises(InputError, match=re.escape(str(path))):
        reporting.update(check=True)


def test_a_place_for_an_unknown_table_is_refused(rendered):
    path = rendered.folder / "README.md"
    path.write_text(PLACE.replace("course", "of-contents"))
    with pytest.raises(InputError, match="unknown table 'of-contents'"):
        reporting.update()


# Which runs are there already


def test_a_run_is_had_only_when_config_and_clips_are_the_same(corpus, trained, tmp_path):
    store = trained.path.parents[2]
    assert runs.has_run(trained.experiment, 0, store)
    assert not runs.has_run(trained.experiment, 1, store)
    assert not runs.has_run(trained.experiment, 0, tmp_path)


def test_a_result_made_before_a_setting_existed_was_made_with_its_default(put, project, models):
    path = put(0.75, dev=0.5)
    edit(path, lambda result: result["config"]["data"].pop("takes"))
    assert reporting.rows("course")[0]["accuracy_mean"] == 0.75
    edit(path, lambda result: result["config"]["model"].pop("size"))  # the config of today has another than the default
    with pytest.raises(InputError, match="'model'"):
        reporting.rows("course")


def test_a_table_of_few_labels_has_a_row_for_each_number_of_takes(put, project, monkeypatch):
    table = reporting.Table("course", (None,), reporting.TAKES, {"little": 2}, takes=(1, 5))
    monkeypatch.setattr(report, "TABLES", {"few": table})
    for seed, accuracy in enumerate((0.5, 0.6)):
        put(accuracy, "course-takes-1", seed, dev=0.4)
    put(0.9, "course-takes-5", dev=0.8)
    rows = reporting.rows("few")
    assert [(row["takes"], row["protocol"], row["seeds"]) for row in rows] == [
        (1, "course-takes-1", 2),
        (5, "course-takes-5", 1),
    ]
    assert rows[0]["accuracy_mean"] == pytest.approx(0.55)
    assert "| little | 5 | 90.0 | 80.0 | 1 |" in reporting.markdown("few")
