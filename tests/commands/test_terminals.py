"""Output in any terminal, log or pipe: encodings, control characters, streams that are full or closed."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from utils.commands import output
from utils.paths import PROJECT

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="these names and streams exist on POSIX systems only")

ODD = b"caf\xe9 \x1b[31m\n.wav"  # not UTF-8; colours a terminal; breaks the line


def sdr_in_shell(redirections: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess:
    """Run `sdr` in a process of its own, whose standard streams are redirected as in a shell."""
    command = [sys.executable, "-c", "from utils.commands.main import main; main()", *map(os.fsencode, arguments)]
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": ""}
    environment |= variables
    return subprocess.run(["sh", "-c", f'"$@" {redirections}', "sh", *command], env=environment, capture_output=True)


@pytest.fixture
def odd(corpus, tmp_path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    try:
        shutil.copy(corpus.folder / "7_eve_1.wav", os.fsencode(folder) + b"/" + ODD)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    shutil.copy(corpus.folder / "7_eve_1.wav", folder / "\u65e5.wav")
    return folder


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, rb"\udce6\udc97\udca5.wav"),
        ({"PYTHONIOENCODING": "cp1252"}, rb"\u65e5.wav"),
        ({"PYTHONIOENCODING": "utf-8"}, "\u65e5.wav".encode()),
    ],
    ids=["LC_ALL=C", "cp1252", "utf-8"],
)
def test_names_are_printed_in_any_encoding_and_never_control_the_terminal(odd, variables, name):
    variables = {"PYTHONUTF8": "1"} | variables
    done = sdr_in_shell("", "predict", odd, odd / "no\x1bc.wav", **variables)
    first, second = done.stdout.splitlines()
    assert first.endswith(rb"caf\udce9 \x1b[31m\n.wav")
    assert second.endswith(name)
    assert done.returncode == 2 and done.stderr.startswith(b"sdr: ") and rb"no\x1bc.wav: there is no" in done.stderr
    assert done.stderr.count(b"\n") == 1 and b"\x1b" not in done.stdout + done.stderr


def test_the_name_of_a_speaker_cannot_control_the_terminal(capsys):
    output.printable(sys.stdout).write("eve\x1b]0;owned\x07\r\t\N{DEGREE SIGN}\n")
    assert capsys.readouterr().out == "eve\\x1b]0;owned\\x07\\r\t\N{DEGREE SIGN}\n"


@pytest.mark.parametrize(
    ("redirections", "status"),
    [
        ("2>&-", 2),
        (">&-", 2),
        (">&- 2>&- <&-", 2),
        ("2>/dev/full", 2),
        (">/dev/full", 2),
        (">/dev/full 2>/dev/full", 2),
    ],
)
def test_streams_that_are_closed_or_full_are_no_reason_for_a_traceback(corpus, tmp_path, redirections, status):
    if "full" in redirections and not Path("/dev/full").exists():
        pytest.skip("a device of Linux")
    files = (corpus.folder / "7_eve_1.wav", tmp_path / "none.wav")
    done = sdr_in_shell(redirections, "predict", *files)
    assert done.returncode == status and b"Traceback" not in done.stderr
    unseen = {">&-", ">/dev/full"} & set(redirections.split())
    assert done.stdout.endswith(b"" if unseen else b"7_eve_1.wav\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_help_that_cannot_be_written_is_an_error(unbuffered):
    done = sdr_in_shell(">/dev/full", "--help", PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 2 and done.stderr == b"sdr: [Errno 28] No space left on device\n"


def test_a_pipe_that_ends_is_no_error(corpus):
    done = sdr_in_shell("| head -n 0", "predict", *[corpus.folder / "7_eve_1.wav"] * 50)
    assert (done.stdout, done.stderr) == (b"", b"")
