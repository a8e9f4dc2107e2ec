"""Keeps the memory of a training low and flat: batches of varying length would scatter it. No number depends on this.

Only glibc (on Linux) has these functions; elsewhere nothing is done.
"""

import ctypes
import sys

EVERY = 8  # batches after which free memory is returned
LARGE = 2**22  # bytes of a block that is returned as soon as it is free; smaller blocks would take time
_MMAP_THRESHOLD = -3  # of malloc.h


def return_large_blocks() -> None:
    """Have blocks of at least `LARGE` bytes returned to the system at once. By itself, glibc would raise the limit."""
    _call("mallopt", _MMAP_THRESHOLD, LARGE)


def release() -> None:
    """Return free memory to the system, which the C library keeps where it lies between blocks in use."""
    _call("malloc_trim", 0)


def _call(name: str, *arguments: int) -> None:
    if sys.platform == "linux":
        function = getattr(ctypes.CDLL(None), name, None)  # other C libraries do not have it
        if function is not None:
            function(*arguments)
