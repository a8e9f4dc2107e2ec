"""What runs inside the sandbox: a submission's model turns features into logits, and is held to the contract.

It sees one folder, with the checkpoint and the modules of the submission, and features without names, speakers or
labels, in a random order. It leaves its answers there.
"""

import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import model_neural
from utils import InputError, is_out_of_memory
from utils.evaluation.metrics import cost
from utils.experiments import checkpoints
from utils.experiments.config import Experiment, make_model
from utils.experiments.contract import CHECKS, FEATURES, ContractError
from utils.experiments.models import find_model
from utils.features.log_mel import pad

CHECKPOINT, MODELS, CLIPS, LOGITS = "checkpoint", "model_neural", "clips.npz", "logits.npz"  # in the folder
# under what circumstances logits are asked for: in evaluation mode, with the weights in disorder, in training mode
EVALUATED = ("alone", "together", "again", "changed")
SHUFFLED = tuple(f"shuffled_{number}" for number in range(5))
TRAINING = "training"
BATCH = 32  # clips
LONGEST = 300  # characters of a message


def answer(work: Path) -> dict:
    """Everything that the submission is asked. What keeps it from answering is in `problem`, as one line."""
    model_neural.__path__.insert(0, str(work / MODELS))
    torch.set_num_threads(1)
    try:
        return run(work)
    except InputError as error:
        return {"problem": str(error).replace(f"{work}/", "").replace(f"{CHECKPOINT}/", "")}
    except BaseException as error:  # whatever a student's code raises, `SystemExit` among it
        if is_out_of_memory(error):
            return {"problem": "it needs more memory than it may use"}
        return {"problem": told(error, work)}


def run(work: Path) -> dict:
    """Logits go to a file: of each clip alone, and of the first clips under other circumstances (see `conduct`)."""
    model, experiment = checkpoints.load(work / CHECKPOINT)
    floor = experiment.features.floor
    with np.load(work / CLIPS, allow_pickle=False) as stored:
        clips, changed = (
            torch.from_numpy(stored[name]).split(stored[f"{name}_lengths"].tolist()) for name in ("clips", "changed")
        )
    first = clips[: len(changed)]
    started = time.perf_counter()
    logits: dict[str, Any] = {"alone": in_batches(model, clips, floor, 1)}
    seconds = (time.perf_counter() - started) / len(clips)
    still_training = sorted({type(part).__name__ for part in model.modules() if part.training})
    logits["together"] = in_batches(model, first, floor)
    logits["again"] = in_batches(model, first, floor)
    logits["changed"] = in_batches(model, changed, floor)
    for number, name in enumerate(SHUFFLED):
        logits[name] = in_batches(shuffled(model, experiment, number), first, floor)
    counted = cost(model, experiment.features)
    broken = contract(experiment, work)
    logits[TRAINING] = in_batches(model.train(), first, floor)
    np.savez(work / LOGITS, **logits)
    facts = {"model": experiment.model_name, "seconds_per_clip": seconds, "still_training": still_training}
    return facts | counted | {"contract": broken}


@torch.inference_mode()
def in_batches(model: nn.Module, clips: tuple[Tensor, ...], floor: float, size: int = BATCH) -> np.ndarray:
    """Logits (clips, 10). Unlike `predict_logits`, it leaves the mode and the order to the caller."""
    batches = [model(*pad(clips[start : start + size], floor)) for start in range(0, len(clips), size)]
    return torch.cat(batches).float().numpy()


def shuffled(model: nn.Module, experiment: Experiment, seed: int) -> nn.Module:
    """A new model with the weights of `model`, the numbers within each tensor in a random order."""
    random = torch.Generator().manual_seed(seed)
    state = {
        name: weight.flatten()[torch.randperm(weight.numel(), generator=random)].view_as(weight)
        if weight.is_floating_point()
        else weight
        for name, weight in model.state_dict().items()
    }
    other = make_model(experiment)
    other.load_state_dict(state)
    return other.eval()


def contract(experiment: Experiment, work: Path) -> dict[str, str | None]:
    """For each promise of the contract, what is wrong with it, or None."""
    network, _ = find_model(experiment.model_name)
    settings = replace(experiment.model, n_mels=FEATURES.n_mels)  # the contract's clips have so many
    broken: dict[str, str | None] = {}
    for name, check in CHECKS.items():
        try:
            check(lambda: network(settings))
            broken[name] = None
        except ContractError as error:
            broken[name] = str(error)
        except MemoryError:
            raise
        except Exception as error:  # whatever the model raises
            broken[name] = told(error, work)
    return broken


def told(error: BaseException, work: Path) -> str:
    """An error of the submission's code in one line, with the last line of its own that ran."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(work)]
    where = f"{Path(frames[-1].filename).relative_to(work)}, line {frames[-1].lineno}: " if frames else ""
    return f"{where}{type(error).__name__}: {' '.join(str(error).split())}"[:LONGEST]
