"""`sdr calibrate`: a trained model's temperature and threshold."""

import argparse
from pathlib import Path

from utils.commands import arguments

HELP = "set a trained model's temperature and threshold, on training speakers who are left out"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("config", type=Path, help="the experiment that was trained; it is trained once more for each speaker left out")
    add("--variant", help="which experiment, where the file holds several")
    add("--seed", type=arguments.seed, default=0, help="of the training (default: %(default)s)")
    add("--jobs", type=arguments.positive, help="models trained at a time (default: one a core)")


def run(given: argparse.Namespace) -> None:
    from utils.experiments.calibrating import calibrate
    from utils.experiments.config import load_experiment

    made = calibrate(load_experiment(given.config, given.variant), given.seed, given.jobs)
    print(f"temperature {made.temperature:.2f}; no digit where none is at least {made.threshold:.1%} probable")
