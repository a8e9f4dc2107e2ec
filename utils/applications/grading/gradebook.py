"""Grades a folder of submissions into one CSV file: several at a time, resumable, and none can harm another."""

import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import pandas as pd
import torch

from utils import InputError, plain
from utils.applications.grading import sandbox
from utils.applications.grading.grade import Grade, grade
from utils.applications.grading.sandbox import Limits
from utils.applications.grading.submission import SKIPPED
from utils.applications.grading.text import leakage
from utils.experiments.fingerprints import short_key
from utils.files import check_file, check_writable, files_in, sha256, write_atomically
from utils.progress import Progress

COLUMNS = (
    "submission", "problem", "accuracy", "low", "high", "macro_f1", "n", "claimed", "claim_holds", "broken", "leakage",
    "model", "parameters", "ms_per_clip", "seconds", "checksum",
)  # fmt: skip
OVER = "over_"  # begins the columns of references
FORMULA = re.compile(r"(^|(?<=;))(?=['=+@-])")  # in some countries, a semicolon begins the next cell of a CSV file


def grade_all(
    folder: Path, clips: pd.DataFrame, output: Path, claimed: float | None, limits: Limits, jobs: int
) -> pd.DataFrame:
    """Grade each folder and ZIP in `folder`, and write a row of each to the CSV file `output` as soon as it is known.

    A submission whose row is there already is not graded again, if neither of them has changed since. One that cannot
    be graded has the reason in its row, as one line that can be sent to the student.

    Args:
        clips: as for `grade`.
        claimed: likewise.
        jobs: submissions graded at a time, each in a process of its own.

    Returns:
        The rows by name as text, with `COLUMNS` and the difference to each reference.

    Raises:
        InputError: there are no submissions, or `output` was not written by this function.
    """
    places = sorted(submissions(folder))
    if not places:
        raise InputError(f"{folder}: no submissions, neither folders nor ZIP files")
    check_writable(output.parent)
    torch.set_num_threads(1)
    basis = [[sha256(path) for path in clips["path"]], clips["label"].tolist(), clips["speaker"].tolist(), claimed]
    basis.append([limits.seconds, limits.memory])  # a submission that was too slow is graded again with more time
    sums = {as_text(place.name): content_sum(place, basis) for place in places}
    rows = {
        name: row
        for name, row in read_rows(output).items()
        if name in sums and row["checksum"] == row_sum(row, sums[name])
    }
    missing = [place for place in places if as_text(place.name) not in rows]
    with ThreadPoolExecutor(jobs) as pool:  # threads suffice: they wait for processes
        work = [pool.submit(graded, place, clips, claimed, limits, sums[as_text(place.name)]) for place in missing]
        try:
            for done in Progress(as_completed(work), "grading", len(places), unit="submission", initial=len(rows)):
                rows[done.result()["submission"]] = done.result()
                write_rows(output, rows)
        except BaseException:  # interrupted, or the disk is full
            graded_already = [done.result() for done in work if done.done() and not done.exception()]
            pool.shutdown(wait=False, cancel_futures=True)
            if graded_already:
                write_rows(output, rows | {row["submission"]: row for row in graded_already})
            while not all(done.done() for done in work):  # some may not have come to their process yet
                sandbox.end_all()
                time.sleep(0.05)
            raise
    return write_rows(output, rows)


def graded(place: Path, clips: pd.DataFrame, claimed: float | None, limits: Limits, content: str) -> dict[str, str]:
    """The row of a submission with this `content_sum`: its grade, or in one line why it cannot be graded."""
    try:
        values = flat(grade(place, clips, claimed, limits))
    except InputError as error:
        values = {"problem": str(error).removeprefix(f"{place.name}: ")}
    except Exception as error:  # a fault of this program must not cost the others their grades
        values = {"problem": f"could not be graded: {type(error).__name__}: {' '.join(str(error).split())}"}
    row = {"submission": as_text(place.name)} | {
        name: as_text(value) if isinstance(value, str) else str(value)
        for name, value in values.items()
        if value is not None
    }
    return row | {"checksum": row_sum(row, content)}


def submissions(folder: Path) -> Iterator[Path]:
    """What may be a submission: folders and ZIP files that are not hidden."""
    if not folder.is_dir():
        raise InputError(f"{folder}: not a folder of submissions")
    for path in folder.iterdir():
        if not path.name.startswith((".", "__")) and (path.is_dir() or path.suffix.lower() == ".zip"):
            yield path


def as_text(text: str) -> str:
    """A text of a student's in one line, with an apostrophe where a spreadsheet program would take it for a formula."""
    return FORMULA.sub("'", plain(text))


def content_sum(place: Path, basis: object) -> str:
    """A checksum of all that a grade follows from."""
    try:
        files = [place] if place.is_file() else files_in(place)
    except InputError:  # as for a file that cannot be read, below
        files = []
    named = [(path.relative_to(place.parent), path) for path in files]
    sums = [(str(name), _sum_or_why_not(path)) for name, path in named if not SKIPPED & set(name.parts[1:])]
    return short_key(sums, basis)


def row_sum(row: dict[str, str], content: str) -> str:
    """A checksum of a row and of what it follows from. Columns that somebody added do not count."""
    own = {name: cell for name, cell in row.items() if cell and (name in COLUMNS or name.startswith(OVER))}
    own.pop("checksum", None)
    return short_key(sorted(own.items()), content)


def _sum_or_why_not(path: Path) -> str:
    """A file that cannot be read must not cost the others their grades: what that means, its own grading says."""
    try:
        return sha256(path)
    except InputError as error:
        return str(error)


def flat(outcome: Grade) -> dict:
    """A grade as one row."""
    low, high = outcome.measured["interval"]
    return {
        "accuracy": round(outcome.measured["accuracy"], 4),
        "low": round(low, 4),
        "high": round(high, 4),
        "macro_f1": round(outcome.measured["macro_f1"], 4),
        "n": outcome.measured["n"],
        "claimed": None if outcome.claimed is None else round(outcome.claimed, 4),
        "claim_holds": outcome.claim_holds,
        "broken": "; ".join(f"{name}: {message}" for name, message in outcome.broken.items() if message),
        "leakage": leakage(outcome.leakage) if outcome.leakage.found or outcome.leakage.problem else "",
        "model": outcome.model,
        "parameters": outcome.parameters,
        "ms_per_clip": round(1000 * outcome.seconds_per_clip, 2),
        "seconds": round(outcome.seconds, 1),
        **{f"{OVER}{name}": round(other.difference, 4) for name, other in outcome.references.items()},
    }


def read_rows(output: Path) -> dict[str, dict[str, str]]:
    """The rows that an earlier call wrote, by name, as they are; none if there is no such file."""
    if not output.exists():
        return {}
    check_file(output)  # a device may never end
    try:
        table = pd.read_csv(output, dtype=str, na_filter=False)  # "NA" or "null" may be somebody's name
    except (OSError, ValueError) as error:
        raise InputError(
            f"{output}: not a CSV file ({' '.join(str(error).split())}); choose another --output"
        ) from None
    if not set(COLUMNS) <= set(table):
        raise InputError(f"{output}: was not written by `sdr grade`, so it is not replaced; choose another --output")
    return {row["submission"]: row for row in table.to_dict("records")}


def write_rows(output: Path, rows: dict[str, dict[str, str]]) -> pd.DataFrame:
    """Write all rows by name, whole or not at all."""
    columns = list(dict.fromkeys([*COLUMNS, *(name for row in rows.values() for name in row)]))
    table = pd.DataFrame([[rows[name].get(cell, "") for cell in columns] for name in sorted(rows)], columns=columns)
    write_atomically(output, lambda path: table.to_csv(path, index=False))
    return table
