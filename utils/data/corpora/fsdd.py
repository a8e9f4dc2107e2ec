"""The course's clips, the Free Spoken Digit Dataset: fetched where they are missing, checked one by one."""

import csv
import hashlib
import zipfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from utils import InputError
from utils.data.corpora.download import download
from utils.files import sha256, write_atomically
from utils.paths import COURSE_METADATA

COMMIT = "26eb9aaf76e81b692f806f9140c2d2777410d7a1"
ARCHIVE_URL = f"https://github.com/Jakobovski/free-spoken-digit-dataset/archive/{COMMIT}.zip"


@dataclass(frozen=True)
class Report:
    """What `fetch` found and did: of so many `clips` in `folder`, it had to fetch `fetched`."""

    folder: Path
    clips: int
    fetched: int

    def __str__(self) -> str:
        return f"{self.folder}: {self.clips} clips with the right sums, {self.fetched} of them fetched now"


def fetch(folder: Path, *, url: str = ARCHIVE_URL, metadata: Path = COURSE_METADATA, progress: bool = True) -> Report:
    """Make sure that a folder holds every clip of a metadata table, with the right bytes.

    What lies there already is checked and kept. Only if a clip is missing or wrong is the archive downloaded
    (16 MB, into the same folder, and deleted in the end). A broken download is resumed by the next call.

    Args:
        folder: where the clips lie, named as in the table; it is made if need be.
        url: a zip archive that holds the clips, under any folder.
        metadata: a TSV with the columns `file` and `sha256`.
        progress: whether to show progress bars.

    Raises:
        InputError: the table has no sums, the archive cannot be downloaded, is damaged, lacks a clip or holds
            a wrong one, or the folder cannot be written. No clip is ever left half-written.
    """
    folder = Path(folder)
    sums = _read_sums(Path(metadata))
    try:
        checked = tqdm(sums, "checking clips", unit="clip", leave=False, disable=not progress)
        wanted = {name: sums[name] for name in checked if not _is_right(folder / name, sums[name])}
        if wanted:
            folder.mkdir(parents=True, exist_ok=True)
            archive = download(url, folder, folder, progress)
            try:
                clips = _read_clips(archive, wanted, url)
            except InputError:
                archive.unlink()  # it would be as bad in the next run: let that one start afresh
                raise
            for name in tqdm(clips, "writing clips", unit="clip", leave=False, disable=not progress):
                write_atomically(folder / name, lambda path, name=name: path.write_bytes(clips[name]))
            archive.unlink()
    except OSError as error:
        raise InputError(f"{error.filename or folder}: {error.strerror or error}") from None
    return Report(folder, len(sums), len(wanted))


def _read_sums(metadata: Path) -> dict[str, str]:
    """The table's sums by the clips' names. (`read_metadata` refuses a table whose clips are missing.)"""
    try:
        with open(metadata, encoding="utf-8", newline="") as file:
            sums = {Path(row["file"]).name: row["sha256"] for row in csv.DictReader(file, delimiter="\t")}
    except OSError as error:
        raise InputError(f"{metadata}: {error.strerror or error}") from None
    except (KeyError, TypeError, UnicodeDecodeError, csv.Error):
        raise InputError(f"{metadata}: not a metadata table with the columns 'file' and 'sha256'") from None
    return sums


def _is_right(clip: Path, expected: str) -> bool:
    return clip.is_file() and sha256(clip) == expected


def _read_clips(archive: Path, wanted: dict[str, str], url: str) -> dict[str, bytes]:
    """The wanted clips' bytes, each checked. Only their names count, never the archive's own paths."""
    clips = {}
    try:
        with zipfile.ZipFile(archive) as zipped:
            members = {PurePosixPath(member.filename).name: member for member in zipped.infolist()}
            for name in wanted:
                if name in members:
                    clips[name] = zipped.read(members[name])
    except Exception as error:  # damage shows as BadZipFile, zlib.error, ValueError, and many more
        why = "is damaged or no zip archive; it was deleted, run the same again to download it afresh"
        raise InputError(f"{url}: what was downloaded {why} ({type(error).__name__})") from None
    for name, expected in wanted.items():
        if name not in clips:
            raise InputError(f"{url}: the archive holds no clip {name}; it was deleted")
        if hashlib.sha256(clips[name]).hexdigest() != expected:
            raise InputError(f"{url}: the archive's clip {name} has a wrong sum; the archive was deleted")
    return clips
