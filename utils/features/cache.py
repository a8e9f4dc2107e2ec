"""What takes long to compute from files is cached on disk, with a checksum: nothing damaged is ever returned."""

import functools
import os
import sys
import warnings
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import joblib
import numpy as np
from joblib._store_backends import CacheWarning

from utils.paths import CACHE

P = ParamSpec("P")
T = TypeVar("T")

with warnings.catch_warnings(action="ignore"):  # of joblib's, that it cannot write a .gitignore
    try:
        MEMORY = joblib.Memory(CACHE, mmap_mode="c", verbose=0)  # cached arrays are memory-mapped, not loaded
    except OSError:  # the project lies where nothing can be written
        MEMORY = joblib.Memory(None)


class _Failed(Exception):
    """Carries an error of the computation itself past what handles the errors of the cache."""

    def __init__(self, error: Exception):
        self.error = error


def cached(ignore: str | tuple[str, ...]) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Cache what a function returns by its arguments, except for those to ignore.

    The code that the value depends on is not seen, so its checksums have to be among the arguments. Values
    are arrays, plain values, and lists and tuples of them. An entry that was damaged on the disk is computed again;
    where the cache cannot be written, everything is. Both are told on standard error.
    """

    def decorate(compute: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(compute)
        def with_checksum(*given: P.args, **named: P.kwargs) -> tuple[T, int]:
            try:
                value = compute(*given, **named)
            except Exception as error:
                raise _Failed(error) from None
            return value, _checksum(value)

        @functools.cache
        def memorised() -> Any:
            stored = MEMORY.cache(with_checksum, ignore=[ignore] if isinstance(ignore, str) else list(ignore))
            stored.warn = _tell_damaged  # joblib's own warning lists all arguments
            return stored

        @functools.wraps(compute)
        def call(*given: P.args, **named: P.kwargs) -> T:
            try:
                with warnings.catch_warnings(action="ignore", category=CacheWarning):
                    stored = memorised()  # not before, as it writes, which the disk may not allow
                    try:
                        entry = stored(*given, **named)
                    except ValueError:  # joblib cannot read its note of the function's code
                        _tell_damaged()
                        stored.clear()
                        entry = stored(*given, **named)
                    if not _intact(entry):
                        _tell_damaged()
                        stored.call_and_shelve(*given, **named).clear()
                        entry = stored(*given, **named)
            except _Failed as failed:
                raise failed.error from failed.error.__cause__
            except (KeyError, OSError) as error:  # the former, if joblib cannot read what it could not write
                _tell_unwritten(getattr(error, "strerror", None) or "is the disk full?")
                for begun in Path(MEMORY.store_backend.location).rglob(f"*-{os.getpid()}-*"):
                    with suppress(OSError):  # joblib leaves it behind
                        begun.unlink()
                return compute(*given, **named)
            return entry[0]

        return call

    return decorate


def _checksum(value: Any, start: int = 0) -> int:
    """CRC-32: it takes a fraction of the time in which the checksums of the files are computed."""
    if isinstance(value, tuple):
        return functools.reduce(lambda sum_so_far, part: _checksum(part, sum_so_far), value, start)
    if isinstance(value, np.ndarray):
        outline = repr((value.shape, value.dtype)).encode()
        return zlib.crc32(np.ascontiguousarray(value).data, zlib.crc32(outline, start))
    return zlib.crc32(repr(value).encode(), start)


def _intact(entry: Any) -> bool:
    """Whether an entry of the cache is what was written."""
    try:
        value, checksum = entry
        return checksum == _checksum(value)
    except (AttributeError, TypeError, ValueError):
        return False


def _tell_damaged(_: str = "") -> None:
    print(f"{MEMORY.store_backend.location}: cached features are damaged; they are computed again", file=sys.stderr)


@functools.cache  # it is told once
def _tell_unwritten(why: str) -> None:
    place = MEMORY.store_backend.location
    print(f"{place}: nothing can be cached ({why}), so it is computed every time", file=sys.stderr)
