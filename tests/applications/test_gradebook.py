"""A class: a row for each submission, none graded twice, and a broken one harms none."""

import csv
import os
import shutil
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from grading_helpers import forged, input_error, write_fork

from utils import InputError
from utils.applications.grading import gradebook
from utils.applications.grading.grade import Grade
from utils.applications.grading.sandbox import LIMITS, Limits
from utils.applications.grading.training import Leakage
from utils.data.metadata import read_split
from utils.files import sha256


@pytest.fixture
def book(corpus, tmp_path, monkeypatch):
    """`book()` grades the submissions in the folder `class`; `book.graded` names those that were."""
    folder, output = tmp_path / "class", tmp_path / "grades.csv"
    folder.mkdir()
    monkeypatch.setattr("utils.applications.grading.grade.predict_references", lambda table, clips: {})
    clips = read_split(corpus.metadata, "TEST")

    def run(jobs: int = 2, limits: Limits = LIMITS) -> pd.DataFrame:
        gradebook.grade_all(folder, clips, output, None, limits, jobs)
        return pd.read_csv(output, dtype={"submission": str}, keep_default_na=False, na_values=[""]).set_index(
            "submission"
        )

    run.folder, run.output, run.graded = folder, output, []
    return run


@pytest.fixture
def quick(book, monkeypatch):
    """A grading that takes no time: a submission is a folder with a file `accuracy`, or it is broken."""

    def grade(place, clips, *_):
        book.graded.append(place.name)
        text = (place / "accuracy").read_text()
        if text == "interrupt":
            raise KeyboardInterrupt
        if not text.startswith("0."):
            raise {"bad": InputError(f"{place.name}: no network"), "bug": ZeroDivisionError("by\nzero")}[text]
        measured = {"accuracy": float(text), "interval": [0.1, 0.9], "macro_f1": 0.5, "n": 20}
        broken = {"batch": "it looks at its batch", "shapes": None}
        return Grade("", "mean", measured, None, broken, {}, Leakage(), (), 410, 400, 0.01, 1.0, (), clips)

    monkeypatch.setattr(gradebook, "grade", grade)

    def hand_in(name: str, text: str) -> None:
        (book.folder / name).mkdir(exist_ok=True)
        (book.folder / name / "accuracy").write_text(text)

    return hand_in


def test_every_submission_has_a_row_and_a_broken_one_harms_none(book, quick):
    for name, text in {"ada": "0.800049", "bob": "bad", "cleo": "bug", "dan": "0.7"}.items():
        quick(name, text)
    (book.folder / ".hidden").mkdir()
    (book.folder / "notes.txt").write_text("no submission")
    table = book()
    assert list(table.index) == ["ada", "bob", "cleo", "dan"]
    assert table["accuracy"].dropna().tolist() == [0.8, 0.7]  # with four digits, as a teacher reads them
    assert table.loc["bob", "problem"] == "no network" and "ZeroDivisionError: by zero" in table.loc["cleo", "problem"]
    assert table.loc["ada", "broken"] == "batch: it looks at its batch"
    assert table.loc["ada", ["low", "high", "parameters", "ms_per_clip"]].tolist() == [0.1, 0.9, 410, 10]


def test_a_submission_whose_folders_cannot_be_listed_harms_none(book, quick, deep):
    quick("ada", "0.8")
    quick("bob", "bad")
    beside = deep.rename(book.folder / "bob" / "deep")
    assert book()["problem"].notna().tolist() == [False, True]
    beside.rename(deep)


def test_only_what_is_new_or_changed_is_graded(book, quick):
    for name in ("ada", "bob"):
        quick(name, "0.8")
    first = book()
    quick("bob", "0.5")
    quick("cleo", "0.6")
    book.graded.clear()
    second = book()
    assert sorted(book.graded) == ["bob", "cleo"]
    assert second.loc["ada"].equals(first.loc["ada"]) and second.loc["bob", "accuracy"] == 0.5
    shutil.rmtree(book.folder / "ada")
    assert list(book().index) == ["bob", "cleo"]


def test_a_submission_named_like_a_folder_that_is_skipped_is_graded_again_if_it_changed(book, quick):
    quick("venv", "0.8")
    book()
    quick("venv", "0.5")
    assert book().loc["venv", "accuracy"] == 0.5


def test_other_limits_grade_again(book, quick):
    quick("ada", "0.8")
    book()
    book(limits=replace(LIMITS, seconds=600))
    book(limits=replace(LIMITS, seconds=600))
    assert book.graded == ["ada", "ada"]


def test_a_submission_may_have_any_name(book, quick):
    for name in ("NA", "null", "007"):
        quick(name, "0.8")
    book()
    assert sorted(book().index) == ["007", "NA", "null"] and len(book.graded) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="such names are not possible")
def test_no_name_or_message_becomes_a_formula_or_several_rows(book, quick, monkeypatch):
    names = ("=1+1", "'=1+1", "-1", "+1", "@x", "a;=1+1", "a\rb", "a\nb", 'a",=1', os.fsdecode(b"\xff"))
    for name in names:
        quick(name, "bad")
    quick("ada", "0.8")
    monkeypatch.setattr(gradebook, "leakage", lambda found: "=1+1")
    monkeypatch.setattr(Leakage, "found", True)
    book()
    book()
    assert len(book.graded) == 11
    with open(book.output, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    cells = [part for row in rows for cell in row for part in cell.split(";")]
    assert len(rows) == 12 and not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


@pytest.mark.parametrize("damage", [{"checksum": None}, {"accuracy": 0.9}, {"problem": "no network"}, {"n": "x"}])
def test_a_damaged_row_is_graded_again(book, quick, damage):
    quick("ada", "0.8")
    book().assign(**damage, remark="well done").to_csv(book.output)
    assert book().loc["ada", "accuracy"] == 0.8 and book.graded == ["ada", "ada"]


def test_rows_of_nobody_are_dropped_and_further_columns_kept(book, quick):
    quick("ada", "0.8")
    book()
    header, row = book.output.read_text().splitlines()
    book.output.write_text(f"{header},remark\n{row},well done\nnobody{',' * row.count(',')},\n")
    again = book()
    assert list(again.index) == ["ada"] == book.graded and again.loc["ada", "remark"] == "well done"


def test_a_file_that_cannot_be_read_costs_the_others_nothing(book, quick, monkeypatch):
    def sum_of(path) -> str:
        if "bob" in str(path):
            raise InputError(f"{path}: Permission denied")
        return sha256(path)

    monkeypatch.setattr(gradebook, "sha256", sum_of)
    quick("ada", "0.8")
    quick("bob", "bad")
    assert book()["accuracy"].dropna().tolist() == [0.8]


def test_an_interruption_keeps_what_is_done(book, quick):
    quick("ada", "0.8")
    quick("bob", "interrupt")
    with pytest.raises(KeyboardInterrupt):
        book(jobs=1)
    quick("bob", "0.7")
    book.graded.clear()
    assert len(book()) == 2 and book.graded == ["bob"]


def test_an_interruption_ends_processes_that_begin_after_it(book, quick, monkeypatch):
    ended, in_time, begun = [], [], threading.Event()

    def grade(place, clips, *_):
        if place.name == "ada":
            begun.wait(30)
            raise KeyboardInterrupt
        begun.set()
        latest = time.monotonic() + 30
        while len(ended) < 2 and time.monotonic() < latest:
            time.sleep(0.01)
        in_time.append(time.monotonic() < latest)
        raise InputError("its process ended")

    monkeypatch.setattr(gradebook, "grade", grade)
    monkeypatch.setattr(gradebook.sandbox, "end_all", lambda: ended.append("all"))
    quick("ada", "")
    quick("bob", "")
    with pytest.raises(KeyboardInterrupt):
        book()
    assert in_time == [True]


def test_a_file_of_somebody_else_is_not_replaced(book, quick):
    quick("ada", "0.8")
    book.output.write_text("name,points\nada,7\n")
    assert "was not written by `sdr grade`" in input_error(book)
    assert book.output.read_text() == "name,points\nada,7\n"


def test_an_empty_folder_is_refused(book):
    assert "no submissions" in input_error(book)


@pytest.mark.slow
def test_a_class_in_the_sandbox(book, corpus):
    write_fork(book.folder / "ada", corpus)
    write_fork(book.folder / "bob", corpus, forged("import os\nos._exit(1)"))
    write_fork(book.folder / "cleo", corpus, "import nothing_like_it\n")
    table = book()
    assert table.loc["ada", "accuracy"] > 0.9
    assert "ended without an answer" in table.loc["bob", "problem"]
    assert "nothing_like_it" in table.loc["cleo", "problem"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux only")
def test_a_device_is_not_read_as_an_earlier_gradebook(tmp_path):
    with pytest.raises(InputError, match="not a regular file"):
        gradebook.read_rows(Path("/dev/full"))  # it has endless zeros
    with pytest.raises(InputError, match="this is a folder"):
        gradebook.read_rows(tmp_path)
