"""Settings are frozen dataclasses, read strictly from YAML."""

import dataclasses
import difflib
import functools
import itertools
import math
import re
import types
import typing
from pathlib import Path

import yaml

from utils import InputError
from utils.files import read_text

T = typing.TypeVar("T")

MAX_BYTES, MAX_VALUES, MAX_DEPTH = 2**18, 50_000, 30  # of a YAML file; those of the project are a hundredth of that
LARGEST = 1e30  # of numbers with a point: PyTorch's have 32 bits
# YAML 1.1 reads 010 as 8 and 1:30 as 90, which is hardly what anybody means
AMBIGUOUS = re.compile(r"[-+]?(0[\d_]+|[\d_]+(:[\d_]+)+(\.[\d_]*)?)")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")  # no part of a name or path


def load_yaml(path: str | Path) -> dict:
    """Read a YAML file that holds a mapping.

    Raises:
        InputError: the file cannot be read, is not valid YAML, holds something else, or repeats a key. The message
            names the file and, for errors in the YAML itself, the line and the column.
    """
    values = _parse(read_text(path, MAX_BYTES), str(path))
    if not isinstance(values, dict):
        raise InputError(f"{path}: expected 'key: value' lines")
    return values


def _parse(text: str, where: str) -> object:
    """Parse YAML; every error becomes an `InputError` of one line, with line and column."""
    loader = None
    try:
        loader = _Loader(text)
        return loader.get_single_data()
    except yaml.reader.ReaderError as error:  # a character that YAML does not allow
        row, start = text.count("\n", 0, error.position), text.rfind("\n", 0, error.position) + 1
        what, column = f"the character #x{ord(text[error.position]):04x} is not allowed", error.position - start
    except (yaml.YAMLError, ValueError, OverflowError) as error:  # the latter from PyYAML's scanner
        what = " ".join(filter(None, [getattr(error, "context", None), getattr(error, "problem", str(error))]))
        mark = getattr(error, "problem_mark", None) or (loader.get_mark() if loader else None)
        row, column = (mark.line, mark.column) if mark else (0, 0)
    raise InputError(f"{where}: not YAML: {' '.join(what.split())}, line {row + 1}, column {column + 1}")


class _Loader(yaml.SafeLoader):
    """PyYAML's loader, but strict: it refuses repeated keys, endless aliases, and values that no setting can have."""

    depth = values = 0

    def compose_node(self, parent: typing.Any, index: typing.Any) -> typing.Any:
        mark = self.peek_event().start_mark
        if self.depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(None, None, f"nested more than {MAX_DEPTH} deep", mark)
        self.depth += 1
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def get_single_node(self) -> typing.Any:
        node = super().get_single_node()
        if node is not None:
            self._check_extent(node)
        return node

    def _check_extent(self, node: yaml.Node, depth: int = 0) -> None:
        """An alias can stand for a mapping that holds the alias, or for ten others that each stand for ten others."""
        self.values += 1
        if depth > MAX_DEPTH or self.values > MAX_VALUES:
            problem = f"more than {MAX_VALUES:,} values, or an alias within what it stands for"
            raise yaml.MarkedYAMLError(None, None, problem, node.start_mark)
        if isinstance(node, yaml.CollectionNode):
            mapping = isinstance(node, yaml.MappingNode)
            for child in itertools.chain(*node.value) if mapping else node.value:
                self._check_extent(child, depth + 1)

    def compose_mapping_node(self, anchor: typing.Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        known: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in known:  # PyYAML itself would silently keep the last value
                    raise yaml.MarkedYAMLError(None, None, f"the key '{key.value}' is given twice", key.start_mark)
                known.add(key.value)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> typing.Any:
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, int | float) and AMBIGUOUS.fullmatch(node.value):
                raise ValueError(f"{node.value} would be read as {value}; write it as a decimal number, or in quotes")
            if isinstance(value, int) and abs(value) >= 2**63:
                raise ValueError("a number of more than 18 digits")
            if isinstance(value, str) and CONTROL.search(value):
                raise ValueError("a text with control characters")
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            kind = node.tag.rpartition(":")[2]
            raise yaml.MarkedYAMLError(None, None, f"not a valid {kind}: {_shown(error)}", node.start_mark) from None
        return value


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
    dataclass = typing.cast(typing.Any, kind)
    hints = _hints(dataclass)
    fields = {field.name: field for field in dataclasses.fields(dataclass)}
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


@functools.cache
def _hints(kind: type) -> dict[str, typing.Any]:
    """The types of a dataclass's fields."""
    return typing.get_type_hints(kind)


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
        raise InputError(f"{where}: expected 'key: value' lines, not {_shown(values)}")
    return values


def nearest(key: object, known: typing.Iterable[str]) -> str:
    """A hint for an unknown key: the closest known key, or the list of all of them if none is close."""
    matches = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
    return f"did you mean '{matches[0]}'?" if matches else f"known are {', '.join(known)}"


def check_limits(config: object, **limits: tuple[float, float]) -> None:
    """For `__post_init__`: raise `ValueError` for the first setting outside its limits, [low, high]. Null has none."""
    for name, (low, high) in limits.items():
        value = getattr(config, name)
        for number in value if isinstance(value, tuple) else (value,):
            if number is not None and not low <= number <= high:
                raise ValueError(f"{name} is {number}; it must be from {low:,} to {high:,}")


def _shown(value: object) -> str:
    """A value in an error message: at most 100 characters."""
    text = str(value) if isinstance(value, Exception) else repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."


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
            if abs(number) > LARGEST:
                raise InputError(f"{where} is {number:g}; it must be from {-LARGEST:g} to {LARGEST:g}")
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
    raise InputError(f"{where}: expected {expected}, not {_shown(value)}")
