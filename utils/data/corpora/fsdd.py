"""The Free Spoken Digit Dataset (FSDD), the course's clips. Each one is verified; missing ones are downloaded."""

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
class FetchReport:
    """The outcome of `fetch`.

    Attributes:
        folder: the folder of the clips.
        clips: the number of clips, all of them verified.
        fetched: how many of them had to be fetched.
    """

    folder: Path
    clips: int
    fetched: int

    def __str__(self) -> str:
        return f"{self.folder}: {self.clips} clips verified, {self.fetched} of them newly fetched"


def fetch(
    folder: Path, *, url: str = ARCHIVE_URL, metadata: Path = COURSE_METADATA, progress: bool = True
) -> FetchReport:
    """Make sure that a folder contains every clip of a metadata table, with the right checksum.

    Clips that are already there are verified and kept. The archive (16 MB) is downloaded only if a clip is missing or
    wrong; it goes to the same folder and is deleted afterwards. The next call resumes an interrupted download.

    Args:
        folder: the folder of the clips; created if necessary. Files are named as in the table.
        url: a zip archive that contains the clips, in any of its folders.
        metadata: a TSV with the columns `file` and `sha256`.
        progress: whether to show progress bars.

    Raises:
        InputError: the table has no checksums; the archive cannot be downloaded, is damaged, lacks a clip or contains
            a wrong one; or the folder cannot be written to. No clip is ever left incomplete.
    """
    folder = Path(folder)
    checksums = _read_checksums(Path(metadata))
    try:
        checked = tqdm(checksums, "checking clips", unit="clip", leave=False, disable=not progress)
        wanted = {name: checksums[name] for name in checked if not _is_right(folder / name, checksums[name])}
        if wanted:
            folder.mkdir(parents=True, exist_ok=True)
            archive = download(url, folder, folder, progress)
            try:
                clips = _read_clips(archive, wanted, url)
            except InputError:
                archive.unlink()  # so that the next run downloads it again
                raise
            for name in tqdm(clips, "writing clips", unit="clip", leave=False, disable=not progress):
                _write(folder / name, clips[name])
            archive.unlink()
    except OSError as error:
        raise InputError(f"{error.filename or folder}: {error.strerror or error}") from None
    return FetchReport(folder, len(checksums), len(wanted))


def _read_checksums(metadata: Path) -> dict[str, str]:
    """The table's checksums by file name. (`read_metadata` would reject a table whose clips are missing.)"""
    try:
        with open(metadata, encoding="utf-8", newline="") as file:
            checksums = {Path(row["file"]).name: row["sha256"] for row in csv.DictReader(file, delimiter="\t")}
    except OSError as error:
        raise InputError(f"{metadata}: {error.strerror or error}") from None
    except (KeyError, TypeError, UnicodeDecodeError, csv.Error):
        raise InputError(f"{metadata}: not a metadata table with the columns 'file' and 'sha256'") from None
    return checksums


def _is_right(clip: Path, expected: str) -> bool:
    return clip.is_file() and sha256(clip) == expected


def _read_clips(archive: Path, wanted: dict[str, str], url: str) -> dict[str, bytes]:
    """The contents of the wanted clips, verified. Clips are found by file name; the archive's folders are ignored."""
    clips = {}
    try:
        with zipfile.ZipFile(archive) as zipped:
            members = {PurePosixPath(member.filename).name: member for member in zipped.infolist()}
            for name in wanted:
                if name in members:
                    clips[name] = zipped.read(members[name])
    except Exception as error:  # a damaged archive raises BadZipFile, zlib.error, ValueError and more
        why = "is damaged or not a zip archive; it was deleted, run the same command again to download it again"
        raise InputError(f"{url}: the download {why} ({type(error).__name__})") from None
    for name, expected in wanted.items():
        if name not in clips:
            raise InputError(f"{url}: the archive does not contain the clip {name}; it was deleted")
        if hashlib.sha256(clips[name]).hexdigest() != expected:
            raise InputError(f"{url}: the archive's clip {name} has the wrong checksum; the archive was deleted")
    return clips


def _write(clip: Path, content: bytes) -> None:
    write_atomically(clip, lambda path: path.write_bytes(content))
