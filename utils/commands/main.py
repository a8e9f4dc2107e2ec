"""The command `sdr`. Bad input is reported in one line, with exit status 2.

Each command is a module with `HELP`, `add_arguments(parser)` and `run(given)`. Its imports are inside `run`, so that
`sdr --help` does not wait for them. `RESUMES` marks commands that train: called again, they resume.
"""

import argparse
import importlib
import os
import re
import sys
from contextlib import redirect_stderr, redirect_stdout, suppress
from typing import NoReturn

from utils import InputError, is_out_of_memory
from utils.commands import output
from utils.commands.arguments import Parser, add_command

EMPTY = re.compile("--[a-z-]+=")  # an option without its value
COMMANDS = (
    "quickstart",
    "data",
    "train",
    "calibrate",
    "evaluate",
    "compare",
    "grade",
    "predict",
    "listen",
    "export",
    "push",
    "demo",
    "reproduce",
    "report",
    "verify",
    "bench",
    "record",
    "language",
)


def main(arguments: list[str] | None = None) -> None:
    """Run `sdr`: exit status 0, 1 if a check found something, 2 on bad input, 130 when interrupted."""
    with redirect_stdout(output.printable(sys.stdout)), redirect_stderr(output.usable(sys.stderr)):
        try:
            _run(arguments)
        finally:
            with suppress(OSError):  # there is nowhere left to report it
                output.flush(sys.stderr)


def _run(arguments: list[str] | None) -> None:
    given = argparse.Namespace(resumes=False)
    try:
        try:
            given = _parse(arguments)
            _check_current_folder()
            given.run(given)
        finally:
            output.flush(sys.stdout)  # report a full disk here, not at exit
    except InputError as error:
        _fail(f"sdr: {error}", 2)
    except KeyboardInterrupt:
        hint = "; the same command resumes after the last complete epoch" if given.resumes else ""
        _fail(f"\nsdr: interrupted{hint}", 130)
    except BrokenPipeError:  # the reader closed the pipe, for example in `sdr report | head`
        pass
    except OSError as error:  # for example, the output goes to a full disk
        _fail(f"sdr: {InputError(error)}", 2)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        _fail("sdr: there is not enough memory", 2)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    given, rest = make_parser().parse_known_args(arguments)
    for word in sys.argv[1:] if arguments is None else arguments:
        if word == "" or EMPTY.fullmatch(word):  # as the name of a file it would be the current folder
            raise InputError("an argument is empty; is a variable of the shell not set?")
    if given.name == "predict":  # argparse accepts files before an option or after it, but not both
        given.files += [word for word in rest if not word.startswith("-")]
        rest = [word for word in rest if word.startswith("-")]
    if rest:
        raise InputError(f"unknown argument '{rest[0]}' (see `sdr {given.name} --help`)")
    return given


def _check_current_folder() -> None:
    """Raise `InputError` if it has been deleted: PyTorch would end the process, with a message about its libraries."""
    try:
        os.getcwd()
    except FileNotFoundError:
        raise InputError("the current folder has been deleted; change to another one") from None


def _fail(message: str, status: int) -> NoReturn:
    output.complain(message)
    sys.exit(status)


def make_parser() -> argparse.ArgumentParser:
    """The parser of all commands and their arguments."""
    root = Parser(prog="sdr", description="Recognise spoken digits 0-9 from unseen speakers.")
    commands = root.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    for name in COMMANDS:
        module = importlib.import_module(f"utils.commands.{name}")
        parser = add_command(commands, name, module.HELP)
        module.add_arguments(parser)
        parser.set_defaults(name=name, run=module.run, resumes=getattr(module, "RESUMES", False))
    return root
