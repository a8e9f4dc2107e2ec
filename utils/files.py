"""Files: written atomically, so that they are complete or absent even after a kill; read with errors in plain words."""

import hashlib
import json
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from filelock import FileLock, Timeout

from utils import InputError

NAME = re.compile(r"[\w-][\w.-]{0,99}")
ONE_FOLDER = re.compile(r"[^./\\\x00-\x1f][^/\\\x00-\x1f]{0,199}")
MAX_TEXT = 2**28  # bytes of a text file
FILLED = "checksums.json"  # in a folder of `fill_once`
BY_SYSTEM = (".DS_Store", "Thumbs.db", "desktop.ini")  # files that macOS and Windows put into any folder


def check_name(name: object, where: str) -> str:
    """Return a name that is safe in paths; otherwise raise an `InputError` that starts with `where`."""
    if type(name) is int:  # as in `experiment: 2024`
        name = str(name)
    if not isinstance(name, str):  # YAML reads `no` and 1.50 as something else
        raise InputError(f"{where}: expected a name, not {str(name)[:100]}; if it is one, put it in quotes")
    if not NAME.fullmatch(name):
        raise InputError(
            f"{where}: {str(name)[:100]!r} cannot be a name: use up to 100 letters, digits, '_', '-' and '.', and no "
            "'.' at the start"
        )
    return name


def run_folder(root: Path, experiment: str, split: str) -> Path:
    """The folder of an experiment's runs on a split, always two levels inside `root`. Raises `InputError` if not."""
    if not ONE_FOLDER.fullmatch(split):  # a fold is a speaker, whose name may have spaces
        raise InputError(f"{experiment}: {split[:100]!r} cannot be the name of a folder")
    return root / check_name(experiment, "experiment") / split


def write_atomically(path: str | Path, write: Callable[[Path], object]) -> None:
    """Call `write` with a temporary path beside `path`, then move the result into place in one step.

    Raises:
        InputError: the disk is full, the folder is not writable, or `path` is a folder or a device.
    """
    path = Path(path)
    with writing(path):
        _check_regular(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.parent / f".{os.getpid()}-{path.name}"  # same suffix: some writers go by it
        try:
            write(temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a text file in UTF-8, with "\\n" at the ends of lines. Errors as for `write_atomically`."""
    write_atomically(path, lambda new: new.write_text(text, encoding="utf-8", newline="\n"))


def write_json(path: str | Path, value: object) -> None:
    """Write a value as JSON. Errors as for `write_atomically`."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def check_writable(folder: str | Path) -> None:
    """Raise `InputError` if a folder, which need not exist yet, cannot be written to. Call this before long work."""
    place = Path(folder)
    with writing(place):
        while not place.exists() and not place.is_symlink():  # a link that leads nowhere cannot become a folder
            place = place.parent
        tempfile.TemporaryFile(dir=place).close()


def check_target(path: str | Path) -> None:
    """Raise `InputError` if a file, which need not exist yet, cannot be written. Call this before long work."""
    with writing(Path(path)):
        _check_regular(Path(path))
    check_writable(Path(path).parent)


def _check_regular(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: not a regular file, so it cannot be replaced")


def check_replaceable(folder: str | Path, patterns: Sequence[str]) -> None:
    """Raise `InputError` unless `folder` is absent, empty, or holds only files that this program writes there.

    Args:
        patterns: such as "figures/*.png". Files that match the first one must be among them.
    """
    folder, found, known = Path(folder), False, False
    if os.path.lexists(folder) and not folder.is_dir():
        raise InputError(f"{folder}: not a folder, so it cannot be replaced by one")
    with reading(folder):
        inside = list(folder.rglob("*"))
    for path in inside:
        name = path.relative_to(folder).as_posix()
        if path.name in BY_SYSTEM or (path.is_dir() and not path.is_symlink()):
            continue
        if not any(fnmatchcase(name, pattern) for pattern in patterns):
            raise InputError(f"{folder}: holds {name!r}, which was not written by this program; move it elsewhere")
        found, known = True, known or fnmatchcase(name, patterns[0])
    if found and not known:
        raise InputError(f"{folder}: was not written by this program, so it is not replaced; it has no {patterns[0]}")


@contextmanager
def atomic_folder(path: str | Path, patterns: Sequence[str] = ()) -> Iterator[Path]:
    """Yield a temporary folder to fill. It replaces `path`, contents and all, if the block ends without an error.

    Raises:
        InputError: there is a folder that was not made here (see `check_replaceable`), or it cannot be written.
    """
    path = Path(path)
    with writing(path):
        check_replaceable(path, patterns)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        try:
            filled, old = temporary / "new", temporary / "old"
            filled.mkdir()
            yield filled
            check_replaceable(path, patterns)  # again, as the work may have taken hours
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


@contextmanager
def one_process(path: str | Path) -> Iterator[None]:
    """Hold a lock, so that no two processes of this machine make the file or folder `path` at once.

    The second one says so and waits. The lock is a file in the system's temporary folder, so that nothing is written
    beside `path`; it is released even if the process is killed.
    """
    name = hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:16]
    user = getattr(os, "getuid", lambda: "")()  # on Windows, each user has a temporary folder
    lock = FileLock(Path(tempfile.gettempdir()) / f"sdr-{user}-{name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"waiting for another process that is writing {path}", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def fill_once(folder: Path, fill: Callable[[Path], object]) -> Path:
    """A folder of clips and their tables that `fill` has filled, now or earlier. Returns its path.

    It is complete if it is there, and holds the checksums of its files: a damaged one is filled anew. Errors as for
    `atomic_folder`.
    """
    if not _is_intact(folder):
        with one_process(folder):
            if not _is_intact(folder):  # nor has another process filled it meanwhile
                if folder.is_dir():
                    print(f"{folder}: damaged, or of an older version, so it is made anew", file=sys.stderr)
                with atomic_folder(folder, ("*.wav", "*metadata.tsv", FILLED)) as new:
                    fill(new)
                    sums = {path.relative_to(new).as_posix(): sha256(path) for path in files_in(new)}
                    write_json(new / FILLED, sums)
    return folder


def _is_intact(folder: Path) -> bool:
    """Whether `fill_once` has filled a folder, and no file has changed since."""
    try:
        sums = read_json(folder / FILLED)
        return isinstance(sums, dict) and all(sha256(folder / name) == sums[name] for name in sums)
    except InputError:
        return False


def files_in(folder: str | Path) -> list[Path]:
    """All files in a folder and its subfolders, sorted. Raises `InputError` if they cannot be listed."""
    with reading(folder):
        return sorted(path for path in Path(folder).rglob("*") if path.is_file())


def check_file(path: str | Path) -> None:
    """Raise `InputError` unless `path` is a regular file: opening a pipe may wait for ever, a device may never end."""
    with reading(path):
        mode = os.stat(path).st_mode
    if stat.S_ISDIR(mode):
        raise InputError(f"{path}: this is a folder, not a file")
    if not stat.S_ISREG(mode):
        raise InputError(f"{path}: not a regular file")


def read_text(path: str | Path, most: int = MAX_TEXT) -> str:
    """The content of a text file in UTF-8, without a byte order mark; line ends become "\\n".

    Raises:
        InputError: there is no such file, it is not text in UTF-8, or it has more than `most` bytes.
    """
    check_file(path)
    with reading(path):
        if (size := os.stat(path).st_size) > most:
            raise InputError(f"{path}: {size:,} bytes; at most {most:,} are read")
        try:
            return Path(path).read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise InputError(f"{path}: not a text file in UTF-8; save it again in that encoding") from None


def read_json(path: str | Path) -> object:
    """The value in a JSON file. Raises `InputError` if there is none, or a key is given twice."""
    text = read_text(path)
    try:
        return json.loads(text, object_pairs_hook=_mapping)
    except (ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else error
        raise InputError(f"{path}: not JSON ({why})") from None


def _mapping(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object, strictly: Python would silently keep the last value of a key that is given twice."""
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:100]!r} is given twice")
    return values


def sha256(path: str | Path) -> str:
    """The SHA-256 checksum of a file, in hexadecimal. Raises `InputError` if the file cannot be read."""
    check_file(path)
    with reading(path), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Turn errors while reading `path` into an `InputError`."""
    try:
        yield
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    except ValueError:  # a null byte in the name
        raise InputError(f"{path}: cannot be the name of a file") from None
    except RecursionError:  # Python 3.11 walks through folders recursively
        raise InputError(f"{path}: its folders are nested too deeply") from None


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Turn errors while writing `path` into an `InputError`."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: could not be written ({error.strerror or error})") from None
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can hold, or a file name that is no text
        raise InputError(f"{path}: could not be written, as its text has characters that Unicode lacks") from None
    except RuntimeError as error:
        if not any(word in str(error) for word in ("inline_container", "iostream", "System error")):
            raise
        # from torch.save, or from soundfile
        raise InputError(f"{path}: could not be written (is the disk full?)") from None
