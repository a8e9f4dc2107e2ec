"""What libraries in C write to standard error, past Python: it goes to a file instead."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

LOCK = threading.Lock()  # standard error is one for all threads


@contextmanager
def standard_error_to(file: BinaryIO) -> Iterator[None]:
    """Within this context, what the process writes to standard error goes to a file. One thread at a time."""
    with LOCK:
        try:
            kept = os.dup(2)
        except OSError:  # it is closed
            yield
            return
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
