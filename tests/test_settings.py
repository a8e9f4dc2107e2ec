"""Settings are read strictly: every error is reported in one line that names the file and the key."""

import os
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
        ({"must": -1e300}, "here: must is -1e\\+300; it must be from -1e\\+30 to 1e\\+30"),
    ],
)
def test_errors_name_the_key(values, why):
    with pytest.raises(InputError, match=why):
        build(Outer, values, "here")


BAD_VALUES = {
    "a date that does not exist": "experiment: 2026-13-45",
    "a number that is none": "a: !!int abc",
    "a float that is none": "a: !!float abc",
    "a truth that is none": "a: !!bool abc",
    "a time that is none": "a: !!timestamp abc",
    "five thousand digits": f"a: {'9' * 5000}",
    "five thousand hexadecimal digits": f"a: 0x{'f' * 5000}",
    "NUL": r'a: "x\0y"',
    "half a surrogate pair": r'a: "\ud800"',
    "no character": r'a: "\UFFFFFFFF"',
    "octal": "a: 010",
    "sexagesimal": "a: 1:30",
    "sexagesimal with a point": "a: 1:30.5",
    "a raw control character": "a: x\x07y",
    "a cycle": "a: &a [*a]",
    "a cycle of mappings": "a: &a {b: *a}",
    "a merged cycle": "a: &a\n  <<: *a",
    "a mapping as a key": "? {a: b}\n: c",
    "a list as a key": "[a, b]: c",
    "deep lists": "a: " + "[" * 5000,
    "deep mappings": "a: " + "{a: " * 5000,
    "deep blocks": "\n".join(" " * n + "a:" for n in range(400)),
    "a billion laughs": "a0: &a0 [x]\n" + "\n".join(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}]" for n in range(1, 11)),
    "two documents": "a: 1\n---\na: 2",
    "an unknown alias": "a: *b",
    "an unknown tag": "a: !thing 1",
    "bytes that are none": "a: !!binary é",
}


@pytest.mark.parametrize("text", BAD_VALUES.values(), ids=BAD_VALUES)
def test_odd_yaml_is_refused_in_one_line_with_its_place(tmp_path, text):
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"x\.yaml: not YAML: .{3,}, line \d+, column \d+$") as caught:
        load_yaml(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


def test_anchors_and_merges_are_read(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("a: &a {b: 1}\nc: *a\nd: {<<: *a, e: 2}\n")
    assert load_yaml(path) == {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1, "e": 2}}


def test_a_file_that_is_too_large_or_a_pipe_is_not_read(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("#" * 300_000)
    with pytest.raises(InputError, match="300,000 bytes; at most 262,144"):
        load_yaml(path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")  # reading it would wait forever
        with pytest.raises(InputError, match="not a regular file"):
            load_yaml(tmp_path / "pipe")


def test_a_long_value_is_shortened_in_the_message():
    with pytest.raises(InputError, match="expected a number, not 'x+\\.\\.\\.$"):
        build(Outer, {"must": "x" * 9999}, "here")
