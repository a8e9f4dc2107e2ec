"""Mutations: what a disk, an editor, a stranger or a mistake may make of a file, a tree of values or a text."""

import copy
import gzip
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

INTEGERS = (0, -1, 1, 2, 7, 127, 255, 256, 65535, 2**31 - 1, -(2**31), 2**32, 2**40, 2**63, -(2**63), 10**30, 10**400)
TEXTS = (
    "", " ", "\t", "null", "~", "true", "NaN", "nan", "inf", "-inf", "1e999", "1e-999", "0x10", "1_000", "١٢", "³",
    "９", "-1", "--", "-", ".", "..", "/", "/etc/passwd", "../../x", "a/b", "\\", "C:\\x", "\x00", "a\x00b", "\n",
    "a\nb", "\r", "\x1b[31mred\x1b[0m", "\x07", "\u202e", "\u2028", "\ufeff", "\ud800", "é", "e\u0301", "😀",
    "x" * 300, "x" * 100_000, "9" * 5000, "%s%n", "{}", "{0.__class__}", "'; DROP", "=cmd()",
    "http://example.invalid/x", "file:///etc/passwd", "~root/x", "$HOME", "*", "[", "**", "2026-13-45", "1:2:3",
    "!!python/object:os.system", "&a *a",
)  # fmt: skip
FLOATS = (0.0, -0.0, 0.5, -1.5, 1e-300, 1e300, float("inf"), float("-inf"), float("nan"))
PLACES = (
    "folder",
    "full folder",
    "fifo",
    "socket",
    "dangling",
    "loop",
    "/dev/zero",
    "/dev/full",
    "/dev/null",
    "absent",
)

Random = np.random.Generator


def pick(random: Random, choices: Any) -> Any:
    """One of several; unlike `Random.choice` it leaves their types alone."""
    return choices[int(random.integers(len(choices)))]


def value(random: Random, depth: int = 0) -> Any:
    """Any value that JSON or YAML can hold."""
    kind = random.integers(8 if depth < 3 else 5)
    if kind == 0:
        return pick(random, INTEGERS)
    if kind == 1:
        return pick(random, FLOATS)
    if kind < 4:
        return pick(random, TEXTS)
    if kind == 4:
        return pick(random, (None, True, False))
    if kind == 5:
        return [value(random, depth + 1) for _ in range(random.integers(4))]
    if kind == 6:
        return {str(pick(random, TEXTS)): value(random, depth + 1) for _ in range(random.integers(4))}
    nested: Any = 1
    for _ in range(pick(random, (5, 50, 300))):
        nested = [nested] if random.integers(2) else {"a": nested}
    return nested


def change_tree(random: Random, tree: Any) -> Any:
    """A copy of a tree of mappings and lists in which a few places hold something else."""
    tree = json.loads(json.dumps(tree))
    for _ in range(pick(random, (1, 1, 1, 2, 5))):
        places = list(_places(tree))
        if not places:
            return value(random)
        inside, key = pick(random, places)
        match random.integers(6):
            case 0 | 1 | 2:
                inside[key] = value(random)
            case 3:
                del inside[key]
            case 4 if isinstance(inside, dict):
                inside[str(pick(random, (*TEXTS, key[:-1], key.upper())))] = inside.pop(key)
            case _:
                inside[key] = copy.deepcopy(pick(random, [each[at] for each, at in places]))  # or it may hold itself
    return tree if random.integers(50) else value(random)


def _places(tree: Any) -> Any:
    """Every (mapping or list, key or index) in a tree."""
    for key, part in list(tree.items() if isinstance(tree, dict) else enumerate(tree)):
        yield tree, key
        if isinstance(part, dict | list):
            yield from _places(part)


def change_bytes(random: Random, content: bytes) -> bytes:
    """A damaged copy of a file's content."""
    data = bytearray(content)
    size = max(1, len(data))
    head = min(size, pick(random, (64, 512, size)))  # headers matter most
    for _ in range(pick(random, (1, 1, 2, 8))):
        at, length = int(random.integers(head)), int(random.integers(1, 1 + min(size, pick(random, (4, 64, 4096)))))
        match random.integers(13):
            case 0 | 1 | 2:
                if data:
                    data[at % len(data)] ^= 1 << int(random.integers(8))
            case 3 | 4:
                width, order = pick(random, (1, 2, 4, 8)), pick(random, ("little", "big"))
                number = pick(random, INTEGERS) % 2 ** (8 * width)
                data[at : at + width] = number.to_bytes(width, order)
            case 5:
                del data[int(random.integers(len(data) + 1)) :]
            case 6:
                del data[at : at + length]
            case 7:
                data[at:at] = random.bytes(length)
            case 8:
                data[at:at] = data[at : at + length]
            case 9:
                data[at : at + length] = pick(random, (b"\0", b"\xff", b"\n", b"9")) * length
            case 10:
                data += random.bytes(length)
            case 11:
                data[at : at + length] = pick(random, TEXTS).encode("utf-8", "surrogatepass")
            case 12:
                data = bytearray(pick(random, WHOLE)(bytes(data)))
    return bytes(data)


WHOLE: tuple[Callable[[bytes], bytes], ...] = (
    gzip.compress,
    lambda data: b"",
    lambda data: b"\xef\xbb\xbf" + data,
    lambda data: data.decode("latin-1").encode("utf-16"),
    lambda data: data.replace(b"\n", b"\r\n"),
    lambda data: data.replace(b"\n", b"\r"),
    lambda data: b"PK\x03\x04" + data,
    lambda data: b"\x1f\x8b" + data,
    lambda data: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    lambda data: b"<!DOCTYPE html><html>404</html>",
    lambda data: data + data,
)


def change_text(random: Random, text: str) -> str:
    """A copy of a text with lines, characters or cells changed; it may have characters that no file can hold."""
    lines = text.split("\n")
    for _ in range(pick(random, (1, 1, 2, 6))):
        at = int(random.integers(len(lines)))
        line, cell = lines[at], str(pick(random, TEXTS))
        cut = int(random.integers(len(line) + 1))
        match random.integers(8):
            case 0:
                lines[at] = line[:cut] + cell + line[cut:]
            case 1:
                lines[at] = line[:cut] + cell
            case 2:
                lines.insert(at, line)
            case 3:
                lines.insert(at, cell)
            case 4:
                lines[at] = line.replace(pick(random, (":", "\t", " ", ",", "[", '"')), cell[:300])
            case 5:
                lines[at] = " " * int(random.integers(1, 9)) + line
            case 6:
                del lines[at : at + pick(random, (1, 99))]
                lines = lines or [""]
            case 7:
                lines[at] = pick(
                    random, ("\t", "[" * 500, "{a: " * 500, '{"a":' * 500, "- " * 500, "&a [*a]", "? {a: b}")
                )
    return "\n".join(lines)


def place(random: Random, path: Path, kind: str | None = None) -> str:
    """Put something where a file is expected that is none."""
    if path.is_symlink() or path.exists():
        path.unlink()
    kind = kind or pick(random, PLACES)
    match kind:
        case "folder" | "full folder":
            path.mkdir()
            if kind == "full folder":
                (path / path.name).write_bytes(b"x")
        case "fifo":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as opened:
                here = os.getcwd()
                os.chdir(path.parent)  # the name of a socket is short
                try:
                    opened.bind(path.name)
                finally:
                    os.chdir(here)
        case "dangling":
            path.symlink_to(path.with_name("nowhere"))
        case "loop":
            path.symlink_to(path.name)
        case "none":
            pass
        case device:
            path.symlink_to(device)
    return kind
