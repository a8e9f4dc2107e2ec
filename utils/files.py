"""Files and folders that are written whole or not at all, whenever the process is killed."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from utils import InputError


def write_atomically(path: str | Path, write: Callable[[Path], object]) -> None:
    """Call `write` with a temporary path beside `path`, then put the result in place in one step.

    Raises `InputError` where the disk is full, the folder cannot be written to, or `path` is a folder or a device.
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: is no file that could be replaced")
    with _plain_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f".{os.getpid()}-{path.name}"  # keeps the ending, which some writers look at
        try:
            write(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def check_writable(folder: str | Path) -> None:
    """Raise `InputError` where nothing could be written to a folder, there already or not: asked before long work."""
    place = Path(folder)
    while not place.exists():
        place = place.parent
    with _plain_errors(Path(folder)):
        tempfile.TemporaryFile(dir=place).close()


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """A temporary folder to fill, which takes the place of `path` (and of what was there) when the block ends well."""
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
                    path.replace(old)  # a folder cannot replace one that is not empty
                filled.replace(path)
            except BaseException:
                if old.exists():
                    old.replace(path)
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def sha256(path: str | Path) -> str:
    """The SHA-256 digest of a file's bytes, in hexadecimal. Raises `InputError` for a file that cannot be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder, not a file") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None


@contextmanager
def _plain_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: could not be written ({error.strerror or error})") from None
    except RuntimeError as error:
        if "inline_container" not in str(error) and "iostream" not in str(error):
            raise
        raise InputError(f"{path}: could not be written (is the disk full?)") from None  # so torch.save puts it
