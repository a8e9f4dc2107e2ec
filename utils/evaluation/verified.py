"""Which stored runs have been trained again, when, on what machine and with what outcome: `results/verified.json`."""

import hashlib
import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from utils import InputError
from utils.evaluation import results
from utils.files import one_process, read_json, write_json
from utils.settings import as_mapping

EQUAL, WITHIN, DIFFERENT = VERDICTS = ("equal", "within tolerance", "different")


def file_of(store: Path) -> Path:
    """The file beside a results store."""
    return store.parent / "verified.json"


def load(store: Path) -> dict[str, dict]:
    """The latest verification of each run, by its path in the store without suffix: "cnn1d/course/seed-0"."""
    file = file_of(store)
    if not os.path.lexists(file):
        return {}
    try:
        entries = as_mapping(read_json(file), str(file))
        for run in entries.values():
            date.fromisoformat(run["on"])
        if all(run["verdict"] in VERDICTS and run["result"] for run in entries.values()):
            return entries
    except (InputError, LookupError, TypeError, ValueError):
        pass
    raise InputError(f"{file}: not written by `sdr verify`, or damaged; restore it, or delete it")


def record(store: Path, path: Path, verdict: str, environment: dict) -> None:
    """Note that the run with the result `path` was trained again today, in this environment, with this outcome."""
    entry = {
        "on": date.today().isoformat(),
        "verdict": verdict,
        "result": _digest(path),
        **{key: environment[key] for key in ("processor", "torch", "commit")},
    }
    with one_process(file_of(store)):
        entries = dict(sorted((load(store) | {_name(store, path): entry}).items()))
        write_json(file_of(store), entries)


def summary(store: Path, paths: Sequence[Path]) -> str:
    """When the runs of a row were last trained again: "2026-11-28 (2 of 5)"; "different" if one came out different.

    Only verifications of the results as they are now count: when a run is repeated, its former ones are void.
    """
    entries = load(store)
    found = [(path, entries[_name(store, path)]) for path in paths if _name(store, path) in entries]
    valid = [entry for path, entry in found if entry["result"] == _digest(path)]
    if any(entry["verdict"] == DIFFERENT for entry in valid):
        return DIFFERENT
    if not valid:
        return ""
    return f"{max(entry['on'] for entry in valid)} ({len(valid)} of {len(paths)})"


def _name(store: Path, path: Path) -> str:
    return path.relative_to(store).with_suffix("").as_posix()


def _digest(path: Path) -> str:
    """A checksum of a result and its predictions."""
    try:
        return hashlib.sha256(path.read_bytes() + results.predictions_path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path}: could not be read, or its predictions ({error.strerror or error})") from None
