"""Checkpoints: a folder with a trained model and everything needed to use it, written atomically."""

import hashlib
import json
import os
import pickle
import struct
import warnings
import zipfile
from dataclasses import asdict, replace
from pathlib import Path

import torch
import yaml
from torch import nn

from utils import InputError
from utils.experiments.checkpoint_folder import (
    CALIBRATION,
    CARD,
    CHECKSUMS,
    DEFAULT,
    FILES,
    METRICS,
    SNAPSHOT,
    WEIGHTS,
    find,
)
from utils.experiments.config import Experiment, make_model, parse_experiment, snapshot
from utils.experiments.model_card import model_card
from utils.experiments.published import published_experiment, renamed_weights
from utils.experiments.renames import current_names
from utils.files import atomic_folder, read_json, sha256, write_json
from utils.inference.calibration import Calibration
from utils.inference.recogniser import Recogniser
from utils.inference.strings import PlattScaling, StringRecogniser
from utils.settings import as_mapping, build, load_yaml

# errors raised by reading a file that does not hold the weights of a model
DAMAGED = (
    zipfile.BadZipFile,
    struct.error,
    pickle.UnpicklingError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    TypeError,
    ValueError,
)


def save(folder: str | Path, model: nn.Module, experiment: Experiment, result: dict) -> None:
    """Write a checkpoint.

    Args:
        folder: is replaced if it is a checkpoint; any other folder with files in it is an `InputError`.
        model: the trained model.
        experiment: the experiment that it was trained for.
        result: from `utils.experiments.runs.run`, for `metrics.json` and the model card.
    """
    with atomic_folder(folder, FILES) as new:
        torch.save({"model_state": model.state_dict()}, new / WEIGHTS)
        (new / SNAPSHOT).write_text(yaml.safe_dump(snapshot(experiment), sort_keys=False), encoding="utf-8")
        write_json(new / METRICS, result["metrics"])
        (new / CARD).write_text(model_card(experiment, result), encoding="utf-8")
        write_json(new / CHECKSUMS, {name: sha256(new / name) for name in (WEIGHTS, SNAPSHOT)})


def load(folder: str | Path) -> tuple[nn.Module, Experiment]:
    """Load a checkpoint.

    Only tensors are read: a file with pickled code is refused and the code is not run. Checkpoints in the layout of
    fergarciadlc/audio-mnist-cnn can be loaded as well.

    Args:
        folder: a folder, or the name of a model on the Hugging Face Hub (see `find`).

    Returns:
        The model in evaluation mode, and its experiment. The model's input is features of `experiment.features`.

    Raises:
        InputError: a file is missing or damaged, weights and snapshot do not match, or the Hub cannot be reached.
    """
    folder = find(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: not a checkpoint: no such folder")
    for name in (WEIGHTS, SNAPSHOT):
        if not (folder / name).is_file():
            raise InputError(f"{folder}: not a checkpoint: it has no {name}")
    experiment, published = _read_snapshot(folder)
    model = make_model(experiment)
    try:
        _check_archive(folder / WEIGHTS)
        with warnings.catch_warnings(action="ignore"):  # of PyTorch's, about odd tensors, which are refused
            state = torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True)["model_state"]
            _check_tensors(state)
            state = renamed_weights(state) if published else state
            _check_kinds(state, model.state_dict())
            model.load_state_dict(state)
        _check_finite(model)
        _check_sums(folder)
    except DAMAGED as error:
        code = isinstance(error, pickle.UnpicklingError)  # whose message is PyTorch's advice to trust the file
        why = "it holds something other than tensors" if code else "".join(str(error).strip().splitlines()[:1])
        raise InputError(f"{folder / WEIGHTS}: not a file of weights, or damaged ({why})") from None
    except RuntimeError as error:
        damaged = "zip" in str(error) or "archive" in str(error)
        why = "the file is damaged" if damaged else f"its weights do not fit the model that {SNAPSHOT} describes"
        raise InputError(f"{folder / WEIGHTS}: {why}") from None
    return model.eval(), experiment


def _check_archive(weights: Path) -> None:
    """Raise `BadZipFile` unless a file of weights is as `torch.save` writes it, which `torch.load` does not check."""
    with zipfile.ZipFile(weights) as parts:
        members = parts.infolist()
        if any(member.compress_type != zipfile.ZIP_STORED for member in members):
            raise zipfile.BadZipFile("torch.save does not compress")
        if sum(member.file_size for member in members) > weights.stat().st_size:
            raise zipfile.BadZipFile("its parts overlap")
        if parts.testzip() is not None:
            raise zipfile.BadZipFile("a checksum is wrong")


def _check_tensors(state: dict) -> None:
    """Raise `ValueError` for anything but tensors of real numbers in memory; PyTorch can store other kinds."""
    for name, weight in state.items():
        if (
            not isinstance(weight, torch.Tensor)
            or weight.layout is not torch.strided
            or weight.device.type != "cpu"
            or weight.is_complex()
            or weight.is_quantized
        ):
            raise ValueError(f"{str(name)[:100]!r} is not a tensor of real numbers")


def _check_kinds(state: dict, expected: dict) -> None:
    """Raise `ValueError` for whole numbers where the model has others; PyTorch would convert them."""
    for name in state.keys() & expected.keys():
        if state[name].is_floating_point() != expected[name].is_floating_point():
            raise ValueError(f"'{name}' has the type {str(state[name].dtype).removeprefix('torch.')}")


def _check_finite(model: nn.Module) -> None:
    for name, weight in model.state_dict().items():
        if not weight.isfinite().all():
            raise ValueError(f"'{name}' has weights that are infinite or not a number")


def _check_sums(folder: Path) -> None:
    """Compare the weights and the snapshot with their checksums. Last, as other errors say better what is wrong."""
    if not os.path.lexists(folder / CHECKSUMS):
        return
    where = str(folder / CHECKSUMS)
    sums = as_mapping(read_json(where), where)
    for name in (WEIGHTS, SNAPSHOT):
        if name not in sums:
            raise InputError(f"{where}: has no checksum of {name}; if you trust the weights, delete this file")
        if sums[name] != sha256(folder / name):
            raise InputError(f"{folder / name}: damaged, or edited since: its checksum is not that of {CHECKSUMS}")


def _read_snapshot(folder: Path) -> tuple[Experiment, bool]:
    """The experiment of a checkpoint, and whether the checkpoint has the published layout."""
    values, where = load_yaml(folder / SNAPSHOT), str(folder / SNAPSHOT)
    if "dataset" in values:
        return published_experiment(values, where), True
    return parse_experiment(current_names(values), where, folder.name), False


def differs(folder: Path, experiment: Experiment) -> bool:
    """Whether a folder holds a checkpoint of another experiment, or an unreadable one."""
    if not (folder / SNAPSHOT).is_file():
        return False
    try:
        return _read_snapshot(folder)[0] != experiment
    except InputError:
        return True


def load_recogniser(checkpoint: str | Path = DEFAULT) -> Recogniser:
    """A recogniser from a checkpoint, by default the project's own model. Errors as for `load`."""
    folder = find(checkpoint)
    model, experiment = load(folder)
    return make_recogniser(model, experiment, load_calibration(folder, experiment))


def make_recogniser(model: nn.Module, experiment: Experiment, calibration: Calibration) -> Recogniser:
    """The recogniser of a trained model: of strings, if it was trained on strings."""
    kind = Recogniser if experiment.strings is None else StringRecogniser
    return kind(experiment.name, model, experiment.features, calibration)


def load_calibration(folder: str | Path, experiment: Experiment) -> Calibration:
    """The calibration of a checkpoint. Without a file, temperature and threshold have no effect.

    Whether the model has an eleventh class, for non-digits, follows from the experiment.

    Raises:
        InputError: the file is damaged.
    """
    path = Path(folder) / CALIBRATION
    rejects = experiment.data.learns_non_digits
    if not os.path.lexists(path):
        return Calibration(rejects)
    values = as_mapping(read_json(path), str(path))
    checksum = values.pop("sha256", None)  # older files have none
    calibration = replace(build(Calibration, values, str(path)), rejects=rejects)
    if checksum not in (None, _calibration_sum(values)):
        raise InputError(f"{path}: damaged, or edited since: its checksum is wrong")
    return calibration


def _calibration_sum(values: dict) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def save_calibration(folder: str | Path, calibration: Calibration) -> None:
    """Write the temperature, the threshold and, if there is any, the scaling in strings into a checkpoint's folder."""
    values: dict = {"temperature": calibration.temperature, "threshold": calibration.threshold}
    if calibration.strings != PlattScaling():
        values["strings"] = asdict(calibration.strings)
    write_json(Path(folder) / CALIBRATION, values | {"sha256": _calibration_sum(values)})
