"""The exercises: made from their solutions, solvable, and with checks that refuse what is wrong."""

import copy
import re
from functools import cache
from pathlib import Path
from typing import Any

import make_exercises
import matplotlib
import nbformat
import pytest
import yaml
from make_exercises import BEGIN, END, EXERCISES, SOLUTIONS, exercise, is_check, is_solution

from notebooks.exercises.checks import NotYet
from utils import InputError
from utils.experiments import notebook

matplotlib.use("Agg")
import matplotlib.pyplot as plt

PATHS = sorted(SOLUTIONS.glob("*.ipynb"))
WRONG = yaml.safe_load((SOLUTIONS / "wrong_answers.yaml").read_text(encoding="utf-8"))
every_exercise = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def cells(path: Path, kind: str = "code") -> list:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


# What is committed


def test_every_exercise_has_a_solution():
    assert sorted(path.name for path in EXERCISES.glob("*.ipynb")) == [path.name for path in PATHS]


@every_exercise
def test_it_is_what_make_exercises_makes(path):
    assert (EXERCISES / path.name).read_text(encoding="utf-8") == exercise(path), "run `make exercises`"


@every_exercise
def test_it_has_an_overview_hints_checks_and_three_wrong_answers(path):
    text = [cell.source for cell in cells(path, "markdown")]
    opening = (
        r"# Exercise \d · .*\n## What you'll do\n.*\n## What you'll learn\n.*\n## What you'll need\n.*\b(\d+) minutes"
    )
    minutes = re.search(opening, text[0], re.DOTALL)
    assert minutes and 20 <= int(minutes[1]) <= 60
    assert re.search(r"## Going further\n(\d\. .*){2,3}", text[-1], re.DOTALL)
    assert "<details><summary>Hint" in "".join(text)
    assert len(WRONG[path.stem]) >= 3


@every_exercise
def test_every_solution_is_followed_by_its_check_as_nbgrader_wants_them(path):
    marked = [cell for cell in cells(path) if "nbgrader" in cell.metadata]
    assert len({cell.id for cell in marked}) == len(marked)
    for cell in marked:
        about = cell.metadata["nbgrader"]
        assert about["grade_id"] == cell.id and about["schema_version"] == 3
        assert about["grade"] is about["locked"] is not about["solution"]
        assert about["solution"] or about["points"] > 0
    assert is_solution(marked[0]) and is_check(marked[-1])
    assert not any(is_solution(one) and is_solution(other) for one, other in zip(marked, marked[1:], strict=False))


# Running them


def execute(some: list, names: dict[str, Any]) -> None:
    """Run cells in this process: a kernel for each of many runs would take minutes. An error names its cell."""
    for cell in some:
        try:
            exec(compile(cell.source, cell.id, "exec"), names)
        except Exception as error:
            error.add_note(cell.id)
            raise
        plt.close("all")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(notebook, "SMALL", True)
    with plt.rc_context():
        yield


@cache
def solved(path: Path) -> dict[str, dict[str, Any]]:
    """Run a solution from top to bottom. Returns the names that were defined before each marked cell."""
    names: dict[str, Any] = {"__name__": "__main__"}
    before = {}
    for cell in cells(path):
        if "nbgrader" in cell.metadata:
            before[cell.id] = dict(names)
        execute([cell], names)
    return before


def answer(path: Path, cell, source: str) -> str:
    """Run another answer in place of a cell of the solution, and the cells up to its check. Returns its message."""
    other, code = copy.copy(cell), cells(path)
    other["source"] = source
    start = [one.id for one in code].index(cell.id) + 1
    end = next(place for place, one in enumerate(code) if place >= start and is_check(one)) + 1
    with pytest.raises((NotImplementedError, NotYet)) as refused:
        execute([other, *code[start:end]], dict(solved(path)[cell.id]))
    assert refused.value.__notes__ == [code[end - 1].id], "refused too early"
    return f"{type(refused.value).__name__}: {refused.value}"


@every_exercise
def test_the_solution_runs_whole(path):
    assert solved(path)


@every_exercise
def test_each_cell_that_is_not_solved_fails_at_its_check(path):
    for cell in filter(is_solution, cells(path)):
        (stub,) = [one.source for one in nbformat.reads(exercise(path), as_version=4).cells if one.id == cell.id]
        assert answer(path, cell, stub) == "NotImplementedError: "


@pytest.mark.parametrize(
    ("name", "wrong"),
    [pytest.param(name, wrong, id=f"{name}-{wrong['mistake']}") for name, some in WRONG.items() for wrong in some],
)
def test_a_typical_wrong_answer_is_refused(name, wrong):
    path = SOLUTIONS / f"{name}.ipynb"
    (cell,) = [cell for cell in cells(path) if is_solution(cell) and wrong["replace"] in cell.source]
    assert cell.source.count(wrong["replace"]) == 1
    told = answer(path, cell, cell.source.replace(wrong["replace"], wrong["by"]))
    assert told.startswith("NotYet: ") and wrong["told"] in told


# The tool


def test_badly_marked_solutions_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(make_exercises, "SOLUTIONS", tmp_path)
    monkeypatch.setattr(make_exercises, "EXERCISES", tmp_path / "exercises")
    solution = {"nbgrader": {"solution": True}}
    for source, metadata, message in (
        (f"{BEGIN}\n1", solution, f"`{END}` is missing"),
        (f"{END}\n1", solution, "do not alternate"),
        (f"{BEGIN}\n{BEGIN}\n{END}", solution, "do not alternate"),
        (f"{BEGIN}\n1\n{END}", {}, "disagree"),
        ("1", solution, "disagree"),
    ):
        cell = nbformat.v4.new_code_cell(source, metadata=metadata)
        (tmp_path / "1.ipynb").write_text(nbformat.writes(nbformat.v4.new_notebook(cells=[cell])))
        with pytest.raises(InputError, match=f"1.ipynb, cell 0: .*{re.escape(message)}"):
            exercise(tmp_path / "1.ipynb")
        with pytest.raises(SystemExit) as stopped:
            make_exercises.main()
        assert stopped.value.code == 2 and message in capsys.readouterr().err
        assert not (tmp_path / "exercises").exists()


def test_a_stub_stands_where_the_solution_was(tmp_path):
    source = f"def one():\n    '''1'''\n    {BEGIN}\n    return 1\n    {END}\n\n\nprint(one())"
    cell = nbformat.v4.new_code_cell(source, metadata={"nbgrader": {"solution": True}}, execution_count=1)
    cell.outputs = [nbformat.v4.new_output("stream", text="1")]
    (tmp_path / "1.ipynb").write_text(nbformat.writes(nbformat.v4.new_notebook(cells=[cell])))
    (made,) = nbformat.reads(exercise(tmp_path / "1.ipynb"), as_version=4).cells
    assert made.source == (
        "def one():\n    '''1'''\n    # YOUR CODE HERE\n    raise NotImplementedError()\n\n\nprint(one())"
    )
    assert (made.outputs, made.execution_count, made.id) == (cell.outputs, 1, cell.id)


@every_exercise
def test_it_shows_what_the_solution_printed_but_not_that_an_answer_is_right(path):
    solution = cells(path)
    made = [cell for cell in nbformat.reads(exercise(path), as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in made] == list(range(1, len(made) + 1))
    assert all(
        one.outputs == ([] if is_check(one) else other.outputs) for one, other in zip(made, solution, strict=True)
    )
    assert any(cell.outputs for cell in made) and any(cell.outputs for cell in solution if is_check(cell))
