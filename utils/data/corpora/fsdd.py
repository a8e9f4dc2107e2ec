"""The Free Spoken Digit Dataset (FSDD), the course's clips. Each one is verified; missing ones are downloaded."""

from pathlib import Path

from utils import InputError
from utils.data.corpora.download import fetch_clips
from utils.data.corpora.report import FetchReport
from utils.data.metadata import read_metadata
from utils.paths import COURSE_METADATA

COMMIT = "26eb9aaf76e81b692f806f9140c2d2777410d7a1"
ARCHIVE_URL = f"https://github.com/Jakobovski/free-spoken-digit-dataset/archive/{COMMIT}.zip"


def fetch(folder: Path, *, url: str = ARCHIVE_URL, metadata: Path = COURSE_METADATA) -> FetchReport:
    """Make sure that a folder contains every clip of a metadata table, with the right checksum.

    Clips that are already there are verified and kept. The archive (16 MB) is downloaded only if a clip is missing or
    wrong; it goes to the same folder and is deleted afterwards. The next call resumes an interrupted download.

    Args:
        folder: the folder of the clips; created if necessary. Files are named as in the table.
        url: a zip archive that contains the clips, in any of its folders.
        metadata: a metadata table with the column `sha256`.

    Raises:
        InputError: the table is faulty or has no checksums; the archive cannot be downloaded, is damaged, lacks a clip
            or contains a wrong one; or the folder cannot be written to. No clip is ever left incomplete.
    """
    folder = Path(folder)
    checksums = _read_checksums(Path(metadata))
    fetched = fetch_clips(folder, checksums, url)
    return FetchReport(folder, len(checksums), fetched)


def _read_checksums(metadata: Path) -> dict[str, str]:
    """The table's checksums by file name."""
    clips = read_metadata(metadata, complete=False)
    if "sha256" not in clips:
        raise InputError(f"{metadata}, row 1: no column 'sha256', by which clips are verified")
    return {Path(file).name: checksum for file, checksum in zip(clips["file"], clips["sha256"], strict=True)}
