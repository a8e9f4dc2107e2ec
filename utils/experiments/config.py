"""The configuration of an experiment: frozen dataclasses on one side, YAML read strictly on the other."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from torch import nn

from utils import InputError
from utils.experiments.models import find_model
from utils.experiments.renames import current_names
from utils.features.augmentation import AugmentationConfig
from utils.features.log_mel import FeatureConfig
from utils.settings import as_mapping, build, load_yaml, nearest, to_dict
from utils.training.objectives import PretrainingConfig, TrainingConfig
from utils.training.self_training import SelfTrainingConfig

T = TypeVar("T")


@dataclass(frozen=True)
class DataConfig:
    """Which clips, and who of their speakers is heard in training (see `utils.data.splits`)."""

    metadata: str = "SDR_metadata.tsv"  # where it lies: see `utils.data.metadata.find_metadata`
    protocol: str = "course"
    fold: str | None = None  # the speaker who is left out, or the protocol's seed
    repetitions: int | None = None  # labelled ones of each digit by each training speaker; null: all
    unlabelled: bool = False  # whether to learn from clips without labels too, where the protocol has some
    also_train: tuple[str, ...] = ()  # further tables: their TRAIN clips are trained on besides
    also_test: tuple[str, ...] = ()  # further tables: their TEST clips are tested on besides, under the table's name
    synthetic_voices: int = 0  # trained on besides: so many voices of eSpeak NG, each saying every digit once
    non_digits: tuple[str, ...] = ()  # tables of other words: their TRAIN clips teach the model what is no digit
    synthetic_non_digits: int = 0  # likewise: so many words spoken by eSpeak NG, and a quarter as many noises

    def __post_init__(self):
        if self.synthetic_voices != 0 and self.synthetic_voices < 3:
            raise ValueError("synthetic_voices is 0 or at least 3")
        if self.synthetic_non_digits != 0 and self.synthetic_non_digits < 5:
            raise ValueError("synthetic_non_digits is 0 or at least 5")
        if self.repetitions is not None and self.repetitions < 1:
            raise ValueError("repetitions is at least 1, or null")

    @property
    def learns_non_digits(self) -> bool:
        """Whether a model learns what is no digit."""
        return bool(self.non_digits or self.synthetic_non_digits)

    @property
    def tables(self) -> tuple[str, ...]:
        """All tables that clips come from."""
        return tuple(dict.fromkeys((self.metadata, *self.also_train, *self.also_test, *self.non_digits)))


@dataclass(frozen=True)
class Experiment:
    """All that a run depends on but its seed. `augmentation` and `training` are None for the linear model.

    `pretraining` and `self_training` are None where a network learns from labels alone.
    """

    name: str
    data: DataConfig
    features: FeatureConfig
    model_name: str
    model: object  # the model's own config
    augmentation: AugmentationConfig | None
    training: TrainingConfig | None
    pretraining: PretrainingConfig | None = None
    self_training: SelfTrainingConfig | None = None


def load_experiments(path: str | Path) -> dict[str, Experiment]:
    """Read what a YAML file holds by name: one experiment that is called after the file, or `variants` of a `base`.

    A variant names only what it changes in the file `base`, section by section. Errors as for `parse_experiment`.
    """
    path = Path(path)
    values = load_yaml(path)
    if "variants" not in values:
        return {path.stem: parse_experiment(values, str(path), path.stem)}
    for key in values:
        if key not in ("base", "variants"):
            raise InputError(f"{path}: unknown key '{key}' beside 'base' and 'variants'")
    if not isinstance(values.get("base"), str):
        raise InputError(f"{path}: 'base' has to name the file that the variants change")
    base, made = load_yaml(path.parent / values["base"]), {}
    for name, changes in as_mapping(values["variants"], f"{path}: variants").items():
        where = f"{path}: {name}"
        changed = dict(base)
        for section, settings in as_mapping(changes or {}, where).items():
            changed[section] = as_mapping(base.get(section) or {}, where) | as_mapping(settings, f"{where}: {section}")
        made[name] = parse_experiment(changed, where, name)
    return made


def load_experiment(path: str | Path, variant: str | None = None) -> Experiment:
    """Read one experiment from a YAML file; of a file with variants, the one that is named."""
    made = load_experiments(path)
    if variant is None and len(made) == 1:
        (variant,) = made
    if variant not in made:
        asked = f"has no variant '{variant}'" if variant else "holds several variants; name one"
        raise InputError(f"{path}: {asked}; known are {', '.join(made)}")
    return made[variant]


def find_experiment(name: str, folder: Path) -> Experiment:
    """The experiment of that name, whichever file of the folder holds it.

    Raises `InputError` where none does, or where two do, as a file and its copy.
    """
    files = sorted(folder.glob("*.yaml"))
    changed = tuple(path.stat().st_mtime_ns for path in files)
    made = [_experiments_of(path, changed) for path in files]
    holders = [number for number, experiments in enumerate(made) if name in experiments]
    if not holders:
        raise InputError(f"{folder}: no file has an experiment '{name}'")
    if len(holders) > 1:
        names = " and ".join(files[number].name for number in holders)
        raise InputError(f"{folder}: '{name}' stands in {names}; rename one of the two")
    return made[holders[0]][name]


@functools.cache
def _experiments_of(path: Path, changed: tuple[int, ...]) -> dict[str, Experiment]:
    """`load_experiments`, once for each state of the files beside it, one of which may be its base."""
    return load_experiments(path)


def parse_experiment(values: dict, where: str, name: str) -> Experiment:
    """Make an experiment from the sections that the fields of `Experiment` are called after.

    Raises:
        InputError: names an unknown section or key and the nearest known one, or what is wrong with a value.
    """
    learning = ("augmentation", "training", "pretraining", "self_training")
    sections = ("experiment", "data", "features", "model", *learning)
    for key in values:
        if key not in sections:
            raise InputError(f"{where}: unknown section '{key}'; {nearest(key, sections)}")
    model = dict(as_mapping(values.get("model"), f"{where}: model"))
    model_name = model.pop("name", None)
    try:
        _, model_config = find_model(model_name)
    except InputError as error:
        raise InputError(f"{where}: model: {error}") from None
    linear = model_name == "linear"
    for key in learning:
        if linear and key in values:
            raise InputError(f"{where}: a linear model is fitted by scikit-learn and has no section '{key}'")

    def section(kind: type[T], key: str) -> T:
        return build(kind, values.get(key, {}), f"{where}: {key}")

    def optional(kind: type[T], key: str) -> T | None:
        return section(kind, key) if values.get(key) is not None else None

    features = section(FeatureConfig, "features")
    settings = build(model_config, {"n_mels": features.n_mels} | model, f"{where}: model")
    _check_sizes(settings, features, f"{where}: model")
    return Experiment(
        name=str(values.get("experiment", name)),
        data=section(DataConfig, "data"),
        features=features,
        model_name=model_name,
        model=settings,
        augmentation=None if linear else section(AugmentationConfig, "augmentation"),
        training=None if linear else section(TrainingConfig, "training"),
        pretraining=optional(PretrainingConfig, "pretraining"),
        self_training=optional(SelfTrainingConfig, "self_training"),
    )


def _check_sizes(model: object, features: FeatureConfig, where: str) -> None:
    """What holds for the settings of all models, so that none has to say it."""
    for name, value in to_dict(model).items():
        sizes = value if isinstance(value, list) else [value]
        if "dropout" in name and not 0 <= value < 1:
            raise InputError(f"{where}: {name} is {value}; it is at least 0 and less than 1")
        if name == "n_mels" and value != features.n_mels:
            raise InputError(f"{where}: n_mels is {value}, and the features have {features.n_mels}; set it there")
        if name == "classes" and value != 10:
            raise InputError(f"{where}: classes is {value}; there are ten digits")
        if not sizes or any(isinstance(size, int) and size < 1 for size in sizes):
            raise InputError(f"{where}: {name} is {value}; sizes are at least 1")


def snapshot(experiment: Experiment) -> dict:
    """An experiment as plain values, every default written out: what `parse_experiment` reads."""
    sections = {
        "experiment": experiment.name,
        "data": to_dict(experiment.data),
        "features": to_dict(experiment.features),
        "model": {"name": experiment.model_name} | to_dict(experiment.model),
    }
    if experiment.training is not None:
        sections |= {"augmentation": to_dict(experiment.augmentation), "training": to_dict(experiment.training)}
    for key in ("pretraining", "self_training"):
        if getattr(experiment, key) is not None:
            sections[key] = to_dict(getattr(experiment, key))
    return sections


def made_by(result: dict) -> Experiment:
    """The experiment that a result was made by. Settings that were added since have their defaults: not used."""
    where = f"results of {result['experiment']}"
    return parse_experiment(current_names(result["config"]), where, result["experiment"])


def make_model(experiment: Experiment) -> nn.Module:
    """The experiment's model, with weights not yet trained."""
    model, _ = find_model(experiment.model_name)
    return model(experiment.model)
