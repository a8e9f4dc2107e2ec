"""The command `sdr` itself: help, wrong command lines, interruptions, exit status."""

import argparse
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import write_bytes

from utils.commands import report
from utils.commands.main import make_parser
from utils.paths import PROJECT

COMMANDS = (
    "data", "train", "calibrate", "evaluate", "predict", "listen", "export", "push", "demo", "reproduce", "report",
    "bench", "quickstart", "record", "language", "grade",
)  # fmt: skip


def test_help_lists_every_command(sdr):
    done = sdr("--help")
    assert (done.status, done.err) == (0, "")
    for command in COMMANDS:
        assert re.search(rf"^    {command}\b", done.out, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(sdr, command):
    done = sdr(command, "--help")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"usage: sdr {command}") and len(done.out.splitlines()) > 4


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["pred"],
        ["predict"],
        ["evaluate", "a-checkpoint"],
        ["data", "timit"],
        ["report", "--chek"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_refused_in_one_line(sdr, arguments):
    sdr(*arguments).refused("--help")


def numbers(parser: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command with an option that takes a number."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                yield from numbers(command, (*words, name))
        elif action.option_strings and action.type not in (None, Path):
            yield *words, action.option_strings[0]


@pytest.mark.parametrize("command", list(numbers(make_parser())), ids=" ".join)
@pytest.mark.parametrize("value", ["", "x", "-1", "1e30", "1" + 30 * "0", "9" * 5000, "inf", "nan", "\u00b2"])
def test_a_number_beyond_its_range_is_refused_and_its_option_named(sdr, command, value):
    sdr(*command[:-1], f"{command[-1]}={value}").refused(f"argument {command[-1]}: ")


@pytest.mark.parametrize("name", ["9" * 5000, "a/" * 2500, "9" * 3000 + ".yaml"], ids=["number", "folders", "config"])
def test_a_name_of_any_length_is_refused_in_a_line_that_can_be_read(sdr, name):
    finished = sdr("train", name)
    finished.refused("sdr: ")
    assert len(finished.err) < 2000


def test_an_interruption_is_reported(sdr, monkeypatch):
    def interrupt(given):
        raise KeyboardInterrupt

    monkeypatch.setattr(report, "run", interrupt)
    done = sdr("report")
    assert done.status == 130
    assert done.err.strip() == "sdr: interrupted"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4096 bytes"),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    ],
)
def test_a_lack_of_memory_is_told_in_one_line(sdr, monkeypatch, error):
    def run_out(given):
        raise error

    monkeypatch.setattr(report, "run", run_out)
    sdr("report").refused("sdr: there is not enough memory")


# As a process of its own


INSTALLED = Path(sys.executable).with_name("sdr")


SDR = [str(INSTALLED)] if INSTALLED.exists() else [sys.executable, "-c", "from utils.commands.main import main; main()"]


def process(command: list, **given) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    given = {"stdout": subprocess.PIPE} | given
    return subprocess.run(list(map(str, command)), env=environment, stderr=subprocess.PIPE, text=True, **given)


def test_a_process_reports_bad_input_in_one_line(trained, tmp_path):
    clip = write_bytes(tmp_path / "clip.wav", b"seven")
    done = process([*SDR, "predict", trained.checkpoint, clip], cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    kinds = "such as WAV, FLAC, OGG, MP3, M4A or WebM"
    assert done.stderr == f"sdr: {clip}: not an audio file ({kinds}), or a damaged one\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_is_reported_in_one_line(trained, corpus):
    with open("/dev/full", "w") as full:
        done = process([*SDR, "predict", trained.checkpoint, corpus.folder / "1_eve_0.wav"], stdout=full)
    assert done.returncode == 2 and done.stderr.startswith("sdr: ") and "Traceback" not in done.stderr


def test_help_does_not_import_torch(tmp_path):
    code = """
        import sys
        from utils.commands.main import main
        try:
            main(["--help"])
        finally:
            print("loaded", *sorted({"torch", "librosa", "pandas", "sklearn"} & set(sys.modules)))
    """
    done = process([sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.endswith("loaded\n")


@pytest.mark.parametrize("length", [10, 100_000])
def test_a_closed_pipe_is_no_error(tmp_path, length):
    """For example in `sdr report | head`."""
    code = f"""
        from utils.commands import report
        from utils.commands.main import main

        report.run = lambda given: print("x" * {length})
        main(["report"])
    """
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = process([sys.executable, "-c", textwrap.dedent(code)], cwd=tmp_path, stdout=writing)
    finally:
        os.close(writing)
    assert done.stderr == ""


@pytest.mark.parametrize("words", [["record", ""], ["evaluate", "x", "--metadata="], ["predict", "x", ""]])
def test_an_empty_argument_is_not_taken_for_the_current_folder(sdr, words):
    sdr(*words).refused("an argument is empty")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows deletes no folder that is in use")
def test_a_current_folder_that_has_been_deleted(sdr, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    try:
        sdr("data", "check", "table.tsv").refused("the current folder has been deleted")
    finally:
        os.chdir(tmp_path)
