"""`sdr export`: write a checkpoint as one ONNX file."""

import argparse
from pathlib import Path

HELP = "write a checkpoint as one ONNX file that maps the waveform to probabilities"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("checkpoint", type=Path, nargs="?", help="its folder (default: checkpoints/digits)")
    add(
        "--output",
        type=Path,
        metavar="FILE",
        help="the file to write (default: NAME.onnx in the current folder, or NAME-int8.onnx with --int8)",
    )
    add("--int8", action="store_true", help="quantise weights and activations to 8-bit integers, for a smaller file")


def run(given: argparse.Namespace) -> None:
    from utils.experiments.checkpoints import DEFAULT
    from utils.experiments.exporting import export_checkpoint

    path = export_checkpoint(given.checkpoint or DEFAULT, given.output, given.int8)
    print(f"{path}: {path.stat().st_size:,} bytes")
