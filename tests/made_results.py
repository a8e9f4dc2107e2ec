"""Made-up results in a results store, for the tests of the store, the tables and the documents."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from utils.evaluation import metrics, results
from utils.files import sha256
from utils.paths import COURSE_METADATA

CONFIG = {"data": {"metadata": "SDR_metadata.tsv"}, "model": {"name": "linear", "size": 5}}


def predictions_of(accuracy: float, speaker: str = "eve", split: str = "TEST", clips: int = 20) -> pd.DataFrame:
    """A table of predictions of which this share is correct."""
    labels = np.arange(clips) % 10
    correct = np.arange(clips) < round(accuracy * clips)
    return pd.DataFrame(
        {
            "identifier": [f"{speaker}_{i}" for i in range(clips)],
            "speaker": speaker,
            "split": split,
            "label": labels,
            "predicted": np.where(correct, labels, (labels + 1) % 10),
            "probability": 0.5,
        }
    )


def metrics_of(table: pd.DataFrame) -> dict:
    """The metrics of each split of a table of predictions."""
    parts = table.groupby("split", sort=False)
    return {
        name: metrics.metrics(*(part[column].to_numpy() for column in ("label", "predicted", "speaker")))
        for name, part in parts
    }


def write_result(
    store: Path,
    accuracy: float,
    split: str = "course",
    seed: int = 0,
    model: str = "little",
    dev: float | None = None,
    **changes: object,
) -> Path:
    """Write a run with this accuracy on TEST (and on DEV) to the store; `changes` replace entries of the result."""
    tables = [predictions_of(accuracy)]
    if dev is not None:
        tables.append(predictions_of(dev, split="DEV"))
    table = pd.concat(tables)
    result = {
        "experiment": model,
        "protocol": split,
        "seed": seed,
        "config": CONFIG,
        "metadata_sha256": sha256(COURSE_METADATA),
        "metrics": metrics_of(table),
        "parameters": 1234,
        "multiply_adds": 5_678_000,
        "train_seconds": 10.0 + seed,
    }
    path = results.result_path(store, model, split, seed)
    results.save(path, result | changes, table)
    return path


def edit(path: Path, change: Callable[[dict], object]) -> None:
    """Let `change` modify the result at `path`, as if by hand."""
    result = json.loads(path.read_text())
    change(result)
    path.write_text(json.dumps(result))
