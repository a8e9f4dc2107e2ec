"""`sdr export`: write a checkpoint as one ONNX file."""

import argparse
from pathlib import Path

from utils import InputError

HELP = "write a checkpoint as one ONNX file that maps the waveform to probabilities"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("checkpoint", type=Path, nargs="?", help="the folder of a trained model (default: checkpoints/digits)")
    add(
        "--output",
        type=Path,
        metavar="FILE",
        help="the file to write (default: NAME.onnx in the current folder, or NAME-int8.onnx with --int8)",
    )
    add(
        "--keep",
        action="store_true",
        help="put it into the checkpoint's folder, for `sdr predict` and `sdr listen` to answer from",
    )
    add("--int8", action="store_true", help="quantise weights and activations to 8-bit integers, for a smaller file")


def run(given: argparse.Namespace) -> None:
    from utils.experiments.checkpoint_folder import DEFAULT
    from utils.experiments.exporting import export_checkpoint, keep_exported

    checkpoint = given.checkpoint or DEFAULT
    if given.keep and (given.output or given.int8):
        raise InputError("--keep goes with neither --output nor --int8")
    path = keep_exported(checkpoint) if given.keep else export_checkpoint(checkpoint, given.output, given.int8)
    print(f"{path}: {path.stat().st_size:,} bytes")
