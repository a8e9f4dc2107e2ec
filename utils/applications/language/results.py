"""Measures a language's model, and writes its checkpoint, card and confusions."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from torch import nn

from utils.applications.language import report
from utils.applications.language.training import Fold, recognise, recognise_in_rooms
from utils.data.synthesis.lexicon import Lexicon, languages
from utils.evaluation import figures
from utils.evaluation.metrics import cost, metrics
from utils.experiments import checkpoints
from utils.experiments.config import Experiment
from utils.files import write_atomically, write_text

MODEL = "model"  # the folder of the checkpoint


@dataclass(frozen=True)
class Outcome:
    """A trained model, and what it was trained on."""

    code: str
    lexicon: Lexicon
    experiment: Experiment
    model: nn.Module
    clips: pd.DataFrame  # synthetic; speakers left out of training are in TEST
    recordings: pd.DataFrame | None
    folds: list[Fold]  # of the cross-validation on recordings
    left_out: dict[str, str]  # voices, each with the reason


def write_results(folder: Path, outcome: Outcome) -> str:
    """Write `model/`, `confusion.txt` and `confusion.png`. Returns the results as text, as they are in the card.

    Raises:
        InputError: the disk is full, or the folder not writable.
    """
    lexicon, experiment, features = outcome.lexicon, outcome.experiment, outcome.experiment.features
    training = outcome.clips[outcome.clips["split"] == "TRAIN"]
    unseen = outcome.clips[outcome.clips["split"] == "TEST"]
    in_rooms = recognise_in_rooms(outcome.model, experiment, unseen)
    counts = report.confusion_counts(unseen["label"].to_numpy(), in_rooms)
    measured = {"synthetic": _metrics(unseen, recognise(outcome.model, experiment, unseen))}
    lines = [*_synthetic_lines(unseen, measured["synthetic"], in_rooms), ""]
    recorded = ""
    if outcome.recordings is not None:
        known = outcome.recordings[outcome.recordings["split"] == "TRAIN"]
        people = sorted(known["speaker"].unique())
        recorded = f"{len(known)} recordings of {', '.join(people)}"
        lines += [report.recordings_text(outcome.folds, people)]
        held_out = outcome.recordings[~outcome.recordings["speaker"].isin(people)]
        for split, clips in held_out.groupby("split"):
            measured[str(split)] = _metrics(clips, recognise(outcome.model, experiment, clips))
            lines.append(f"{split}, recorded and never trained on: {measured[str(split)]['accuracy']:.1%}")
        lines.append("")
    lines.append(report.confusion_text(counts, lexicon))
    if outcome.left_out:
        lines += ["", *(f"Voice left out: {voice} ({reason})" for voice, reason in outcome.left_out.items())]
    results = "\n".join(lines)

    engines = [
        (name, part["speaker"].nunique(), len(part), (unseen["engine"] == name).sum())
        for name, part in training.groupby("engine", sort=False)
    ]
    facts = {
        "n_mels": features.n_mels, "sample_rate": features.sample_rate, "speakers": training["speaker"].nunique(),
        "clips": len(training), "engines": engines, **cost(outcome.model, features),
    }  # fmt: skip
    card = report.card(outcome.code, languages()[outcome.code], lexicon, facts, f"```text\n{results}\n```", recorded)
    result = {  # as one of `utils.experiments.runs.run`, as far as a checkpoint needs it
        "metrics": measured, "protocol": "course", "seed": 0, "parameters": facts["parameters"],
        "train_clips": len(training), "train_speakers": sorted(training["speaker"].unique()),
    }  # fmt: skip
    checkpoints.save(folder / MODEL, outcome.model, experiment, result)
    write_text(folder / MODEL / checkpoints.CARD, card)  # in place of the card of an ordinary run
    write_text(folder / "confusion.txt", report.confusion_text(counts, lexicon) + "\n")
    with plt.rc_context(figures.STYLE):
        figure, ax = plt.subplots(figsize=(5, 4.6))
        figures.confusion(counts.tolist(), ax, "synthetic speakers left out of training, in noisy rooms")
        write_atomically(folder / "confusion.png", partial(figure.savefig, bbox_inches="tight"))
        plt.close(figure)
    return results


def _synthetic_lines(unseen: pd.DataFrame, measured: dict, in_rooms: np.ndarray) -> list[str]:
    correct = in_rooms == unseen["label"].to_numpy()[:, None]
    lines = [
        f"Synthetic speakers left out of training ({unseen['speaker'].nunique()} of them, {len(unseen)} clips): "
        f"{measured['accuracy']:.1%}, and {correct.mean():.1%} in noisy rooms"
    ]
    names = unseen["engine"].unique()
    if len(names) > 1:
        shares = (f"{name} {correct[(unseen['engine'] == name).to_numpy()].mean():.1%}" for name in names)
        lines.append(f"  in noisy rooms by engine: {', '.join(shares)}")
    return lines


def _metrics(clips: pd.DataFrame, predicted: np.ndarray) -> dict:
    return metrics(clips["label"].to_numpy(), predicted, clips["speaker"].to_numpy())
