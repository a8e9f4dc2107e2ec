"""Reports: rows of runs that belong together, and documents whose tables match the results store."""

import json
import os
import re

import pytest
import yaml
from conftest import use_table
from made_results import edit, write_result

from utils import InputError
from utils.evaluation.documents import PLACE
from utils.evaluation.tables import Column, Table, load_tables
from utils.experiments import reporting, runs
from utils.experiments.config import load_experiment, snapshot
from utils.paths import COURSE_METADATA, PROJECT

COLUMNS = {
    "TEST accuracy, %": "accuracy",
    "DEV accuracy, %": "dev_accuracy",
    "seeds": "seeds",
    "parameters": "parameters",
    "training": "train_seconds",
    "command": "command",
}
COURSE = Table("course", "course", tuple(Column(*column) for column in COLUMNS.items()), {"little": 3, "large": 1})


@pytest.fixture
def models(tmp_path, monkeypatch):
    """A table of two experiments, whose configs are in this folder."""
    folder = tmp_path / "configs"
    folder.mkdir()
    for name, size in (("little", 5), ("large", 9)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump({"model": {"name": "linear", "size": size}}))
    monkeypatch.setattr(reporting, "CONFIGS", folder)
    use_table(monkeypatch, COURSE)
    return folder


@pytest.fixture
def put(project, models):
    """`put(accuracy, split, seed, model, **changes)` writes a run to the project's store and returns its path."""

    def write(accuracy, split="course", seed=0, model="little", **changes):
        config = snapshot(load_experiment(models / f"{model}.yaml"))
        return write_result(project.store, accuracy, split, seed, model, **{"config": config} | changes)

    return write


# Rows


def test_rows_are_in_the_order_of_the_table_and_left_out_without_runs(put):
    assert reporting.rows("course") == []
    put(0.5, model="large")
    assert [row["model"] for row in reporting.rows("course")] == ["large"]
    put(0.75, model="little")
    assert [row["model"] for row in reporting.rows("course")] == ["little", "large"]


def test_further_experiments_follow_those_of_the_table(put, models):
    (models / "student.yaml").write_text((models / "little.yaml").read_text())
    put(0.9, model="student")
    put(0.5, model="large")
    assert [row["model"] for row in reporting.rows("course")] == ["large"]
    assert [row["model"] for row in reporting.rows("course", also=["student"])] == ["large", "student"]
    assert reporting.tables_with("student") == ["course"]
    with pytest.raises(InputError, match="no table has a row of little"):
        reporting.tables_with("little")


@pytest.mark.parametrize("key", ["parameters", "multiply_adds"])
def test_the_runs_of_a_row_must_have_the_same_cost(put, key):
    put(0.75)
    put(0.75, seed=1, **{key: 99})
    with pytest.raises(InputError, match=f"seed 1: its {key} differ from those of the other runs of little"):
        reporting.rows("course")


def test_a_run_made_with_a_different_config_is_refused(put, models):
    put(0.5, seed=0)
    (models / "little.yaml").write_text(yaml.safe_dump({"model": {"name": "linear", "size": 6}}))
    put(0.6, seed=1)
    with pytest.raises(InputError, match="little, course, seed 0: made with another 'model'"):
        reporting.rows("course")


def test_a_run_on_different_clips_is_refused(put):
    """Synthetic speech must never pass for the recordings."""
    put(0.99, metadata_sha256="0" * 64)
    with pytest.raises(InputError, match=f"made from other clips than those of {COURSE_METADATA.name}"):
        reporting.rows("course")


def test_a_result_older_than_a_setting_counts_as_made_with_its_default(put):
    path = put(0.75, dev=0.5)
    edit(path, lambda result: result["config"]["data"].pop("repetitions"))
    assert reporting.rows("course")[0]["accuracy_mean"] == 0.75
    edit(path, lambda result: result["config"]["model"].pop("size"))  # today's config does not have the default size
    with pytest.raises(InputError, match="'model'"):
        reporting.rows("course")


def test_a_result_with_the_old_names_of_settings_counts_as_made_with_todays(put):
    path = put(0.75)
    edit(path, lambda result: result["config"]["data"].update(takes=result["config"]["data"].pop("repetitions")))
    assert "takes" in json.loads(path.read_text())["config"]["data"]
    assert reporting.rows("course")[0]["accuracy_mean"] == 0.75


def test_an_unknown_table_is_refused_and_the_nearest_one_is_named(models):
    with pytest.raises(InputError, match="'curse'; did you mean 'course'"):
        reporting.rows("curse")


def test_a_table_of_few_labels_has_a_row_for_each_number_of_repetitions(put, monkeypatch):
    columns = [("repetitions", "repetitions"), ("TEST", "accuracy"), ("DEV", "dev_accuracy"), ("seeds", "seeds")]
    few = Table("few", "course", tuple(Column(*column) for column in columns), {"little": 2}, repetitions=(1, 5))
    use_table(monkeypatch, few)
    for seed, accuracy in enumerate((0.5, 0.6)):
        put(accuracy, "course-repetitions-1", seed, dev=0.4)
    put(0.9, "course-repetitions-5", dev=0.8)
    rows = reporting.rows("few")
    assert [(row["repetitions"], row["protocol"], row["seeds"]) for row in rows] == [
        (1, "course-repetitions-1", 2),
        (5, "course-repetitions-5", 1),
    ]
    assert rows[0]["accuracy_mean"] == pytest.approx(0.55)
    assert "| little | 5 | 90.0 | 80.0 | 1 |" in reporting.markdown("few")


# Tables


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


# Documents

OLD = "<!-- table course -->\nold\n<!-- end of table -->"


def notebook(markdown: str, indent: int = 1) -> str:
    """A notebook with one cell that displays Markdown."""
    output = {"output_type": "display_data", "metadata": {}, "data": {"text/markdown": markdown}}
    cell = {"cell_type": "code", "id": "1", "metadata": {}, "execution_count": 1, "source": ["1"], "outputs": [output]}
    values = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(values, indent=indent, ensure_ascii=False) + "\n"


@pytest.fixture
def rendered(put, project):
    """A project whose README, pages and notebooks have places for tables, filled by `reporting.update`."""
    put(0.8, seed=0, dev=0.7)
    put(0.9, seed=1, dev=0.7)
    (project.folder / "README.md").write_text(f"# Digits ± 100 %\n\n{OLD}\n\nand more\n{OLD}\n")
    (project.folder / "docs").mkdir(exist_ok=True)
    (project.folder / "docs" / "results.md").write_text(f"All tables\n{OLD}\n")
    folder = project.folder / "notebooks"
    (folder / "a.ipynb").write_text(notebook(f"é\n{OLD}\nmore"))
    (folder / "b.ipynb").write_text(notebook("no table here", indent=4))  # saved with its own formatting
    (folder / "c.ipynb").write_text(notebook(OLD, indent=4))
    project.untouched = (folder / "b.ipynb").read_text()
    project.changed = reporting.update()
    return project


def test_update_renders_the_tables_of_the_readme_the_pages_and_the_notebooks(rendered):
    assert rendered.changed == ["README.md", "results.md", "a.ipynb", "c.ipynb"]
    table = reporting.markdown("course")
    assert "85.0 ± 7.1" in table
    assert (rendered.folder / "README.md").read_text() == f"# Digits ± 100 %\n\n{table}\n\nand more\n{table}\n"
    assert (rendered.folder / "docs" / "results.md").read_text() == f"All tables\n{table}\n"
    (cell,) = json.loads((rendered.folder / "notebooks" / "a.ipynb").read_text())["cells"]
    assert "".join(cell["outputs"][0]["data"]["text/markdown"]) == f"é\n{table}\nmore"
    assert (rendered.folder / "notebooks" / "b.ipynb").read_text() == rendered.untouched


@pytest.mark.parametrize("check", [False, True])
def test_a_broken_mark_is_refused_and_the_file_is_named_and_kept(rendered, check):
    path = rendered.folder / "README.md"
    text = "<!-- table course -->\nold\n\nprose\n"
    path.write_text(text)
    with pytest.raises(InputError, match="README.md: .* marks is missing or misspelt"):
        reporting.update(check)
    assert path.read_text() == text


def test_a_damaged_notebook_is_named(rendered):
    (rendered.folder / "notebooks" / "a.ipynb").write_text('{"cells": [')
    with pytest.raises(InputError, match=r"a\.ipynb: "):
        reporting.update()


def test_a_page_in_another_encoding_is_named(rendered):
    (rendered.folder / "docs" / "results.md").write_bytes("Größe".encode("latin-1"))
    with pytest.raises(InputError, match=r"results\.md: not a text file in UTF-8"):
        reporting.update()


def test_a_store_that_is_no_folder_is_not_taken_for_an_empty_one(rendered):
    rendered.store.rename(rendered.folder / "moved")
    rendered.store.symlink_to("nowhere")
    with pytest.raises(InputError, match="runs: not a folder"):
        reporting.rows("course")


@pytest.mark.parametrize("check", [False, True])
def test_without_any_result_no_table_is_changed(rendered, check):
    """Each would lose its rows."""
    rendered.store.rename(rendered.folder / "moved")
    before = (rendered.folder / "README.md").read_text()
    with pytest.raises(InputError, match="runs: there are no results, so no table is changed"):
        reporting.update(check)
    assert (rendered.folder / "README.md").read_text() == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in the file system")
def test_a_figure_that_is_no_file_is_named(rendered):
    os.mkfifo(rendered.folder / reporting.COSTS)
    with pytest.raises(InputError, match=r"png: not a regular file"):
        reporting.update()


def test_up_to_date_documents_are_not_written(rendered):
    files = {path: path.stat().st_mtime_ns for path in rendered.folder.rglob("*") if path.is_file()}
    assert reporting.update() == [] and reporting.update(check=True) == []
    assert files == {path: path.stat().st_mtime_ns for path in rendered.folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["README.md", "docs/results.md", "notebooks/a.ipynb", "notebooks/c.ipynb"])
def test_check_fails_if_a_figure_was_edited_by_hand(rendered, name):
    path = rendered.folder / name
    edited = path.read_text().replace("85.0", "95.0")
    assert edited != path.read_text()
    path.write_text(edited)
    with pytest.raises(InputError, match=re.escape(f"{path}: a table ")):
        reporting.update(check=True)
    assert path.read_text() == edited  # a check changes nothing
    assert reporting.update() == [path.name]
    assert "95.0" not in path.read_text()


def test_check_fails_if_the_tables_lack_a_new_run(rendered, put):
    put(0.1, seed=2, dev=0.1)
    with pytest.raises(InputError, match="README.md"):
        reporting.update(check=True)


def test_check_verifies_all_results_even_those_of_no_table(rendered, put):
    path = put(0.8, "ratio-1")
    reporting.update(check=True)
    edit(path, lambda result: result["metrics"]["TEST"].update(accuracy=0.99))
    with pytest.raises(InputError, match=re.escape(str(path))):
        reporting.update(check=True)


def test_a_place_for_an_unknown_table_is_refused(rendered):
    (rendered.folder / "README.md").write_text(OLD.replace("course", "of-contents"))
    with pytest.raises(InputError, match="unknown table 'of-contents'"):
        reporting.update()


def test_the_projects_documents_show_every_table():
    pages = [PROJECT / "README.md", *(PROJECT / "docs").glob("*.md")]
    shown = {path: set(PLACE.findall(path.read_text())) for path in pages}
    in_notebooks = {
        name
        for path in (PROJECT / "notebooks").glob("*.ipynb")
        for name in re.findall(r"<!-- table ([\w-]+) -->", path.read_text())
    }
    assert set().union(in_notebooks, *shown.values()) == set(load_tables())
    assert "course" in shown[pages[0]]
    assert {"course", "loso", "arabic", "corpora"} <= set().union(*shown.values())


# Existing runs


def test_a_run_exists_only_for_the_same_seed_and_store(trained, tmp_path):
    store = trained.path.parents[2]
    assert runs.has_run(trained.experiment, 0, store)
    assert not runs.has_run(trained.experiment, 1, store)
    assert not runs.has_run(trained.experiment, 0, tmp_path)
