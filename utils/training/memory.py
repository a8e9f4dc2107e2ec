"""Keeps the memory of a training flat: batches of varying length would scatter it. No number depends on this."""

import ctypes
import sys

EVERY = 8  # batches after which free memory is returned


def release() -> None:
    """Return free memory to the system, where the C library keeps what lies between blocks in use (glibc, on Linux)."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries do not have it
        if trim is not None:
            trim(0)
