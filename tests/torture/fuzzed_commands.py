"""A kind of input: command lines. Commands run in a copy of the project."""

import argparse
import os
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bases import Base, shorten
from mutations import TEXTS, Random, pick
from trials import Trial

from utils import InputError
from utils.applications import benchmark, demo, synthesis_check
from utils.applications.language import build
from utils.applications.recording import server, terminal
from utils.commands import main
from utils.data.synthesis import corpus
from utils.experiments import calibrating, mixtures, reproducing

WORDS = ("predict", "evaluate", "train", "export", "report", "data", "check", "voices", "listen", "record", "language")


def command_lines(random: Random, base: Base, folder: Path) -> Trial:
    """A command with options of all sorts of values, some of them right."""
    parser: argparse.ArgumentParser = main.make_parser()
    words: list[str] = []
    values = [
        str(base.checkpoint),
        str(base.metadata),
        str(base.config),
        str(base.sounds[0]),
        "0",
        "1",
        "2",
        "pl",
        "en",
    ]
    while chosen := next((a for a in parser._actions if isinstance(a, argparse._SubParsersAction)), None):
        words.append(pick(random, [name for name in chosen.choices if name != "quickstart"]))
        parser = chosen.choices[words[-1]]

    def any_value() -> str:
        text = str(pick(random, TEXTS if random.integers(2) else values))
        return text.replace("\x00", "0")  # no argument of a process can hold it

    for action in parser._actions:
        if random.integers(2 if not action.option_strings else 5):
            continue
        if action.option_strings:
            words.append(pick(random, action.option_strings)[: None if random.integers(6) else -1])
        if action.choices and random.integers(2):
            words.append(str(pick(random, list(action.choices))))
        elif action.nargs != 0 and random.integers(8):
            words.append(any_value())
    for _ in range(int(pick(random, (0, 0, 0, 1, 2)))):
        words.insert(
            int(random.integers(len(words) + 1)), pick(random, (any_value(), "--", "-h", "--json", "@x", *WORDS))
        )
    shutil.copytree(base.project, folder / "project")
    action = partial(in_project, base, folder / "project", words, without_serving)
    return Trial(action, (0, 1, 2) if {"check", "verify"} & set(words) else (0, 2))


def without_serving(words: Sequence[object]) -> None:
    """Run a command, except what would go on until somebody ends it, use the network or take minutes."""

    def refuse(*given: object, **named: object) -> Any:
        raise InputError("the command line is right; it is not run in this test")

    for module, name in (
        (benchmark, "measure"), (calibrating, "calibrate"), (calibrating, "calibrate_on_held_out"), (corpus, "speak"),
        (build, "build"), (mixtures, "make_mixtures"), (demo, "serve"), (server, "serve"),
        (terminal, "record"), (reproducing, "reproduce"), (synthesis_check, "check_synthesis"),
    ):  # fmt: skip
        assert hasattr(module, name)
        setattr(module, name, refuse)
    shorten(1)
    os.environ["SDR_SPEECH_DATA"] = str(Path("recordings").absolute())
    main.main([str(word) for word in words])


def in_project(base: Base, project: Path, command: list[str], run: Callable[[list[str]], object] = main.main) -> None:
    base.use(project)
    run(command)
