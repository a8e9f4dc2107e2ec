"""`sdr evaluate`: test a checkpoint on the clips of a metadata table."""

import argparse
import json
from pathlib import Path

from utils import InputError

HELP = "test a checkpoint on the clips of a metadata table"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("checkpoint", type=Path)
    add(
        "--metadata",
        type=Path,
        required=True,
        help="TSV file with the columns identifier, speaker, split, label, file",
    )
    add("--root", type=Path, help="the folder of the clips (default: that of the TSV file)")
    add("--split", default="TEST", choices=("TRAIN", "DEV", "TEST"), help="(default: %(default)s)")
    add("--json", action="store_true", help="print JSON")


def run(given: argparse.Namespace) -> None:
    from utils.data.metadata import read_metadata
    from utils.experiments import checkpoints, runs

    model, experiment = checkpoints.load(given.checkpoint)
    clips = read_metadata(given.metadata, given.root)
    clips = clips[clips["split"] == given.split]
    if clips.empty:
        raise InputError(f"{given.metadata}: no clips in the split {given.split}")
    measured, _ = runs.evaluate(model, experiment, clips)
    if given.json:
        print(json.dumps({key: measured[key] for key in ("accuracy", "macro_f1", "n", "per_speaker")}))
    else:
        print(summary(measured))


def summary(measured: dict) -> str:
    """Metrics (see `utils.evaluation.metrics.metrics`) as one line of text."""
    low, high = measured["interval"]
    speakers = ", ".join(f"{name} {accuracy:.1%}" for name, accuracy in measured["per_speaker"].items())
    return (
        f"accuracy {measured['accuracy']:.1%} (95 % interval {low:.1%} to {high:.1%}), "
        f"macro F1 {measured['macro_f1']:.1%}, {measured['n']} clips: {speakers}"
    )
