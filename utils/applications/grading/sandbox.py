"""Runs a submission's code in a process of its own, with limits (see `seal`), and brings back its answers.

docs/grading.md says what this protects from, and what not.
"""

import contextlib
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from utils import NO_MEMORY, InputError, plain
from utils.applications.grading import seal
from utils.applications.grading.seal import ANSWER, MOST_FILE, REQUEST, STARTED
from utils.applications.grading.submission import Submission
from utils.applications.grading.worker import (
    CHECKPOINT,
    CLIPS,
    EVALUATED,
    LOGITS,
    MODELS,
    SHUFFLED,
    TRAINING,
)
from utils.experiments import checkpoints
from utils.experiments.contract import CHECKS
from utils.files import read_json
from utils.paths import PROJECT
from utils.settings import build, check_limits

START = "import sys; _, code, folder = sys.argv; sys.path.insert(0, code); from {0} import main; main(folder)"
# namespaces without a network, and in which all processes end with the first, and that with the grader
UNSHARED = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--user", "--map-current-user", "--net", "--ipc", "--pid", "--fork", "--kill-child"),
)
# joblib would warn that it cannot use several processes, as if that were why there is no answer
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1") | {
    "JOBLIB_MULTIPROCESSING": "0"
}
STARTING = 120  # seconds, at most, until the submission's code is reached
LONGEST = 1000  # characters of a message


@dataclass(frozen=True)
class Limits:
    """What a submission's code may use: seconds, and bytes of memory."""

    seconds: int = 300
    memory: int = 4 * 2**30


LIMITS = Limits()
_running: set[subprocess.Popen] = set()


@dataclass(frozen=True)
class Facts:
    """What `worker.run` finds out besides logits.

    Attributes:
        model: the name of its network.
        seconds_per_clip: to recognise a clip alone.
        still_training: parts that evaluation mode leaves in training mode.
        parameters, multiply_adds: see `utils.evaluation.metrics.cost`.
        contract: for each promise, how it was broken, or None.
    """

    model: str
    seconds_per_clip: float
    still_training: tuple[str, ...]
    parameters: int
    multiply_adds: int
    contract: dict

    def __post_init__(self):
        check_limits(self, seconds_per_clip=(0, 10**6), parameters=(0, 10**12), multiply_adds=(0, 10**18))
        if self.contract.keys() != CHECKS.keys() or {*map(type, self.contract.values())} - {str, type(None)}:
            raise ValueError("contract: expected a text or null for each promise")


@dataclass(frozen=True)
class Answers:
    """What came back from the sandbox.

    Attributes:
        facts: see `Facts`.
        logits: by circumstance, finite (clips, 10).
        attempts: what the code tried beyond computing, and was refused.
        kept_by: the limits that were in force, in words.
    """

    facts: Facts
    logits: dict[str, np.ndarray]
    attempts: tuple[str, ...]
    kept_by: tuple[str, ...]


def ask(submission: Submission, clips: Sequence[Tensor], changed: Sequence[Tensor], limits: Limits) -> Answers:
    """The answers of a submission's model for features: lists of (frames, mels).

    Raises:
        InputError: in one line, why the submission does not answer.
    """
    with _folder(submission) as work:
        fill(work, submission, clips, changed, limits)
        problem = _run(work, limits)
        answer = _read_answer(work / ANSWER)
        if answer is None or "problem" in answer:
            raise InputError(f"{submission.name}: {problem if answer is None else _line(answer['problem'])}")
        try:
            logits = _read_logits(work / LOGITS)
            facts = _read_facts(answer)
            kept = {"files": "no files but its own", "resources": f"{limits.memory / 2**30:g} GB of memory"}
            inside = [text for key, text in kept.items() if answer["limits"][key]]
            attempts = tuple(map(_line, answer["attempts"]))
        except Exception:  # the code can have written what it likes, of which each decompressor raises its own kinds
            raise InputError(f"{submission.name}: its answers cannot be read") from None
    rows = {name: len(clips if name == "alone" else changed) for name in logits}
    if any(found.shape != (rows[name], 10) for name, found in logits.items()):
        raise InputError(f"{submission.name}: `forward` must return logits (batch, 10)")
    if not all(np.isfinite(logits[name]).all() for name in EVALUATED):  # nothing differs from NaN, nor is like it
        raise InputError(f"{submission.name}: its logits are not finite (NaN or infinite)")
    outside = ["no network"] if can_unshare() else []
    return Answers(facts, logits, attempts, (*outside, *inside, f"{limits.seconds} s"))


@contextlib.contextmanager
def _folder(submission: Submission) -> Iterator[Path]:
    """The temporary folder that the process works in."""
    try:
        with tempfile.TemporaryDirectory(prefix="sdr-grade-") as folder:
            yield Path(folder).resolve()
    except RecursionError:  # from copying its modules, or from removing what its code made
        raise InputError(f"{submission.name}: its folders are nested too deeply") from None


def fill(
    work: Path, submission: Submission, clips: Sequence[Tensor], changed: Sequence[Tensor], limits: Limits
) -> None:
    """Put into the folder what the process is to see: copies, so that it can spoil nothing."""
    (work / CHECKPOINT).mkdir()
    for name in (checkpoints.WEIGHTS, checkpoints.SNAPSHOT, checkpoints.CHECKSUMS):
        if (submission.checkpoint / name).is_file():
            shutil.copyfile(submission.checkpoint / name, work / CHECKPOINT / name)
    if submission.models is not None:
        ignored = shutil.ignore_patterns("__pycache__", ".*")
        shutil.copytree(submission.models, work / MODELS, symlinks=True, ignore=ignored)  # a link may lead anywhere
    arrays: dict[str, Any] = {}
    for name, features in (("clips", clips), ("changed", changed)):
        arrays[name] = np.concatenate([clip.numpy() for clip in features])
        arrays[f"{name}_lengths"] = np.array([len(clip) for clip in features])
    np.savez(work / CLIPS, **arrays)
    request = {"memory": limits.memory, "seconds": limits.seconds}
    (work / REQUEST).write_text(json.dumps(request), encoding="utf-8")


def _run(work: Path, limits: Limits) -> str:
    """Start the process and wait for it. Returns why there may be no answer."""
    known = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "LANG") if name in os.environ}
    places = {"HOME": str(work), "TMPDIR": str(work), "TEMP": str(work)}
    python = [sys.executable, "-I", "-B", "-c", START.format(seal.__name__), str(PROJECT), str(work)]
    command = [*UNSHARED, *python] if can_unshare() else python
    with tempfile.TemporaryFile() as errors:  # without a name, so that the code cannot put something else in its place
        process = subprocess.Popen(
            command, cwd=work, env=known | places | ONE_THREAD, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=errors, start_new_session=True,
        )  # fmt: skip
        _running.add(process)
        try:
            began = time.monotonic()
            while process.poll() is None and not (work / STARTED).exists() and time.monotonic() < began + STARTING:
                time.sleep(0.05)
            status = process.wait(limits.seconds)
        except subprocess.TimeoutExpired:
            return f"no answer within {limits.seconds} s"
        finally:
            _end(process)
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - 5000))
        said = errors.read().decode(errors="replace")
    if any(sign in said for sign in (*NO_MEMORY, "MemoryError", "bad_alloc")):
        return f"it needs more than the {limits.memory / 2**30:g} GB of memory that it may use"
    last = said.strip().splitlines()[-1:] or [f"exit status {status}"]
    return f"its process ended without an answer ({_line(last[0])})"


def end_all() -> None:
    """Kill all processes that are running, for example when the user interrupts."""
    for process in tuple(_running):
        _end(process)


def _end(process: subprocess.Popen) -> None:
    """Kill whatever is left of the process and its children."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
    _running.discard(process)


def _read_answer(path: Path) -> dict | None:
    """The answer that the process left, if it did."""
    try:
        answer = read_json(path) if _is_file(path) else None
    except InputError:
        return None
    return answer if isinstance(answer, dict) else None


def _read_logits(path: Path) -> dict[str, np.ndarray]:
    """The logits that the process left, by circumstance, as they are. Errors are of any kind."""
    if not _is_file(path):
        raise FileNotFoundError(path)
    with zipfile.ZipFile(path) as parts:
        if sum(part.file_size for part in parts.infolist()) > MOST_FILE:
            raise ValueError(f"more than {MOST_FILE} bytes")
    with np.load(path, allow_pickle=False) as stored:
        logits = {name: stored[name] for name in (*EVALUATED, *SHUFFLED, TRAINING)}
    if wrong := [name for name, found in logits.items() if found.dtype != np.float32]:
        raise TypeError(f"not float32: {wrong}")
    return logits


def _read_facts(answer: dict) -> Facts:
    """The facts among the answers. Raises `KeyError` or `InputError` if they are none."""
    facts = build(Facts, {field.name: answer[field.name] for field in fields(Facts)}, "facts")
    contract = {name: message and _line(message) for name, message in facts.contract.items()}
    return replace(
        facts, model=_line(facts.model), contract=contract, still_training=tuple(map(_line, facts.still_training))
    )


def _is_file(path: Path) -> bool:
    """Whether a file is what it seems: reading a pipe might never end, and a link may lead out of the folder."""
    return path.is_file() and not path.is_symlink()


@functools.cache
def can_unshare() -> bool:
    """Whether this system gives processes namespaces of their own, and so no network."""
    try:
        return subprocess.run([*UNSHARED, "true"], capture_output=True, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _line(text: object) -> str:
    return plain(" ".join(str(text).split()))[:LONGEST]
