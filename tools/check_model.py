"""Does a model keep its contract? One line per promise, and what the model costs.

python tools/check_model.py NAME
"""

import sys
import time

import torch
from torch import nn

from utils import InputError
from utils.evaluation.metrics import cost
from utils.experiments.config import Experiment, UnknownExperiment, find_experiment, make_model
from utils.experiments.contract import CHECKS, FEATURES, ContractError, random_clips
from utils.experiments.models import find_model, place_of
from utils.features.log_mel import pad
from utils.paths import CONFIGS


def main(name: str) -> int:
    """Check the model of `model_neural/NAME.py`, with the settings of `configs/NAME.yaml`. Returns the exit status."""
    torch.set_num_threads(1)
    try:
        model, settings = find_model(name)
        experiment = _experiment(name)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2

    def make() -> nn.Module:
        return model(settings(n_mels=FEATURES.n_mels)) if experiment is None else make_model(experiment)

    for title, check in CHECKS.items():
        try:
            check(make)
        except ContractError as broken:
            print(f"{title:12} broken: {broken}", file=sys.stderr)
            return 1
        except Exception as error:  # whatever the model raises
            print(f"{title:12} broken: {place_of(error, name)}: {type(error).__name__}: {error}", file=sys.stderr)
            return 1
        print(f"{title:12} kept: {(check.__doc__ or '').strip()}")
    counted = cost(make(), FEATURES)
    per_second = f"{counted['multiply_adds'] / 1e6:.2f} M multiply-adds for 1 s"
    milliseconds = f"{_milliseconds(make().eval()):.2f} ms a clip in batches of 32"
    print(f"\n{counted['parameters']:,} parameters, {per_second}, {milliseconds}")
    if experiment is None:
        print(f"No file of configs/ has an experiment '{name}': write configs/{name}.yaml to train it.")
    return 0


def _experiment(name: str) -> Experiment | None:
    """The experiment that is called after the model, if its features suit the contract's clips."""
    try:
        experiment = find_experiment(name, CONFIGS)
    except UnknownExperiment:
        return None
    return experiment if experiment.features.n_mels == FEATURES.n_mels else None


def _milliseconds(model: nn.Module) -> float:
    """Time of a clip of half a second, on one core."""
    batch = pad(random_clips(*[50] * 32), FEATURES.floor)
    with torch.inference_mode():
        model(*batch)
        started = time.perf_counter()
        for _ in range(5):
            model(*batch)
    return 1000 * (time.perf_counter() - started) / 5 / 32


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tools/check_model.py NAME")
    sys.exit(main(sys.argv[1]))
