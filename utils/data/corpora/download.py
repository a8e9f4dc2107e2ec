"""Downloading archives over HTTP, and the clips in them. An interrupted download is resumed."""

import functools
import hashlib
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import pooch
import requests

from utils import InputError
from utils.files import atomic_folder, check_replaceable, sha256, write_atomically, writing
from utils.progress import Progress

TIMEOUT = 30  # seconds without any data before giving up on the server


def download(url: str, folder: Path, clips: Path, checksum: str | None = None) -> Path:
    """Download an archive into a folder and return its path. An interrupted download leaves a `.part` to resume from.

    If the variable `SDR_MIRROR` names a mirror, the archive comes from there: MIRROR/github.com/... What it contains is
    checked all the same.

    Args:
        url: the archive's address.
        folder: where to download it; created if necessary. An archive that is already there is not downloaded again.
        clips: the folder that the clips belong in. Error messages mention it to those without a network.
        checksum: the archive's SHA-256. GitHub may repack its archives at any time: of those, check the contents.

    Raises:
        InputError: the server cannot be reached, answers with an error, or closes the connection early; the archive has
            another checksum and was deleted; or the folder cannot be written to.
    """
    if mirror := os.environ.get("SDR_MIRROR"):
        url = f"{mirror.rstrip('/')}/{url.partition('://')[2]}"
    address = hashlib.sha256(url.encode()).hexdigest()[:12]  # so that a download is only resumed from the same address
    archive = folder / f"archive-{address}{PurePosixPath(url).suffix}"
    part = archive.with_suffix(".part")
    downloader = functools.partial(_resume, part=part)
    by_hand = f"; or put the clips into {clips} by hand"
    pooch.get_logger().setLevel("WARNING")  # otherwise it suggests pinning a checksum where there is none
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            pooch.retrieve(url, known_hash=checksum, path=folder, fname=archive.name, downloader=downloader)
        except requests.HTTPError as error:
            answer = f"{error.response.status_code} {error.response.reason}"
            raise InputError(f"{url}: the server answered {answer}; try again later{by_hand}") from None
        except requests.RequestException as error:
            if part.exists() and (size := part.stat().st_size):
                why = f"the connection broke after {size / 1e6:.1f} MB; run the same command again to resume"
            else:
                why = f"cannot be reached ({type(error).__name__}): check the network, then run the same command again"
            raise InputError(f"{url}: {why}{by_hand}") from None
        except ValueError:  # from pooch, which has deleted the download
            why = "not the archive that was published (wrong checksum); it was deleted, run the same command again"
            raise InputError(f"{url}: {why} to download it again") from None
    return archive


def _resume(url: str, output_file: str, _: object, *, part: Path) -> None:
    """A downloader for pooch that resumes from `part`. Pooch's own would start over.

    If the archive has changed in the meantime, the two parts do not match. The clips' checksums reveal that.
    """
    have = part.stat().st_size if part.exists() else 0  # bytes
    headers = {"Accept-Encoding": "identity"}  # ranges count bytes of the file itself
    if have:
        headers["Range"] = f"bytes={have}-"
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        resumes = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if have and (response.status_code == 416 or response.status_code == 206 and not resumes):
            part.unlink()  # the server's file does not continue it, so it belongs to another
            return _resume(url, output_file, _, part=part)
        response.raise_for_status()
        start = have if response.status_code == 206 else 0  # 200: the server ignores ranges and sends everything
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None  # GitHub does not always send it
        bar = Progress(total=total, initial=start, unit="B", unit_scale=True)
        with bar, open(part, "r+b" if start else "wb") as file:
            file.seek(start)
            for block in response.iter_content(2**14):
                bar.update(file.write(block))
            if total is not None and file.tell() != total:
                raise requests.ConnectionError("the connection closed early")
    os.replace(part, output_file)


@contextmanager
def filled_from_archive(
    folder: Path, url: str, needed: int, checksum: str | None = None
) -> Iterator[tuple[Path, Path]]:
    """Download an archive, and fill a folder from it, completely or not at all.

    Args:
        folder: the folder of a corpus, not there yet or empty.
        url, checksum: as for `download`. The archive goes beside the folder. It is deleted when it has been
            unpacked or proves unusable, but not if the disk is full or the program is interrupted.
        needed: bytes of free disk.

    Yields:
        The archive, and a temporary folder, which becomes `folder` if the block ends without an error.

    Raises:
        InputError: the folder cannot be filled or has too little disk space, or as for `download`.
    """
    beside = folder.parent
    with writing(beside):
        beside.mkdir(parents=True, exist_ok=True)
    check_replaceable(folder, ())
    if (free := shutil.disk_usage(beside).free) < needed:
        raise InputError(f"{folder}: needs {needed / 1e9:.0f} GB of disk, and {free / 1e9:.1f} GB are free")
    archive = download(url, beside, folder, checksum)
    with atomic_folder(folder) as filled:
        try:
            yield archive, filled
        except InputError:
            archive.unlink()
            raise
    archive.unlink()


def fetch_clips(
    folder: Path,
    checksums: dict[str, str],
    url: str,
    name_in_archive: Callable[[str], str] = str,
) -> int:
    """Make sure that a folder contains clips with the right checksums; return how many had to be fetched.

    Clips that are already there are verified and kept. The archive is downloaded only if a clip is missing or wrong;
    it goes to the same folder and is deleted afterwards.

    Args:
        folder: the folder of the clips; created if necessary.
        checksums: the SHA-256 of each clip, by its file name.
        url: a zip archive that contains the clips, in any of its folders.
        name_in_archive: what the archive calls a clip, given its file name.

    Raises:
        InputError: the archive cannot be downloaded, is damaged, lacks a clip or contains a wrong one; or the folder
            cannot be written to. No clip is ever left incomplete.
    """
    checked = Progress(checksums, "checking clips", unit="clip")
    wanted = {name: checksums[name] for name in checked if not _is_right(folder / name, checksums[name])}
    if wanted:
        archive = download(url, folder, folder)
        try:
            clips = _read_clips(archive, wanted, url, name_in_archive)
        except InputError:
            archive.unlink()  # so that the next run downloads it again
            raise
        for name in Progress(clips, "writing clips", unit="clip"):
            write_atomically(folder / name, lambda new, name=name: new.write_bytes(clips[name]))  # type: ignore[misc]
        archive.unlink()
    return len(wanted)


def _is_right(clip: Path, expected: str) -> bool:
    return clip.is_file() and sha256(clip) == expected


def _read_clips(
    archive: Path, wanted: dict[str, str], url: str, name_in_archive: Callable[[str], str]
) -> dict[str, bytes]:
    """The contents of the wanted clips, verified. Clips are found by file name; the archive's folders are ignored."""
    clips = {}
    try:
        with zipfile.ZipFile(archive) as zipped:
            members = {PurePosixPath(member.filename).name: member for member in zipped.infolist()}
            for name in wanted:
                if (member := members.get(name_in_archive(name))) is not None:
                    clips[name] = zipped.read(member)
    except Exception as error:  # a damaged archive raises BadZipFile, zlib.error, ValueError and more
        why = "is damaged or not a zip archive; it was deleted, run the same command again to download it again"
        raise InputError(f"{url}: the download {why} ({type(error).__name__})") from None
    for name, expected in wanted.items():
        if name not in clips:
            raise InputError(f"{url}: the archive does not contain the clip {name}; it was deleted")
        if hashlib.sha256(clips[name]).hexdigest() != expected:
            raise InputError(f"{url}: the archive's clip {name} has the wrong checksum; the archive was deleted")
    return clips
