"""`sdr calibrate`: set the temperature and the threshold of a trained model."""

import argparse
from pathlib import Path

from utils.commands import arguments

HELP = "set the temperature and the threshold of a trained model, leaving out one training speaker at a time"
RESUMES = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("config", type=Path, help="the trained experiment; it is trained again without each training speaker")
    add("--variant", help="the experiment, if the file has several")
    add("--seed", type=arguments.seed, default=0, help="of the training (default: %(default)s)")
    add("--jobs", type=arguments.positive, help="models trained in parallel (default: one per core)")


def run(given: argparse.Namespace) -> None:
    from utils.experiments.calibrating import calibrate
    from utils.experiments.config import load_experiment

    made = calibrate(load_experiment(given.config, given.variant), given.seed, given.jobs)
    print(f"temperature {made.temperature:.2f}; predictions with a probability below {made.threshold:.1%} are rejected")
