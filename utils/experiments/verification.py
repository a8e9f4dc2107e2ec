"""Do the stored figures hold? Runs are trained again, checkpoints tested again, metrics computed again."""

import functools
import json
import random
import shutil
import subprocess
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from utils import InputError
from utils.data.metadata import locate, read_rows, tables_sha256
from utils.evaluation import results, verified
from utils.evaluation.verified import DIFFERENT, EQUAL, WITHIN
from utils.experiments import checkpoints
from utils.experiments.config import Experiment, made_by, snapshot
from utils.experiments.fingerprints import LEARNING, code_digests, short_key
from utils.experiments.reproducing import planned_runs
from utils.experiments.runs import evaluate, has_run, run, test_clips
from utils.files import read_json
from utils.paths import CHECKPOINTS, PROJECT, RUNS, find_metadata
from utils.progress import Progress
from utils.settings import as_mapping

PLACE = RUNS / "verify"  # what repeated runs write, until `finish`
SKIPPED = "not checked"
# The tolerance of another machine, as a share of the clips (docs/reproducibility.md says where it is from):
TESTED = 0.005  # for weights that are only tested, and for a linear model, which has a single solution
TRAINED = 0.05  # for a network that is trained; more if the seeds of its row differ by more
LIBRARIES = ("python", "torch", "numpy", "librosa", "sklearn", "processor", "device", "threads")


@dataclass(frozen=True)
class Finding:
    """What was checked ("result", "checkpoint" or "run"), its name, the verdict, and what differs or is missing."""

    kind: str
    name: str
    verdict: str
    details: tuple[str, ...] = ()


def check_results(paths: Sequence[Path]) -> Iterator[Finding]:
    """Stored results whose metrics do not follow from their predictions, or that cannot be read."""
    for path in Progress(paths, "checking results"):
        try:
            results.verify(path)
        except InputError as error:
            yield Finding("result", path.name, DIFFERENT, (str(error),))


def committed_checkpoints(experiments: Collection[str] | None = None) -> list[Path]:
    """The folders of `checkpoints/`: all, or those of some experiments."""
    folders = sorted(path.parent for path in CHECKPOINTS.glob(f"*/{checkpoints.WEIGHTS}"))
    return [folder for folder in folders if experiments is None or folder.name in experiments]


def check_checkpoint(folder: Path) -> Finding:
    """Test a checkpoint again on the clips of its `metrics.json`."""
    try:
        model, experiment = checkpoints.load(folder)
        stored = as_mapping(read_json(folder / checkpoints.METRICS), str(folder / checkpoints.METRICS))
    except InputError as error:
        return Finding("checkpoint", folder.name, DIFFERENT, (str(error),))
    measured = {}
    for part in Progress(stored, folder.name):
        try:
            clips = test_clips(experiment, part)
        except InputError as error:
            return Finding("checkpoint", folder.name, SKIPPED, (str(error),))
        measured[part], _ = evaluate(model, experiment, clips)
    if _same(stored, measured):
        return Finding("checkpoint", folder.name, EQUAL)
    moved = _moved(stored, measured)
    verdict = WITHIN if _within(moved, dict.fromkeys(moved, TESTED)) else DIFFERENT
    return Finding("checkpoint", folder.name, verdict, _as_text(stored, measured))


def stored_runs(tables: Sequence[str], model: str | None, store: Path) -> list[tuple[Experiment, int, Path]]:
    """The runs of tables (see `planned_runs`) that the store has, each with the path of its result."""
    found = []
    for experiment, seed in planned_runs(tables, model):
        path = results.result_path(store, experiment.name, experiment.data.split_name, seed)
        found += [(experiment, seed, path)] if path.exists() else []
    return found


def draw(runs: Sequence[tuple[Experiment, int, Path]], number: int, seed: int) -> list[tuple[Experiment, int, Path]]:
    """So many of the runs whose clips are on this machine, drawn at random; those that took least time come first."""
    possible = [chosen for chosen in runs if all(map(_present, _tables(chosen[0])))]
    drawn = random.Random(seed).sample(possible, min(number, len(possible)))
    return sorted(drawn, key=lambda chosen: results.load(chosen[2])["train_seconds"])


def train_again(experiment: Experiment, seed: int, path: Path, store: Path, place: Path = PLACE) -> Finding:
    """Repeat a run and compare it with its result at `path`; the verdict is recorded (see `utils.evaluation.verified`).

    What it writes goes to `place`, from where an interrupted call resumes.
    """
    stored, folder = results.load(path), place / short_key(code_digests())
    again = results.result_path(folder / "results", experiment.name, stored["protocol"], seed)
    if not has_run(experiment, seed, folder / "results"):
        run(experiment, seed, store=folder / "results", runs=folder, progress=True)
    new = results.load(again)
    finding = compare_runs(stored, new, experiment, path, again)
    if not new["environment"]["commit"] or new["environment"]["changed"]:
        return replace(finding, details=(*finding.details, "not recorded: the code has uncommitted changes"))
    verified.record(store, path, finding.verdict, new["environment"])
    return finding


def compare_runs(stored: dict, new: dict, experiment: Experiment, path: Path, again: Path) -> Finding:
    """Compare a stored result, at `path`, with that of the same run made again, at `again`."""
    name = f"{experiment.name} {stored['protocol']} seed {stored['seed']}"
    differs = _differences(stored, new, experiment)
    tables = results.load_predictions(path), results.load_predictions(again)
    if tables[0].equals(tables[1]) and _same(_measured(stored), _measured(new)):
        return Finding("run", name, EQUAL, differs)
    within = _within(_moved(stored["metrics"], new["metrics"]), _tolerance(experiment, path))
    # with the same code and libraries on the same processor, nothing may move at all
    verdict = WITHIN if within and differs else DIFFERENT
    reasons = differs or ("nothing that is recorded differs: config, clips, code, libraries, processor",)
    figures = _as_text(stored["metrics"], new["metrics"])
    return Finding("run", name, verdict, (*figures, *_changed_predictions(*tables), *reasons))


def finish(place: Path = PLACE) -> None:
    """Remove what `train_again` wrote to `place`."""
    shutil.rmtree(place, ignore_errors=True)


def _measured(result: dict) -> dict:
    """All that a run measures, except seconds."""
    history = [{key: value for key, value in row.items() if key != "seconds"} for row in result.get("history", [])]
    return {"metrics": result["metrics"], "field": result.get("field"), "history": history}


def _differences(stored: dict, new: dict, experiment: Experiment) -> tuple[str, ...]:
    """What a stored run had that differs from now: config, clips, code, libraries and processor."""
    found = []
    then, now = snapshot(made_by(stored)), snapshot(experiment)
    for section in sorted(then.keys() | now.keys()):
        old, current = (part.get(section) or {} for part in (then, now))
        if section != "experiment":
            keys = sorted(key for key in old.keys() | current.keys() if old.get(key) != current.get(key))
            found += [f"config: {section}: {key} was {old.get(key)} and is {current.get(key)}" for key in keys]
    if stored["metadata_sha256"] != tables_sha256(experiment.sources):
        found.append(f"clips: {', '.join(experiment.sources)} did not list the same ones")
    environment, today = stored.get("environment", {}), new["environment"]
    if environment.get("commit") != today["commit"] or today["changed"]:
        found += _code_changes(environment.get("commit"))
    for key in LIBRARIES:
        if key in environment and environment[key] != today[key]:
            found.append(f"{key}: was {environment[key]} and is {today[key]}")
    return tuple(found)


def _code_changes(commit: str | None) -> list[str]:
    """The files that determine the outcome of a training and have changed since a commit, in one line."""
    command = ["git", "diff", "--name-only", str(commit), "--", *LEARNING]
    try:
        changed = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        return [f"code: the commit {str(commit)[:7]} of the run is not in this repository, so changes are unknown"]
    few = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
    return [f"code: changed since {str(commit)[:7]}: {few}"] if changed else []


def _same(one: object, other: object) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _moved(stored: dict, measured: dict) -> dict[str, float]:
    """By how much each accuracy differs from the stored one; {} if the test sets are not the same."""
    if stored.keys() != measured.keys():
        return {}
    return {part: measured[part]["accuracy"] - stored[part]["accuracy"] for part in stored}


def _tolerance(experiment: Experiment, path: Path) -> dict[str, float]:
    """By how much the accuracy on each test set may differ on another machine."""
    parts = results.load(path)["metrics"]
    if experiment.training is None:
        return dict.fromkeys(parts, TESTED)
    runs = [results.load(other)["metrics"] for other in path.parent.glob("seed-*.json")]
    by_part = {part: [run[part]["accuracy"] for run in runs if part in run] for part in parts}
    return {part: max(TRAINED, max(values) - min(values)) for part, values in by_part.items()}


def _within(moved: dict[str, float], tolerance: dict[str, float]) -> bool:
    return bool(moved) and all(abs(by) <= tolerance[part] + 1e-9 for part, by in moved.items())


def _as_text(stored: dict, measured: dict) -> tuple[str, ...]:
    """The accuracies that differ, in percent."""
    if stored.keys() != measured.keys():
        return (f"test sets: were {', '.join(stored)} and are {', '.join(measured)}",)
    pairs = {part: (100 * stored[part]["accuracy"], 100 * measured[part]["accuracy"]) for part in stored}
    figures = [f"{part} was {old:.2f} % and is {new:.2f} %" for part, (old, new) in pairs.items() if old != new]
    return (f"accuracy: {', '.join(figures)}" if figures else "every accuracy is equal",)


def _changed_predictions(stored: pd.DataFrame, new: pd.DataFrame) -> tuple[str, ...]:
    """How many predictions and probabilities differ, if the clips are the same."""
    keys = ["identifier", "split"]
    if not stored[keys].equals(new[keys]):
        return ("predictions: not of the same clips",)
    apart = (stored["probability"] - new["probability"]).abs()
    number = int((stored["predicted"] != new["predicted"]).sum())
    probabilities = f"{(apart > 0).sum()} probabilities, by at most {apart.max():.4f}"
    return (f"predictions: {number} of {len(stored)} differ, and {probabilities}",)


def _tables(experiment: Experiment) -> list[str]:
    return [name for name in experiment.sources if name.endswith(".tsv")]


@functools.cache
def _present(table: str) -> bool:
    """Whether a metadata table and its first clip are on this machine."""
    path = find_metadata(table)
    if not path.is_file():
        return False
    files = [row["file"] for row in read_rows(path, ()) if "file" in row]
    return not files or Path(locate(files, path)[0]).is_file()
