"""Settings are read strictly: every error is reported in one line that names the file and the key."""

from dataclasses import dataclass

import pytest

from utils import InputError
from utils.settings import build, load_yaml, to_dict


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"a: [1", "not YAML"),
        (b"a: b: c", "not YAML"),
        (b"\ttab: 1", "not YAML"),
        (b"- a\n- b\n", "expected 'key: value' lines"),
        (b"just text", "expected 'key: value' lines"),
        (b"", "expected 'key: value' lines"),
        (b"name: \xff\xfe", "not a text file"),
        (b"\x00", "not YAML"),
        (b"!!python/object/apply:os.system [echo]", "not YAML"),
    ],
)
def test_anything_but_a_yaml_mapping_is_refused(tmp_path, content, why):
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=why) as caught:
        load_yaml(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


@dataclass(frozen=True)
class Inner:
    size: int = 1


@dataclass(frozen=True)
class Outer:
    must: float
    inner: Inner = Inner()
    several: tuple[int, ...] = (1,)
    pair: tuple[str, float] | None = None


def test_a_dataclass_from_plain_values_and_back():
    values = {"must": 2, "inner": {"size": 5}, "several": [3, 4], "pair": ["a", "1e2"]}
    built = build(Outer, values, "here")
    assert built == Outer(2.0, Inner(5), (3, 4), ("a", 100.0))
    assert isinstance(built.must, float)
    assert to_dict(built) == {"must": 2.0, "inner": {"size": 5}, "several": [3, 4], "pair": ["a", 100.0]}
    assert build(Outer, to_dict(built), "here") == built


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({}, "here: the key 'must' is missing"),
        ({"must": 1, "inner": {"sise": 2}}, "here: inner: unknown key 'sise'; did you mean 'size'"),
        ({"must": 1, "several": [1, "x"]}, "here: several: expected a whole number, not 'x'"),
        ({"must": 1, "pair": ["a"]}, "here: pair: "),
        ({"must": None}, "here: must: expected a number, not None"),
    ],
)
def test_errors_name_the_key(values, why):
    with pytest.raises(InputError, match=why):
        build(Outer, values, "here")
