"""`sdr evaluate`: test a checkpoint on the clips of a metadata table."""

import argparse
import json
import sys
from pathlib import Path

from utils import count, plain

HELP = "test a checkpoint on the clips of a metadata table"
ADAPTATION = (
    "adapted to each speaker by all of the speaker's clips, without their labels, assuming that each digit is said "
    "equally often"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("checkpoint", type=Path, help="the folder of a trained model, for example checkpoints/cnn1d")
    add(
        "--metadata",
        type=Path,
        required=True,
        help="TSV file with the columns identifier, speaker, split, label, file",
    )
    add("--root", type=Path, help="the folder of the clips (default: that of the TSV file)")
    add("--split", default="TEST", choices=("TRAIN", "DEV", "TEST"), help="the split to test on (default: %(default)s)")
    add(
        "--adapt",
        action="store_true",
        help="adapt to each speaker by all of the speaker's clips, unlabelled, assuming that each digit is said "
        "equally often; the tables of results never do",
    )
    add("--json", action="store_true", help="print JSON")


def run(given: argparse.Namespace) -> None:
    from utils.data.metadata import read_split
    from utils.experiments import checkpoints, runs

    model, experiment = checkpoints.load(given.checkpoint)
    clips = read_split(given.metadata, given.split, given.root)
    measured, _ = runs.evaluate(model, experiment, clips, given.adapt)
    if given.adapt:
        print(f"{ADAPTATION}; not comparable with the tables of results", file=sys.stderr)
    if given.json:
        shown = {key: measured[key] for key in ("accuracy", "macro_f1", "n", "per_speaker")}
        print(json.dumps(shown | ({"adaptation": ADAPTATION} if given.adapt else {})))
    else:
        print(summary(measured))


def summary(measured: dict) -> str:
    """Metrics (see `utils.evaluation.metrics.metrics`) as one line of text."""
    low, high = measured["interval"]
    speakers = ", ".join(f"{name} {accuracy:.1%}" for name, accuracy in measured["per_speaker"].items())
    return (
        f"accuracy {measured['accuracy']:.1%} (95 % interval {low:.1%} to {high:.1%}), "
        f"macro F1 {measured['macro_f1']:.1%}, {count(measured['n'], 'clip')}: {plain(speakers)}"
    )
