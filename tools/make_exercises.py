"""Make the exercises from their solutions: each marked part becomes a stub.

python tools/make_exercises.py

The marks are those of nbgrader, and so is the stub: a solution is what lies between `### BEGIN SOLUTION` and
`### END SOLUTION`, in a cell whose metadata say so. The output stays, for students to compare theirs with, but for that
of the checks: "Right" is only told to those who are.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
from run_notebooks import NOTEBOOKS

from utils import InputError
from utils.files import write_text

SOLUTIONS = NOTEBOOKS / "solutions"
EXERCISES = NOTEBOOKS / "exercises"
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
STUB = ("# YOUR CODE HERE", "raise NotImplementedError()")


def main() -> None:
    """Write all exercises. Exit status 2 if a solution is marked badly; then nothing is written."""
    try:
        texts = {path.name: exercise(path) for path in sorted(SOLUTIONS.glob("*.ipynb"))}
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    for name, text in texts.items():
        write_text(EXERCISES / name, text)


def exercise(solution: Path) -> str:
    """The text of the student's notebook.

    Raises:
        InputError: a mark is missing, or is in a cell that is not a solution by its metadata, or the reverse.
    """
    notebook = nbformat.read(solution, as_version=4)
    for number, cell in enumerate(notebook.cells):
        source = "\n".join(_without_solutions(cell.source, f"{solution.name}, cell {number}"))
        if (source != cell.source) != is_solution(cell):
            raise InputError(f"{solution.name}, cell {number}: its metadata and its marks disagree on being a solution")
        cell.source = source
        if is_check(cell):
            cell.outputs = []
    return nbformat.writes(notebook) + "\n"


def is_solution(cell) -> bool:
    """Whether a cell is one that a student has to complete."""
    return cell.metadata.get("nbgrader", {}).get("solution", False)


def is_check(cell) -> bool:
    """Whether a cell checks an answer."""
    return cell.metadata.get("nbgrader", {}).get("grade", False)


def _without_solutions(source: str, where: str) -> Iterator[str]:
    """The lines of a cell, with a stub in place of each solution."""
    inside = False
    for line in source.splitlines():
        mark = line.strip()
        if mark not in (BEGIN, END):
            if not inside:
                yield line
            continue
        if inside == (mark == BEGIN):
            raise InputError(f"{where}: `{BEGIN}` and `{END}` do not alternate")
        inside = mark == BEGIN
        if inside:
            yield from (line.replace(BEGIN, stub) for stub in STUB)
    if inside:
        raise InputError(f"{where}: `{END}` is missing")


if __name__ == "__main__":
    main()
