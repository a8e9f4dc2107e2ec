"""Settings are frozen dataclasses, read strictly from YAML."""

import dataclasses
import difflib
import math
import types
import typing
from pathlib import Path

import yaml

from utils import InputError

T = typing.TypeVar("T")


def load_yaml(path: str | Path) -> dict:
    """Read a YAML file that holds a mapping.

    Raises:
        InputError: the file cannot be read, is not valid YAML, holds something else, or repeats a key. The message
            names the file and, for errors in the YAML itself, the line.
    """
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
    """Rejects repeated keys. PyYAML itself would silently keep the last value."""

    def compose_mapping_node(self, anchor: typing.Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        keys = [key for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for number, key in enumerate(keys):
            if key.value in [earlier.value for earlier in keys[:number]]:
                raise yaml.MarkedYAMLError(None, None, f"the key '{key.value}' is given twice", key.start_mark)
        return node


def build(kind: type[T], values: dict, where: str) -> T:
    """Build a dataclass from a mapping, strictly.

    Args:
        kind: the dataclass. Its fields may be dataclasses, tuples or optional.
        values: a mapping, for example from `load_yaml`. Fields that are left out keep their defaults.
        where: how error messages refer to the mapping, for example "configs/cnn1d.yaml: training".

    Raises:
        InputError: names the unknown key and the closest known one, the missing key, or the value of the wrong type.
    """
    values = as_mapping(values, where)
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(typing.cast(typing.Any, kind))}
    for key in values:
        if key not in fields:
            raise InputError(f"{where}: unknown key '{key}'; {nearest(key, fields)}")
    for name, field in fields.items():
        if name not in values and field.default is field.default_factory is dataclasses.MISSING:
            raise InputError(f"{where}: the key '{name}' is missing")
    try:
        return kind(**{name: _cast(hints[name], value, f"{where}: {name}") for name, value in values.items()})
    except ValueError as error:  # raised by the dataclass's own checks
        raise InputError(f"{where}: {error}") from None


def to_dict(config: typing.Any) -> dict:
    """Convert a dataclass to plain values that YAML and JSON can represent. Tuples become lists."""

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(item) for key, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, tuple | list) else value

    return plain(dataclasses.asdict(config))


def as_mapping(values: object, where: str) -> dict:
    """Return `values` if it is a mapping; otherwise raise an `InputError` that starts with `where`."""
    if not isinstance(values, dict):
        raise InputError(f"{where}: expected 'key: value' lines, not {values!r}")
    return values


def nearest(key: object, known: typing.Iterable[str]) -> str:
    """A hint for an unknown key: the closest known key, or the list of all of them if none is close."""
    matches = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
    return f"did you mean '{matches[0]}'?" if matches else f"known are {', '.join(known)}"


def _cast(hint: typing.Any, value: typing.Any, where: str) -> typing.Any:
    """Convert `value` to the type `hint`. Numeric text counts as a number, since YAML reads 1e-3 as text."""
    if isinstance(hint, types.UnionType):
        if value is None and type(None) in typing.get_args(hint):
            return None
        hint = next(option for option in typing.get_args(hint) if option is not type(None))
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
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
        first, *rest = typing.get_args(hint)
        count = "several" if rest == [Ellipsis] else str(1 + len(rest))
        expected = f"a list [...] of {count}, each {names.get(first, first)}"
    else:
        expected = names.get(hint, str(hint))
    raise InputError(f"{where}: expected {expected}, not {value!r}")
