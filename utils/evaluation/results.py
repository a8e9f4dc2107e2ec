"""The results store: what each run measured.

results/runs/<experiment>/<protocol-and-fold>/seed-<n>.json     config, metrics, cost, environment
results/runs/<experiment>/<protocol-and-fold>/seed-<n>.tsv.gz   the prediction for each clip
results/costs.json                                              time and size of some models and of the peers
"""

import gzip
import io
import json
import os
import platform
import subprocess
import zlib
from pathlib import Path
from typing import cast

import joblib
import librosa
import numpy as np
import pandas as pd
import sklearn
import torch

from utils import InputError
from utils.evaluation.metrics import DIGITS, metrics
from utils.files import check_file, read_json, run_folder, write_atomically, write_json
from utils.paths import PROJECT
from utils.settings import LARGEST, as_mapping
from utils.training.objectives import NON_DIGIT

STORE = PROJECT / "results" / "runs"
IDENTITY = ("experiment", "protocol", "seed")  # together they identify a result
NUMBER = int | float
TYPES = {
    "experiment": str,
    "protocol": str,
    "seed": int,
    "config": dict,
    "metrics": dict,
    "metadata_sha256": str,
}
COSTS = {"milliseconds", "megabytes"}
MAX_BYTES = 2**26  # of a table of predictions, unpacked
TRAINED = {"parameters": int, "multiply_adds": int, "train_seconds": NUMBER}  # what a peer's result need not have
NUMBERS = {"field": NUMBER, "sampled": int, "strings": int}  # mappings that a result may have, by condition or part
COLUMNS = {"identifier": str, "speaker": str, "split": str, "label": int, "predicted": int, "probability": float}


def result_path(store: Path, experiment: str, split: str, seed: int) -> Path:
    """The path of a run's result; `split` is the protocol with its fold, for example "loso-george"."""
    return run_folder(store, experiment, split) / f"seed-{seed}.json"


def seeds_of(store: Path, experiment: str, split: str) -> list[int]:
    """The seeds that the store has runs of. Raises `InputError` if the store is something other than a folder."""
    if os.path.lexists(store) and not store.is_dir():
        raise InputError(f"{store}: not a folder, so there are no results in it")
    names = (path.stem.removeprefix("seed-") for path in run_folder(store, experiment, split).glob("seed-*.json"))
    return sorted(int(name) for name in names if name.isdecimal())


def save(path: Path, result: dict, predictions: pd.DataFrame) -> None:
    """Write a result, and next to it the predictions: `identifier speaker split label predicted probability`."""
    # without the time and the name of the file, which gzip would note: equal predictions give equal bytes
    table = gzip.compress(predictions.to_csv(sep="\t", index=False, lineterminator="\n").encode(), mtime=0)
    write_atomically(predictions_path(path), lambda new: new.write_bytes(table))
    write_json(path, result)


def load(path: Path) -> dict:
    """Read a result. Raises `InputError` if the file is not a valid result."""
    result = cast(dict, read_json(path))
    _check_types(result, TYPES, path)
    _check_types(result["metrics"], {"TEST": dict}, path)
    for measured in result["metrics"].values():
        _check_types(measured, {"accuracy": NUMBER, "macro_f1": NUMBER}, path)
    _check_types(result["config"].get("data"), {"metadata": str}, path)
    if "peer" not in result["config"]:
        _check_types(result, TRAINED, path)
    history = result.setdefault("history", [])
    if not isinstance(history, list):
        raise InputError(f"{path}: not a result (history is not a list of epochs)")
    for epoch in history:
        _check_types(epoch, {"seconds": NUMBER}, path)
    for name in NUMBERS.keys() & result:
        _check_types(result, {name: dict}, path)
        _check_types(result[name], dict.fromkeys(result[name], NUMBERS[name]), path)
    return result


def load_stored(path: Path) -> dict:
    """Read a result of the store. Raises `InputError` if it is not valid, or not of the run in its file name."""
    result = load(path)
    if path.parts[-3:] != result_path(Path(), *(result[key] for key in IDENTITY)).parts:
        found = ", ".join(f"{key} {result[key]}" for key in IDENTITY)
        raise InputError(f"{path}: the result of a different run: {found}")
    return result


def field_test(result: dict, condition: str) -> float | None:
    """The outcome of a field test: the accuracy in a condition of noise, or the share of strings or non-digits.

    None if a peer has not been tested in this condition.

    Raises:
        InputError: the run had no field tests.
    """
    if "field" not in result:
        raise InputError(f"{result['experiment']}: tested without field tests; set `field_tests: true` in its config")
    noisy = result["metrics"].get(condition)
    return noisy["accuracy"] if noisy else result["field"].get(condition)


def load_costs(store: Path) -> dict[str, dict[str, float]]:
    """The costs that were measured, by model or peer: `milliseconds` a clip of one core's time, and `megabytes`."""
    path = costs_path(store)
    if not path.exists():
        return {}
    costs = as_mapping(as_mapping(read_json(path), str(path)).get("costs"), f"{path}: costs")
    for name, cost in costs.items():
        if not isinstance(cost, dict) or set(cost) != COSTS or not all(map(_is_number, cost.values())):
            raise InputError(f"{path}: costs: {name}: expected the numbers {' and '.join(sorted(COSTS))}")
    return costs


def costs_path(store: Path) -> Path:
    return store.parent / "costs.json"


def _check_types(values: object, types: dict, path: Path) -> None:
    for key, kind in types.items():
        if not isinstance(values, dict) or key not in values:
            raise InputError(f"{path}: not a result (it has no {key})")
        value = values[key]
        if not isinstance(value, kind) or (isinstance(value, NUMBER) and not _is_number(value)):
            raise InputError(f"{path}: not a result ({key} is {repr(value)[:60]})")


def _is_number(value: object) -> bool:
    """Whether it is a number as results have them: not negative, and not NaN or infinite, which JSON can hold too."""
    return isinstance(value, NUMBER) and not isinstance(value, bool) and 0 <= value < LARGEST


def load_predictions(path: Path) -> pd.DataFrame:
    """Read the predictions that belong to the result at `path`."""
    check_file(predictions_path(path))
    try:
        with gzip.open(predictions_path(path)) as packed:
            content = packed.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES:,} bytes")
        # without types, a speaker named 01 would become a number; peers report no probability
        table = pd.read_csv(
            io.BytesIO(content), sep="\t", keep_default_na=False, na_values={"probability": [""]}, dtype=COLUMNS
        )
        if missing := COLUMNS.keys() - set(table):
            raise ValueError(f"it has no column {min(missing)}")
        if not table["label"].isin(DIGITS).all() or not table["predicted"].isin([*DIGITS, NON_DIGIT]).all():
            raise ValueError("a label is not a digit")
        return table
    except (OSError, ValueError, OverflowError, EOFError, zlib.error) as error:
        why = " ".join(str(error).split())
        raise InputError(f"{predictions_path(path)}: not a table of predictions ({why})") from None


def predictions_path(path: Path) -> Path:
    return path.with_suffix(".tsv.gz")


def verify(path: Path) -> None:
    """Check that a result belongs to the run in its file name, and that its metrics follow from its predictions.

    Raises `InputError` if not.
    """
    claimed, predictions = load_stored(path)["metrics"], load_predictions(path)
    if set(claimed) != set(predictions["split"]):
        covered = ", ".join(predictions["split"].unique())
        raise InputError(f"{path}: reports {', '.join(claimed)}, but its predictions cover {covered}")
    for name, clips in predictions.groupby("split"):
        measured = metrics(*(clips[column].to_numpy() for column in ("label", "predicted", "speaker")))
        for key, value in measured.items():
            if json.dumps(claimed[name].get(key)) != json.dumps(value):
                raise InputError(f"{path}: its {key} on {name} does not follow from its predictions")


def environment() -> dict:
    """The environment of a run: versions, processor, device, threads, and the commit of the code."""
    versions = {module.__name__: module.__version__ for module in (torch, np, librosa, sklearn)}
    return {
        "python": platform.python_version(),
        **versions,
        "system": platform.platform(aliased=True, terse=True),
        "processor": _processor(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "threads": torch.get_num_threads(),
        "cores": joblib.cpu_count(),
        "commit": _git("rev-parse", "HEAD"),
        "changed": bool(_git("status", "--porcelain", "--untracked-files=no", "--", "*.py", "*.yaml")),
    }


def _processor() -> str:
    """The processor's name; Python reports it on macOS and Windows, Linux in /proc/cpuinfo."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _git(*words: str) -> str | None:
    try:
        return subprocess.run(["git", *words], cwd=PROJECT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None  # not a git checkout, or git is not installed
