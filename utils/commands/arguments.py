"""Parsing of command-line arguments, with errors in one line."""

import argparse
from collections.abc import Callable
from typing import Any, NoReturn

from utils import InputError


class Parser(argparse.ArgumentParser):
    """Reports wrong arguments as an `InputError`, in one line, and help that cannot be written as an `OSError`."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message} (see `{self.prog} --help`)")

    def print_help(self, file: Any = None) -> None:
        print(self.format_help(), end="", file=file)  # argparse's own ignores errors


def add_command(commands: Any, name: str, does: str) -> argparse.ArgumentParser:
    """A parser among `commands`; `does` says what it is for, in the list of commands and in its own help."""
    return commands.add_parser(name, help=does, description=f"{does[0].upper()}{does[1:]}.")


def whole(low: int = 1, high: int = 10**9) -> Callable[[str], int]:
    """Reads a whole number within limits."""

    def read(text: str) -> int:
        # int() itself takes only so many digits
        if not text.isdecimal() or len(text) > 20 or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"expected a whole number from {low:,} to {high:,}, not {text!r}")
        return int(text)

    return read


jobs = whole(1, 1024)
port = whole(1, 2**16 - 1)
seed = whole(0, 2**32 - 1)


def share(text: str) -> float:
    """A share, above 0 and below 1."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a share between 0 and 1, such as 0.97, not {text!r}")
    return value


def accuracy(text: str) -> float:
    """An accuracy, from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"an accuracy is a share from 0 to 1, such as 0.95, not {text!r}")
    return value
