"""The config of an experiment: frozen dataclasses, read strictly from YAML."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from utils import InputError
from utils.data.config import DataConfig
from utils.experiments.models import find_model
from utils.experiments.renames import current_names
from utils.features.augmentation import AugmentationConfig
from utils.features.log_mel import FeatureConfig
from utils.features.strings import StringConfig
from utils.files import check_name
from utils.settings import as_mapping, build, load_yaml, nearest, to_dict
from utils.training.objectives import TrainingConfig
from utils.training.pretraining import PretrainingConfig
from utils.training.self_training import SelfTrainingConfig

T = TypeVar("T")

# limits of a model's sizes, by key, and of the parameters altogether
MOST = {"channels": 4096, "width": 4096, "hidden": 4096, "size": 1000, "blocks": 100, "layers": 100, "depth": 100}
MOST_OTHERS, MOST_PARAMETERS = 65_536, 100_000_000


@dataclass(frozen=True)
class Experiment:
    """Everything that a run depends on, except its seed.

    `augmentation` and `training` are None for the linear model. `pretraining` and `self_training` are None for networks
    that are only trained on labelled clips, `strings` for those that are trained on single digits.
    """

    name: str
    data: DataConfig
    features: FeatureConfig
    model_name: str
    model: Any  # the model's own config
    augmentation: AugmentationConfig | None
    training: TrainingConfig | None
    pretraining: PretrainingConfig | None = None
    self_training: SelfTrainingConfig | None = None
    strings: StringConfig | None = None

    @property
    def sources(self) -> tuple[str, ...]:
        """The files that say which clips are used, those of a pre-training on words among them."""
        words = self.pretraining.words if self.pretraining else None
        return tuple(dict.fromkeys((*self.data.sources, *((*words.tables, *words.digits) if words else ()))))


def load_experiments(path: str | Path) -> dict[str, Experiment]:
    """Read the experiments of a YAML file, by name: a single one named after the file, or the `variants` of a `base`.

    A variant lists only its changes to the file `base`, section by section; if that has variants itself, to the one
    that `base_variant` names. Errors as for `parse_experiment`.
    """
    path = Path(path)
    values = load_yaml(path)
    if "variants" not in values:
        name = check_name(path.stem, str(path))
        return {name: parse_experiment(values, str(path), name)}
    variants = _variants(path, values)
    return {name: parse_experiment(settings, f"{path}: {name}", name) for name, settings in variants.items()}


def _variants(path: Path, values: dict) -> dict[str, dict]:
    """The sections of each variant in a file with these values, not parsed yet."""
    if "variants" not in values:
        raise InputError(f"{path}: has no 'variants'")
    for key in values:
        if key not in ("base", "base_variant", "variants"):
            raise InputError(f"{path}: unknown key '{key}' beside 'base' and 'variants'")
    if not isinstance(values.get("base"), str):
        raise InputError(f"{path}: 'base' has to name the file that the variants are based on")
    file = path.parent / values["base"]
    base = load_yaml(file)
    if "base_variant" in values:
        if "base_variant" in base:  # so that no chain of files can end where it began
            raise InputError(f"{path}: the variants of {file.name} are based on variants themselves")
        several, chosen = _variants(file, base), str(values["base_variant"])
        if chosen not in several:
            raise InputError(f"{path}: {file.name} has no variant '{chosen}'; {nearest(chosen, several)}")
        base = several[chosen]
    variants = {}
    for name, changes in as_mapping(values["variants"], f"{path}: variants").items():
        where, name = f"{path}: {name}", check_name(name, f"{path}: variants")
        changed = dict(base)
        for section, settings in as_mapping(changes or {}, where).items():
            changed[section] = as_mapping(base.get(section) or {}, where) | as_mapping(settings, f"{where}: {section}")
        variants[name] = changed
    return variants


def load_experiment(path: str | Path, variant: str | None = None) -> Experiment:
    """Read one experiment from a YAML file. `variant` selects one of several."""
    experiments = load_experiments(path)
    if variant is None and len(experiments) == 1:
        (variant,) = experiments
    if variant is None:
        raise InputError(f"{path}: has several variants; choose one with --variant: {', '.join(experiments)}")
    if variant not in experiments:
        raise InputError(f"{path}: has no variant '{variant}'; {nearest(variant, experiments)}")
    return experiments[variant]


class UnknownExperiment(InputError):
    """No file defines an experiment of this name."""


def find_experiment(name: str, folder: Path) -> Experiment:
    """Find an experiment by its name in the YAML files of a folder.

    Raises `UnknownExperiment` if no file defines it, and `InputError` if two do, for example a file and its copy.
    """
    files = sorted(folder.glob("*.yaml"))
    changed = tuple(path.stat().st_mtime_ns for path in files)
    by_file = [_experiments_of(path, changed) for path in files]
    holders = [number for number, experiments in enumerate(by_file) if name in experiments]
    if not holders:
        raise UnknownExperiment(f"{folder}: no file has an experiment '{name}'")
    if len(holders) > 1:
        names = " and ".join(files[number].name for number in holders)
        raise InputError(f"{folder}: '{name}' is defined in {names}; rename one of them")
    return by_file[holders[0]][name]


@functools.cache
def _experiments_of(path: Path, changed: tuple[int, ...]) -> dict[str, Experiment]:
    """Cached `load_experiments`. `changed`, the times of all files of the folder, also covers a change of the base."""
    return load_experiments(path)


def parse_experiment(values: dict, where: str, name: str) -> Experiment:
    """Build an experiment from its sections, which have the names of the fields of `Experiment`.

    Args:
        values: the sections, for example from a YAML file or a snapshot.
        where: how error messages refer to them, for example "configs/cnn1d.yaml".
        name: of the experiment, unless `values` has the key "experiment".

    Raises:
        InputError: names the unknown section or key and the closest known one, or the invalid value.
    """
    learning = ("augmentation", "training", "pretraining", "self_training", "strings")
    sections = ("experiment", "data", "features", "model", *learning)
    for key in values:
        if key not in sections:
            raise InputError(f"{where}: unknown section '{key}'; {nearest(key, sections)}")
    model = dict(as_mapping(values.get("model"), f"{where}: model"))
    model_name = model.pop("name", None)
    try:
        network, model_config = find_model(model_name)
    except InputError as error:
        raise InputError(f"{where}: model: {error}") from None
    linear = model_name == "linear"
    for key in learning:
        if linear and key in values:
            raise InputError(f"{where}: a linear model is fitted by scikit-learn, so it cannot have a section '{key}'")
    if values.get("strings") is not None:
        _check_strings(network, values, where)

    def section(kind: type[T], key: str) -> T:
        return build(kind, values.get(key, {}), f"{where}: {key}")

    def optional(kind: type[T], key: str) -> T | None:
        return section(kind, key) if values.get(key) is not None else None

    features = section(FeatureConfig, "features")
    settings: Any = build(model_config, {"n_mels": features.n_mels} | model, f"{where}: model")
    _check_sizes(settings, features, f"{where}: model")
    return Experiment(
        name=check_name(values["experiment"], f"{where}: experiment") if "experiment" in values else name,
        data=section(DataConfig, "data"),
        features=features,
        model_name=model_name,
        model=settings,
        augmentation=None if linear else section(AugmentationConfig, "augmentation"),
        training=None if linear else section(TrainingConfig, "training"),
        pretraining=optional(PretrainingConfig, "pretraining"),
        self_training=optional(SelfTrainingConfig, "self_training"),
        strings=optional(StringConfig, "strings"),
    )


def _check_strings(network: type[nn.Module], values: dict, where: str) -> None:
    """Check what training on strings of digits asks for."""
    if not hasattr(network, "label"):
        raise InputError(f"{where}: strings: {network.__name__} gives one answer for a whole clip; use the model crnn")
    if as_mapping(values.get("features", {}), f"{where}: features").get("trim_db", 0) is not None:
        raise InputError(f"{where}: strings: need features: {{trim_db: null}}, as trimming would move the digits")
    if values["features"].get("level") != "none":
        raise InputError(
            f"{where}: strings: need features: {{level: none}}, as a sound's peak is not known before its end"
        )
    losses = ("label_smoothing", "mixup", "only_head", "contrastive_weight", "balance")
    ignored = {
        ("augmentation", AugmentationConfig): ("speed", "jitter_frames", "room_seconds"),
        ("training", TrainingConfig): losses,
    }
    for (section, kind), keys in ignored.items():
        given = as_mapping(values.get(section, {}), f"{where}: {section}")
        for key in keys:
            if given.get(key) and given[key] != getattr(kind, key):
                raise InputError(f"{where}: strings: cannot be combined with {section}: {key}; remove it")
    for key in ("pretraining", "self_training"):
        if values.get(key) is not None:
            raise InputError(f"{where}: strings: cannot be combined with a section '{key}'")


def _check_sizes(model: object, features: FeatureConfig, where: str) -> None:
    """Check the settings that all models have in common, so that no model has to."""
    for name, value in to_dict(model).items():
        sizes = value if isinstance(value, list) else [value]
        if "dropout" in name and not all(0 <= rate < 1 for rate in sizes if isinstance(rate, int | float)):
            raise InputError(f"{where}: {name} is {value}; it must be at least 0 and less than 1")
        if name == "n_mels" and value != features.n_mels:
            raise InputError(f"{where}: n_mels is {value}, but the features have {features.n_mels}; set it there")
        if name == "classes" and value != 10:
            raise InputError(f"{where}: classes is {value}; there are ten digits")
        if isinstance(value, bool):  # a switch of the model's own
            continue
        if not sizes or any(isinstance(size, int) and size < 1 for size in sizes):
            raise InputError(f"{where}: {name} is {value}; sizes must be at least 1")
        most = MOST.get(name, MOST_OTHERS)
        if len(sizes) > 100 or any(isinstance(size, int) and size > most for size in sizes):
            shown = str(value)[:60]
            raise InputError(f"{where}: {name} is {shown}; sizes must be at most {most:,}, and at most 100 in number")


def snapshot(experiment: Experiment) -> dict:
    """An experiment as plain values, including all defaults. `parse_experiment` is its inverse."""
    sections = {
        "experiment": experiment.name,
        "data": to_dict(experiment.data),
        "features": to_dict(experiment.features),
        "model": {"name": experiment.model_name} | to_dict(experiment.model),
    }
    if experiment.training is not None:
        sections |= {"augmentation": to_dict(experiment.augmentation), "training": to_dict(experiment.training)}
    for key in ("pretraining", "self_training", "strings"):
        if getattr(experiment, key) is not None:
            sections[key] = to_dict(getattr(experiment, key))
    return sections


def made_by(result: dict) -> Experiment:
    """The experiment that produced a result. Settings added since then have their defaults, which switch them off."""
    where = f"results of {result['experiment']}"
    return parse_experiment(current_names(result["config"]), where, result["experiment"])


def make_model(experiment: Experiment) -> nn.Module:
    """The model of an experiment, with untrained weights. Raises `InputError` before it would fill the memory."""
    model, _ = find_model(experiment.model_name)
    try:
        with torch.device("meta"):  # allocates nothing, and draws no random numbers
            parameters = sum(weight.numel() for weight in model(experiment.model).state_dict().values())
    except Exception:  # whatever a student's module raises; below, it is raised again
        parameters = 0
    if parameters > MOST_PARAMETERS:
        raise InputError(
            f"{experiment.name}: model: its sizes make {parameters:,} parameters; the limit is {MOST_PARAMETERS:,}"
        )
    return model(experiment.model)
