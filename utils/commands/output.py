"""Standard output and standard error that take any text, whatever they are: a terminal, a log, full, or closed."""

import io
import os
import re
import sys
from contextlib import suppress
from typing import Any, TextIO

from utils import plain


def complain(message: str) -> None:
    """Print to standard error, unless it is full, or closed by the other end."""
    with suppress(OSError, ValueError):
        print(message, file=sys.stderr, flush=True)


def flush(stream: TextIO) -> None:
    """Flush a stream. If that fails, close it, as Python would otherwise try again at exit, and change the status."""
    try:
        stream.flush()
    except OSError:
        with suppress(OSError):
            stream.close()
        raise


def usable(stream: TextIO | None) -> TextIO:
    """A standard stream that encodes any text, such as the name of a file, even if it had been closed."""
    if stream is None:
        return open(os.devnull, "w", encoding="utf-8")
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return stream


def printable(stream: TextIO | None) -> Any:
    """A usable stream whose control characters, other than line feed and tab, are escaped: they come from names."""
    return _Printable(usable(stream))


class _Printable:
    CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

    def __init__(self, stream: TextIO):
        self.stream = stream

    def write(self, text: str) -> int:
        return self.stream.write(self.CONTROL.sub(lambda found: plain(found[0]), text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)
