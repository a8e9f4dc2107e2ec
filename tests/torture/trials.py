"""Trials: something is run in a child process with limits of time and memory, and what it did is judged.

The child is forked from a process that has imported everything, so a trial takes a twentieth of a second, not five.
"""

import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from utils.commands import main

MEMORY = 1.5e9  # bytes that a trial may take beyond what the parent has
SECONDS = 30.0  # of computing, or of waiting for something, until a trial counts as hanging
PAUSE = 0.005  # seconds between two looks at a trial
LONGEST_LINE = 2000  # characters of a message


@dataclass(frozen=True)
class Trial:
    """What to run in a folder, the exit statuses it may have, and a check of what it left if it ended well."""

    action: Callable[[], object]
    allowed: tuple[int, ...] = (0, 2)
    check: Callable[[], str | None] = lambda: None


def sdr(*arguments: object) -> Callable[[], object]:
    return partial(main.main, [str(argument) for argument in arguments])


@dataclass(frozen=True)
class Outcome:
    """What a trial did: its exit status (negative: the signal that ended it; None: it hung), and what it printed."""

    status: int | None
    out: str
    err: str
    seconds: float  # of computing
    memory: int  # bytes at the peak, beyond what the parent has


def fork(action: Callable[[], object], folder: Path, memory: float = MEMORY) -> int:
    """Start `action` in a child that works in `folder`, where it leaves `out` and `err`; returns the child's number.

    The child's exit status is that of the command: 0, or the one that it gives to `sys.exit`; 70 after a traceback.
    """
    number = os.fork()
    if number:
        return number
    status = 70
    try:
        try:
            os.chdir(folder)
            for stream, name in ((1, "out"), (2, "err")):
                opened = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.dup2(opened, stream)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
            _limit(memory)
            action()
            sys.stdout.flush()
            status = 0
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
            if isinstance(stop.code, str):
                print(stop.code, file=sys.stderr)  # as Python does
        except KeyboardInterrupt:
            status = 130
        except BaseException:
            traceback.print_exc(file=sys.__stderr__ if sys.stderr.closed else sys.stderr)
        for stream in (sys.stdout, sys.stderr):
            if not stream.closed:
                stream.flush()
    finally:
        os._exit(status)


def run(action: Callable[[], object], folder: Path, seconds: float = SECONDS) -> Outcome:
    """Run `action` in a child until it ends or hangs."""
    number, waited, computed = fork(action, folder), 0.0, 0.0
    while not (ended := os.wait4(number, os.WNOHANG))[0]:
        time.sleep(PAUSE)
        now = _computed(number)
        waited = 0.0 if now != computed or _is_runnable(number) else waited + PAUSE  # the machine may be busy
        computed = now
        if max(waited, computed) > seconds:
            os.kill(number, signal.SIGKILL)
            ended = os.wait4(number, 0)
            break
    used = ended[2].ru_utime + ended[2].ru_stime
    status = os.waitstatus_to_exitcode(ended[1]) if max(waited, computed) <= seconds else None
    out, err = ((folder / name).read_bytes().decode("utf-8", "backslashreplace") for name in ("out", "err"))
    return Outcome(status, out, err, used, 1024 * ended[2].ru_maxrss - _resident())


def problem(outcome: Outcome, allowed: tuple[int, ...] = (0, 2)) -> str | None:
    """What is wrong with how a command ended, if anything is: it must end well, or say in plain lines what is wrong."""
    lines = outcome.err.splitlines()
    if outcome.status is None:
        return f"hung, after {outcome.seconds:.0f} s of computing"
    if "Traceback" in outcome.err or outcome.status == 70:
        return f"traceback: {lines[-1] if lines else ''}"
    if outcome.status not in allowed:
        return f"exit status {outcome.status}: {outcome.err[-300:]}"
    if outcome.memory > MEMORY:
        return f"took {outcome.memory / 1e9:.1f} GB"
    if any("Warning:" in line for line in lines):
        return f"a warning for programmers: {outcome.err[:300]}"
    shown = "".join(lines)  # a progress bar may go back to the start of its line
    if bad := [letter for letter in shown if not letter.isprintable() and letter not in "\r\t"]:
        return f"an unprintable character {bad[0]!r}: {outcome.err[:300]!r}"
    if any(len(line) > LONGEST_LINE for line in lines):
        return f"a line of {max(map(len, lines))} characters"
    if outcome.status == 2 and not (lines and lines[-1].startswith("sdr: ") and len(lines[-1]) > 8):
        return f"no plain line: {outcome.err[-300:]!r}"
    return None


def _limit(memory: float) -> None:
    """Limit the memory of this process, and see that it leaves no core file and dies with its parent's time."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = int(pages * resource.getpagesize() + memory)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _computed(number: int) -> float:
    """The processor time that a process has used, in seconds."""
    return sum(map(int, _stat(number)[11:13])) / os.sysconf("SC_CLK_TCK")


def _is_runnable(number: int) -> bool:
    return _stat(number)[0] in "RD"


def _stat(number: int) -> list[str]:
    """What Linux says of a process, after its name (see proc_pid_stat(5))."""
    return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()


def _resident() -> int:
    """Bytes of this process's own memory, without the files that are mapped into it; a child begins with as much."""
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon:")]
    return 1024 * int(line.split()[1])
