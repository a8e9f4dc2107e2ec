"""Limits that a process puts on itself before it runs code that nobody has read. The sandbox starts it here.

Three layers: resource limits (POSIX), the kernel's Landlock (Linux 5.13 and newer) for files and TCP, and an audit hook
of Python, which works everywhere and notes what was tried, but which code that means to can get around.

Only the standard library is imported at first, so that the limits hold before PyTorch starts threads.
"""

import ctypes
import json
import os
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

from utils.paths import PROJECT

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

MOST_FILE = 2**28  # bytes of a file that is written
STARTING = 60  # seconds of computing before the submission's code is reached, at most
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # system calls, the same on all processors
NO_NEW_PRIVILEGES, PATH_BENEATH = 38, 1
EXECUTE, WRITE, READ, READ_DIR, TRUNCATE = 1 << 0, 1 << 1, 1 << 2, 1 << 3, 1 << 14
HANDLED = (2**13, 2**14, 2**15, 2**15, 2**16)  # by version: as many kinds of access as it knows, one bit each
TCP = 0b11  # to bind and to connect

# events of the audit hook; their first argument is a path where it matters
READING = ("os.listdir", "os.scandir")
CHANGING = (
    "os.chmod", "os.chown", "os.link", "os.mkdir", "os.mkfifo", "os.remove", "os.rename", "os.rmdir", "os.symlink",
    "os.truncate", "os.utime",
)  # fmt: skip
PROGRAMS = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty")
NETWORK = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
WRITING_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
MOST_ATTEMPTS = 20  # that are noted

REQUEST, STARTED, ANSWER = "request.json", "started", "answer.json"  # in the folder that the process works in
CODE = ("utils", "model_baseline", "model_neural")  # of the project; what else lies there is not for the submission
SYSTEM = ("/usr", "/lib", "/lib64", "/etc", "/proc", "/dev", "/sys", "/opt")


def main(folder: str) -> None:
    """Seal this process into `folder`, then answer the request there (see `worker`)."""
    work = Path(folder)
    request = json.loads((work / REQUEST).read_text(encoding="utf-8"))
    installed = [place for place in map(Path, (sys.prefix, sys.base_prefix, *sys.path)) if place != PROJECT]
    readable = [*(PROJECT / name for name in CODE), *map(Path, SYSTEM), *installed]
    limits = {
        "resources": limit_resources(request["memory"], request["seconds"]),
        "files": restrict_files(readable, work),
    }
    from utils.applications.grading import worker

    attempts = watch(readable, work)
    (work / STARTED).touch()  # the clock of the submission's code starts here
    answer = worker.answer(work) | {"limits": limits, "attempts": attempts}
    (work / ANSWER).write_text(json.dumps(answer), encoding="utf-8")


def limit_resources(memory: int, seconds: int) -> bool:
    """Limit memory (bytes), computing time, and the size of files. Returns whether the system can."""
    if resource is None:
        return False
    for name, most in (("DATA", memory), ("CPU", seconds + STARTING), ("FSIZE", MOST_FILE), ("CORE", 0)):
        kind = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (most, most))
    return sys.platform == "linux"  # elsewhere RLIMIT_DATA does not cover what is mapped


def restrict_files(readable: Sequence[Path], writable: Path) -> bool:
    """Let this process and its children open nothing but these, and no TCP connection. Returns whether the kernel can.

    See https://docs.kernel.org/userspace-api/landlock.html.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(CREATE_RULESET, None, 0, 1)
    if version < 1:
        return False
    handled = HANDLED[min(version, len(HANDLED)) - 1] - 1
    attributes = struct.pack("QQ", handled, TCP)[: 16 if version >= 4 else 8]
    rules = libc.syscall(CREATE_RULESET, attributes, len(attributes), 0)
    if rules < 0:
        return False
    of_files = EXECUTE | WRITE | READ | TRUNCATE
    try:
        for path, access in (*((path, EXECUTE | READ | READ_DIR) for path in readable), (writable, handled)):
            if not path.exists():
                continue
            place = os.open(path, os.O_PATH)
            allowed = (access if path.is_dir() else access & of_files) & handled
            added = libc.syscall(ADD_RULE, rules, PATH_BENEATH, struct.pack("=Qi", allowed, place), 0)
            os.close(place)
            if added < 0:
                return False
        libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        return libc.syscall(RESTRICT_SELF, rules, 0) == 0
    finally:
        os.close(rules)


def watch(readable: Sequence[Path], writable: Path) -> list[str]:
    """From now on refuse other files, programs and connections to Python code. Attempts appear in the returned list."""
    may_read = tuple(os.path.realpath(path) for path in (*readable, writable))
    may_write = (os.path.realpath(writable), os.devnull)
    attempts: list[str] = []

    def refuse(what: str) -> None:
        if what not in attempts and len(attempts) < MOST_ATTEMPTS:
            attempts.append(what)
        raise PermissionError(f"a graded model may not {what}")

    def within(path: object, places: Sequence[str]) -> bool:
        if isinstance(path, int):
            return True  # an open file
        full = os.path.realpath(os.fsdecode(path))  # type: ignore[arg-type]
        return any(full == place or full.startswith(place.rstrip(os.sep) + os.sep) for place in places)

    def hook(event: str, given: tuple) -> None:
        if event == "open" and given[0] is not None:
            writes = bool((given[2] or 0) & WRITING_FLAGS)
            if not within(given[0], may_write if writes else may_read):
                refuse(f"{'write' if writes else 'open'} {given[0]}")
        elif event in READING:
            if not within(given[0] if given[0] is not None else ".", may_read):
                refuse(f"list {given[0]}")
        elif event in CHANGING:
            if not within(given[0], may_write):
                refuse(f"change {given[0]}")
        elif event in PROGRAMS:
            refuse("start another program")
        elif event in NETWORK:
            refuse("use the network")

    sys.addaudithook(hook)
    return attempts
