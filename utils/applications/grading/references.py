"""The project's own checkpoints on the clips that a submission is graded on, and how the submission compares."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from utils.applications.grading.submission import read_settings
from utils.evaluation.significance import holm, mcnemar, paired_bootstrap
from utils.experiments import checkpoints, runs
from utils.experiments.fingerprints import code_digests
from utils.features.cache import cached
from utils.files import sha256
from utils.paths import CHECKPOINTS, COURSE_METADATA
from utils.progress import Progress

FILES = (checkpoints.WEIGHTS, checkpoints.SNAPSHOT)


@dataclass(frozen=True)
class Comparison:
    """A submission and a reference on the same clips.

    Attributes:
        accuracy: of the reference.
        difference: by how much the submission is more accurate.
        interval: its 95 % interval, [low, high], by a paired bootstrap.
        p_value: of McNemar's exact test, corrected for the number of references (Holm).
    """

    accuracy: float
    difference: float
    interval: list[float]
    p_value: float


def references_for(table: str) -> list[Path]:
    """The committed checkpoints that were trained from the same metadata table, or else from the course's."""
    trained = {path.parent: read_settings(path)[1].metadata for path in CHECKPOINTS.glob(f"*/{checkpoints.SNAPSHOT}")}
    chosen = [folder for folder, name in trained.items() if name == table]
    return sorted(chosen or [folder for folder, name in trained.items() if name == COURSE_METADATA.name])


def predict_references(table: str, clips: pd.DataFrame) -> dict[str, np.ndarray]:
    """What each reference predicts (clips,), by name. Cached by the checkpoints, the clips and the code."""
    contents, code = [sha256(path) for path in clips["path"]], code_digests()
    folders = references_for(table)
    bar = Progress(folders, "the project's models")
    return {
        folder.name: _predict([sha256(folder / name) for name in FILES], contents, code, folder, clips)
        for folder in bar
    }


@cached(ignore=("folder", "clips"))
def _predict(
    checkpoint: list[str], contents: list[str], code: list[str], folder: Path, clips: pd.DataFrame
) -> np.ndarray:
    model, experiment = checkpoints.load(folder)
    return runs.evaluate(model, experiment, clips)[1]["predicted"].to_numpy()


def compare_with(
    predicted: np.ndarray, labels: np.ndarray, speakers: np.ndarray, references: Mapping[str, np.ndarray]
) -> dict[str, Comparison]:
    """Compare predictions (clips,) with those of references on the same clips."""
    correct = (predicted == labels).astype(int)
    tests = {name: (other == labels).astype(int) for name, other in references.items()}
    p_values = holm([mcnemar(correct, other) for other in tests.values()])
    compared = {}
    for (name, other), p in zip(tests.items(), p_values, strict=True):
        difference, low, high, _ = paired_bootstrap(correct, other, speakers)
        compared[name] = Comparison(float(other.mean()), difference, [low, high], float(p))
    return compared
