"""The configuration of an experiment: frozen dataclasses on one side, YAML read strictly on the other."""

import dataclasses
import difflib
import functools
import math
import types
import typing
from dataclasses import dataclass
from pathlib import Path

import yaml
from torch import nn

from model_baseline import Linear, LinearConfig
from model_neural import MODELS
from utils import InputError
from utils.augmentation import AugmentationConfig
from utils.features import FeatureConfig
from utils.objectives import PretrainingConfig, TrainingConfig
from utils.selftraining import SelfTrainingConfig

T = typing.TypeVar("T")
ALL_MODELS = {"linear": (Linear, LinearConfig), **MODELS}


@dataclass(frozen=True)
class DataConfig:
    """Which clips, and who of their speakers is heard in training (see `utils.protocols`)."""

    metadata: str = "SDR_metadata.tsv"  # where it lies: see `utils.metadata.find_metadata`
    protocol: str = "course"
    fold: str | None = None  # the speaker who is left out, or the protocol's seed
    takes: int | None = None  # so many labelled takes of each digit by each training speaker; null: all
    unlabelled: bool = False  # whether to learn from clips without labels too, where the protocol has some
    also_train: tuple[str, ...] = ()  # further tables: their TRAIN clips are trained on besides
    also_test: tuple[str, ...] = ()  # further tables: their TEST clips are tested on besides, under the table's name
    synthetic_voices: int = 0  # trained on besides: so many voices of eSpeak NG, each saying every digit once
    not_digits: tuple[str, ...] = ()  # tables of other words: their TRAIN clips teach the model what is no digit
    synthetic_others: int = 0  # likewise: so many words spoken by eSpeak NG, and a quarter as many noises

    def __post_init__(self):
        if self.synthetic_voices != 0 and self.synthetic_voices < 3:
            raise ValueError("synthetic_voices is 0 or at least 3")
        if self.synthetic_others != 0 and self.synthetic_others < 5:
            raise ValueError("synthetic_others is 0 or at least 5")
        if self.takes is not None and self.takes < 1:
            raise ValueError("takes is at least 1, or null")

    @property
    def learns_others(self) -> bool:
        """Whether a model learns what is no digit."""
        return bool(self.not_digits or self.synthetic_others)

    @property
    def tables(self) -> tuple[str, ...]:
        """All tables that clips come from."""
        return tuple(dict.fromkeys((self.metadata, *self.also_train, *self.also_test, *self.not_digits)))


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
    for name, changes in _mapping(values["variants"], f"{path}: variants").items():
        where = f"{path}: {name}"
        changed = dict(base)
        for section, settings in _mapping(changes or {}, where).items():
            changed[section] = _mapping(base.get(section) or {}, where) | _mapping(settings, f"{where}: {section}")
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
            raise InputError(f"{where}: unknown section '{key}'; {_nearest(key, sections)}")
    model = dict(_mapping(values.get("model"), f"{where}: model"))
    model_name = model.pop("name", None)
    if not isinstance(model_name, str) or model_name not in ALL_MODELS:
        raise InputError(f"{where}: model: unknown name {model_name!r}; {_nearest(model_name, ALL_MODELS)}")
    linear = model_name == "linear"
    for key in learning:
        if linear and key in values:
            raise InputError(f"{where}: a linear model is fitted by scikit-learn and has no section '{key}'")

    def section(kind: type[T], key: str) -> T:
        return build(kind, values.get(key, {}), f"{where}: {key}")

    def optional(kind: type[T], key: str) -> T | None:
        return section(kind, key) if values.get(key) is not None else None

    features = section(FeatureConfig, "features")
    settings = build(ALL_MODELS[model_name][1], {"n_mels": features.n_mels} | model, f"{where}: model")
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


def make_model(experiment: Experiment) -> nn.Module:
    """The experiment's model, with weights not yet trained."""
    model, _ = ALL_MODELS[experiment.model_name]
    return model(experiment.model)


def load_yaml(path: str | Path) -> dict:
    """Read a YAML file that holds a mapping, no key twice. Raises `InputError` that names the file and the line."""
    try:
        values = yaml.load(Path(path).read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected 'key: value' lines")
    return values


class _Loader(yaml.SafeLoader):
    """Refuses a key that a mapping has twice: YAML would take the last one, and drop the other without a word."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for number, key in enumerate(keys):
            if key.value in [earlier.value for earlier in keys[:number]]:
                raise yaml.MarkedYAMLError(None, None, f"the key '{key.value}' is there already", key.start_mark)
        return node


def build(kind: type[T], values: dict, where: str) -> T:
    """Make a dataclass from a mapping, strictly.

    Args:
        kind: the dataclass; its fields may be dataclasses, tuples or optional.
        values: a mapping such as `yaml.safe_load` gives. A field that is left out keeps its default.
        where: what the mapping is called in an error, as "configs/cnn1d.yaml: training".

    Raises:
        InputError: names an unknown key and the nearest known one, a missing key, or a value of a wrong type.
    """
    values = _mapping(values, where)
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for key in values:
        if key not in fields:
            raise InputError(f"{where}: unknown key '{key}'; {_nearest(key, fields)}")
    for name, field in fields.items():
        if name not in values and field.default is field.default_factory is dataclasses.MISSING:
            raise InputError(f"{where}: the key '{name}' is missing")
    try:
        return kind(**{name: _cast(hints[name], value, f"{where}: {name}") for name, value in values.items()})
    except ValueError as error:  # the dataclass itself refuses a value
        raise InputError(f"{where}: {error}") from None


def to_dict(config: object) -> dict:
    """A dataclass as plain values that YAML and JSON can hold: tuples become lists."""

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, tuple | list) else value

    return plain(dataclasses.asdict(config))


def _mapping(values: object, where: str) -> dict:
    if not isinstance(values, dict):
        raise InputError(f"{where}: expected 'key: value' lines, not {values!r}")
    return values


def _nearest(key: object, known: typing.Iterable[str]) -> str:
    nearest = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
    return f"did you mean '{nearest[0]}'?" if nearest else f"known are {', '.join(known)}"


def _cast(hint: object, value: object, where: str) -> object:
    """`value` as the type `hint`, or an `InputError`. Text that reads as a number is one: YAML takes 1e-3 for text."""
    if isinstance(hint, types.UnionType):
        if value is None and type(None) in typing.get_args(hint):
            return None
        hint = next(option for option in typing.get_args(hint) if option is not type(None))
    if dataclasses.is_dataclass(hint):
        return build(hint, value, where)
    if typing.get_origin(hint) is tuple and isinstance(value, list | tuple):
        items = typing.get_args(hint)
        if len(items) == 2 and items[1] is Ellipsis:
            items = (items[0],) * len(value)
        if len(items) == len(value):
            return tuple(_cast(item, part, where) for item, part in zip(items, value, strict=True))
    if hint is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number):
            return number
    elif isinstance(hint, type) and isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    if typing.get_origin(hint) is tuple:
        first, *others = typing.get_args(hint)
        many = "several" if others == [Ellipsis] else str(1 + len(others))
        expected = f"a list [...] of {many}, each {names.get(first, first)}"
    else:
        expected = names.get(hint, hint)
    raise InputError(f"{where}: expected {expected}, not {value!r}")
