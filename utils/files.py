"""Atomic writes: a file or folder is either complete or absent, even if the process is killed. And checksums."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from utils import InputError


def write_atomically(path: str | Path, write: Callable[[Path], object]) -> None:
    """Call `write` with a temporary path beside `path`, then move the result into place in one step.

    Raises:
        InputError: the disk is full, the folder is not writable, or `path` is a folder or a device.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: not a regular file, so it cannot be replaced")
    with _plain_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f".{os.getpid()}-{path.name}"  # same suffix: some writers go by it
        try:
            write(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def check_writable(folder: str | Path) -> None:
    """Raise `InputError` if a folder, which need not exist yet, cannot be written to. Call this before long work."""
    place = Path(folder)
    while not place.exists():
        place = place.parent
    with _plain_errors(Path(folder)):
        tempfile.TemporaryFile(dir=place).close()


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield a temporary folder to fill. It replaces `path`, contents and all, if the block ends without an error."""
    path = Path(path)
    with _plain_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        temporary.chmod(0o755)
        try:
            filled, old = temporary / "new", temporary / "old"
            filled.mkdir()
            yield filled
            try:
                if path.exists():
                    path.replace(old)  # a folder cannot replace another that is not empty
                filled.replace(path)
            except BaseException:
                if old.exists():
                    old.replace(path)
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def sha256(path: str | Path) -> str:
    """The SHA-256 checksum of a file, in hexadecimal. Raises `InputError` if the file cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: this is a folder, not a file") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None


@contextmanager
def _plain_errors(path: Path) -> Iterator[None]:
    """Turn errors while writing `path` into an `InputError`."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: could not be written ({error.strerror or error})") from None
    except RuntimeError as error:
        if "inline_container" not in str(error) and "iostream" not in str(error):
            raise
        raise InputError(f"{path}: could not be written (is the disk full?)") from None  # from torch.save
