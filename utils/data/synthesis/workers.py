"""A function in a process of its own: if a synthesiser hangs or crashes, only that process is lost."""

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from utils import InputError

STARTING = 120.0  # seconds that a process may take to start


class WorkerLost(InputError):
    """The process hung or died."""


class Worker:
    """Calls a function in another process, which is started when it is first needed, and again after it is lost.

    Args:
        function: can be pickled, as can its arguments and what it returns.
        patience: seconds that a call may take.
    """

    def __init__(self, function: Callable, patience: float = 45.0):
        self.function, self.patience = function, patience
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def __call__(self, *arguments: Any) -> Any:
        """What the function returns.

        Raises:
            WorkerLost: the process hung, and was ended, or it died.
            InputError: the function failed.
        """
        try:
            pipe = self._pipe or self._start()
            pipe.send(arguments)
            done, result = self._receive(pipe, self.patience)
        except (EOFError, OSError):
            status = self.end()
            raise WorkerLost("it crashed" + (f" (signal {-status})" if status and status < 0 else "")) from None
        if not done:
            raise InputError(result)
        return result

    def end(self) -> int | None:
        """End the process. Returns its exit status; that of a process which had ended before is its own."""
        if self._process is None or self._pipe is None:
            return None
        self._pipe.close()
        self._process.join(0.2)  # it ends by itself when the pipe is closed, unless it hangs
        self._process.kill()
        self._process.join()
        status = self._process.exitcode
        self._process = self._pipe = None
        return status

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")  # a fork of a process with threads can hang
        pipe, other = context.Pipe()
        process = context.Process(target=_serve, args=(other, self.function), daemon=True)
        process.start()
        other.close()
        self._pipe, self._process = pipe, process
        self._receive(pipe, STARTING)
        return pipe

    def _receive(self, pipe: Connection, patience: float) -> Any:
        if not pipe.poll(patience):
            self.end()
            raise WorkerLost(f"no answer within {patience:g} s, so it was ended")
        return pipe.recv()


def _serve(pipe: Connection, function: Callable) -> None:
    """Report that the process has started, and answer calls until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that called
    pipe.send("ready")
    while True:
        try:
            arguments = pipe.recv()
        except EOFError:
            return
        try:
            answer = True, function(*arguments)
        except Exception as error:
            answer = False, str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        pipe.send(answer)
