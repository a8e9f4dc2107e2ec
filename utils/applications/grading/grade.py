"""Grades a submission: accuracy on the grader's clips, the contract, conduct, leakage, and the project's own models."""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from utils.applications.grading.conduct import judge
from utils.applications.grading.references import Comparison, compare_with, predict_references
from utils.applications.grading.sandbox import LIMITS, Limits, ask
from utils.applications.grading.submission import opened, stated_accuracy
from utils.applications.grading.training import Leakage, find_leakage
from utils.data.audio import read_audio
from utils.evaluation.metrics import metrics
from utils.evaluation.significance import clustered_interval
from utils.features.extraction import extract, file_features
from utils.features.log_mel import FeatureConfig

CHECKED = 300  # clips on which conduct is judged
LATER, QUIETER, NOISE_DB = 0.003, 0.9, -40.0  # changes that nobody hears: seconds, factor, dB re the clip's own level


@dataclass(frozen=True)
class Grade:
    """What a submission is worth.

    Attributes:
        name: of the file or folder that was handed in.
        model: the name of its network.
        measured: see `utils.evaluation.metrics.metrics`; `interval` is that of `clustered_interval`.
        claimed: the accuracy that is claimed, or None.
        broken: for each promise of the contract, rule of conduct and `metrics`, how it was broken, or None.
        references: by name, the comparison with the project's own checkpoints.
        leakage: what training and test clips have in common.
        changed: files of the fork that differ from the grader's, which are used instead.
        parameters, multiply_adds: of the model; for a clip of a second.
        seconds_per_clip: to recognise a clip alone, from features, on one core.
        seconds: that grading took.
        kept_by: the limits that were in force.
        clips: those graded on, with what was `predicted`.
    """

    name: str
    model: str
    measured: dict
    claimed: float | None
    broken: dict[str, str | None]
    references: dict[str, Comparison]
    leakage: Leakage
    changed: tuple[str, ...]
    parameters: int
    multiply_adds: int
    seconds_per_clip: float
    seconds: float
    kept_by: tuple[str, ...]
    clips: pd.DataFrame

    @property
    def claim_holds(self) -> bool | None:
        """Whether the claimed accuracy is at most what the interval allows; None without a claim."""
        return None if self.claimed is None else self.claimed <= self.measured["interval"][1]

    def to_dict(self) -> dict:
        """For JSON."""
        measured = {key: self.measured[key] for key in ("accuracy", "macro_f1", "n", "interval")}
        return measured | {
            "claimed": self.claimed,
            "claim_holds": self.claim_holds,
            "contract": {name: message is None for name, message in self.broken.items()},
            "references": {name: asdict(compared) for name, compared in self.references.items()},
            "per_speaker": self.measured["per_speaker"],
        }


def grade(
    path: Path,
    clips: pd.DataFrame,
    claimed: float | None = None,
    limits: Limits = LIMITS,
    references: Mapping[str, np.ndarray] | None = None,
) -> Grade:
    """Grade a submission.

    Args:
        path: a checkpoint, a fork of the repository, or a ZIP of either.
        clips: the grader's, from `read_split`.
        claimed: an accuracy; by default what the checkpoint's `metrics.json` states.
        limits: for the process that runs the submission's code.
        references: what the project's models predict, if that is known already (see `predict_references`).

    Raises:
        InputError: in one line that can be sent to the student, why the submission cannot be graded.
    """
    started = time.perf_counter()
    with opened(path) as submission:
        order = np.random.default_rng().permutation(len(clips))  # nobody knows it, so a place tells nothing
        features = file_features(clips["path"].tolist(), submission.features)
        few = order[:CHECKED]
        changed = change(clips["path"].to_numpy()[few], submission.features)
        answers = ask(submission, [features[i] for i in order], changed, limits)
        leakage = find_leakage(submission, clips)
        stated, problem = stated_accuracy(submission)
        name, table, differing = submission.name, submission.data.metadata, submission.changed()
    logits = np.empty_like(answers.logits["alone"])
    logits[order] = answers.logits["alone"]
    predicted, labels, speakers = logits.argmax(1), clips["label"].to_numpy(), clips["speaker"].to_numpy()
    measured = metrics(labels, predicted, speakers)
    measured["interval"] = clustered_interval(labels == predicted, speakers)
    known = predict_references(table, clips) if references is None else references
    facts = answers.facts
    return Grade(
        name=name,
        model=facts.model,
        measured=measured,
        claimed=stated if claimed is None else claimed,
        broken=facts.contract | judge(answers) | {"metrics": problem},
        references=compare_with(predicted, labels, speakers, known),
        leakage=leakage,
        changed=tuple(differing),
        parameters=facts.parameters,
        multiply_adds=facts.multiply_adds,
        seconds_per_clip=facts.seconds_per_clip,
        seconds=time.perf_counter() - started,
        kept_by=answers.kept_by,
        clips=clips.assign(predicted=predicted),
    )


def change(paths: np.ndarray, config: FeatureConfig) -> list:
    """Features of clips that begin a little later, are a little quieter and have a little noise."""
    random, changed = np.random.default_rng(0), []
    for path in paths:
        clip = read_audio(path, config.sample_rate)
        noise = random.normal(0, clip.std() * 10 ** (NOISE_DB / 20), len(clip))
        later = np.zeros(round(LATER * config.sample_rate))
        changed.append(np.concatenate([later, QUIETER * (clip + noise)]).astype(np.float32))
    return extract(changed, config)
