"""`sdr train`: train and test an experiment; writes a checkpoint, a result and figures."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from utils.commands import arguments
from utils.commands.evaluate import summary

HELP = "train a model and test it on unseen speakers"
RESUMES = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("config", type=Path, help="an experiment, for example configs/cnn1d.yaml")
    add("--variant", help="the experiment, if the file has several")
    add(
        "--seed",
        type=arguments.seed,
        default=0,
        help="seed of weights, order, augmentation and the choice of labelled repetitions (default: %(default)s)",
    )
    protocols = (
        "course, split, loso, inside-train, one-speaker, one-inside-train, zero, zero-inside-train, ratio or becker"
    )
    add("--protocol", help=f"{protocols} (default: that of the config)")
    folds = (
        "the speaker who is left out (loso, inside-train) or labelled (one-speaker); the labelled speaker and the one "
        "tested on, for example george-theo (one-inside-train); a seed (ratio); 0 to 4 (becker); others have none"
    )
    add("--fold", help=folds)
    add(
        "--repetitions",
        type=arguments.whole(1, 100_000),
        help="labelled repetitions per digit and speaker (default: all)",
    )
    add("--store", type=Path, help="the folder of the results (default: results/runs)")
    add("--runs", type=Path, help="the folder of checkpoints and interrupted runs (default: runs)")


def run(given: argparse.Namespace) -> None:
    from utils.evaluation import figures, results
    from utils.experiments import checkpoints, runs
    from utils.experiments.config import load_experiment
    from utils.paths import RUNS
    from utils.training import tracking
    from utils.training.distributed import this_process

    experiment = load_experiment(given.config, given.variant)
    data = experiment.data
    if given.protocol or given.fold:
        data = replace(data, protocol=given.protocol or data.protocol, fold=given.fold)
    if given.repetitions is not None:
        data = replace(data, repetitions=given.repetitions)
    experiment = replace(experiment, data=data)
    place = given.runs or RUNS
    folder = runs.checkpoint_folder(experiment, data.split_name, given.seed, place)
    if checkpoints.differs(folder, experiment):
        print(f"{folder}: holds a model with other settings, which this one will replace", file=sys.stderr)
    result = runs.run(experiment, given.seed, store=given.store or results.STORE, runs=place, progress=True)
    if this_process().rank > 0:
        return
    for part, measured in result["metrics"].items():
        print(f"{part}: {summary(measured)}")
    figures.save_run(result, folder / "figures")
    try:
        if tracking.track(result, folder, place / tracking.FOLDER):
            print("tracked: `make tracking` compares this run with the others")
    except Exception as error:  # MLflow's or its database's, such as one of an older version; the run is complete
        why = "".join(str(error).strip().splitlines()[:1]) or type(error).__name__
        print(f"not tracked: MLflow cannot use {place / tracking.FOLDER} ({why})", file=sys.stderr)
    print(f"checkpoint: {folder}")
