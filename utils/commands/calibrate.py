"""`sdr calibrate`: set the temperature and the threshold of a trained model."""

import argparse
from pathlib import Path

from utils.commands import arguments

HELP = "set the temperature and the threshold of a trained model by the digits of speakers it was not trained on"
RESUMES = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "config",
        type=Path,
        help="the trained experiment; by default, it is trained again without each training speaker",
    )
    add("--variant", help="the experiment, if the file has several")
    add("--seed", type=arguments.seed, default=0, help="seed of the training (default: %(default)s)")
    does = "calibrate on the speakers held out of also_train (DEV) and also_test (TEST); nothing is trained"
    add("--held-out", action="store_true", help=does)
    share = "share of unseen speakers' digits to accept, between 0 and 1 (default: %(default)s)"
    add("--accept", type=arguments.share, default=0.97, help=share)
    add("--jobs", type=arguments.jobs, help="models trained in parallel (default: one per core)")


def run(given: argparse.Namespace) -> None:
    from utils.experiments.calibrating import calibrate, calibrate_on_held_out
    from utils.experiments.config import load_experiment
    from utils.inference.strings import PlattScaling

    experiment = load_experiment(given.config, given.variant)
    if given.held_out:
        calibration = calibrate_on_held_out(experiment, given.seed, given.accept)
    else:
        calibration = calibrate(experiment, given.seed, given.jobs, accepted=given.accept)
    rejected = f"predictions with a probability below {calibration.threshold:.1%} are rejected"
    print(f"temperature {calibration.temperature:.2f}; {rejected}")
    if (scaling := calibration.strings) != PlattScaling():
        print(f"in strings, the log odds are multiplied by {scaling.slope:.2f} and raised by {scaling.shift:.2f}")
