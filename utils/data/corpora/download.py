"""Downloading archives over HTTP. An interrupted download is resumed."""

import functools
import hashlib
import os
from pathlib import Path

import pooch
import requests
from tqdm import tqdm

from utils import InputError

TIMEOUT = 30  # seconds without any data before giving up on the server


def download(url: str, folder: Path, clips: Path, progress: bool) -> Path:
    """Download an archive into a folder and return its path. An interrupted download leaves a `.part` to resume from.

    Args:
        url: the archive's address.
        folder: the folder to download to. An archive that is already there is not downloaded again.
        clips: the folder that the clips belong in. Error messages mention it to those without a network.
        progress: whether to show a progress bar.

    Raises:
        InputError: the server cannot be reached, answers with an error, or closes the connection early.
    """
    address = hashlib.sha256(url.encode()).hexdigest()[:12]  # so that a download is only resumed from the same address
    archive = folder / f"archive-{address}.zip"
    part = archive.with_suffix(".part")
    downloader = functools.partial(_resume, part=part, progress=progress)
    by_hand = f"; or put the clips into {clips} by hand"
    # The archive has no fixed checksum, as GitHub may repack it at any time. Its contents are checked instead.
    pooch.get_logger().setLevel("WARNING")  # otherwise it suggests pinning the checksum
    try:
        pooch.retrieve(url, known_hash=None, path=folder, fname=archive.name, downloader=downloader)
    except requests.HTTPError as error:
        answer = f"{error.response.status_code} {error.response.reason}"
        raise InputError(f"{url}: the server answered {answer}; try again later{by_hand}") from None
    except requests.RequestException as error:
        if part.exists() and (size := part.stat().st_size):
            why = f"the connection broke after {size / 1e6:.1f} MB; run the same command again to resume"
        else:
            why = f"cannot be reached ({type(error).__name__}): check the network, then run the same command again"
        raise InputError(f"{url}: {why}{by_hand}") from None
    return archive


def _resume(url: str, output_file: str, _: object, *, part: Path, progress: bool) -> None:
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
            return _resume(url, output_file, _, part=part, progress=progress)
        response.raise_for_status()
        start = have if response.status_code == 206 else 0  # 200: the server ignores ranges and sends everything
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None  # GitHub does not always send it
        bar = tqdm(total=total, initial=start, unit="B", unit_scale=True, disable=not progress)
        with bar, open(part, "r+b" if start else "wb") as file:
            file.seek(start)
            for block in response.iter_content(2**14):
                bar.update(file.write(block))
            if total is not None and file.tell() != total:
                raise requests.ConnectionError("the connection closed early")
    os.replace(part, output_file)
