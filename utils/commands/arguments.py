"""What the commands' arguments have in common: how they are parsed, and what is said of those that make no sense."""

import argparse

from utils import InputError


class Parser(argparse.ArgumentParser):
    """Says what is wrong with an argument in one line."""

    def error(self, message: str) -> None:
        raise InputError(f"{message} (see `{self.prog} --help`)")


def seed(text: str) -> int:
    """A seed as it is given on the command line."""
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f"a seed is a whole number from 0 to {2**32 - 1}, not {text!r}")
    return int(text)


def positive(text: str) -> int:
    """A number of things, of which there is at least one."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, not {text!r}")
    return int(text)


def port(text: str) -> int:
    """A port of this machine."""
    if not text.isdecimal() or not 0 < int(text) < 2**16:
        raise argparse.ArgumentTypeError(f"a port is a whole number from 1 to 65535, not {text!r}")
    return int(text)
