"""Archives over HTTP, resumed where a connection broke."""

import functools
import hashlib
import os
from pathlib import Path

import pooch
import requests
from tqdm import tqdm

from utils import InputError

TIMEOUT = 30  # seconds without a byte, after which the server counts as gone


def download(url: str, folder: Path, clips: Path, progress: bool) -> Path:
    """Fetch an archive into a folder: where it lies now. If the download breaks, a `.part` stays for the next call.

    `clips` is the folder that its clips will go to, for whoever has to put them there by hand.

    Raises:
        InputError: the server cannot be reached, answers with an error, or stops before the end.
    """
    address = hashlib.sha256(url.encode()).hexdigest()[:12]  # never resume what came from another address
    archive = folder / f"archive-{address}.zip"
    part = archive.with_suffix(".part")
    downloader = functools.partial(_resume, part=part, progress=progress)
    by_hand = f"; or put the clips into {clips} by hand"
    # The archive has no sum: GitHub packs it anew at will, with other bytes. What is in it is checked instead.
    pooch.get_logger().setLevel("WARNING")  # it would advise to pin the sum
    try:
        pooch.retrieve(url, known_hash=None, path=folder, fname=archive.name, downloader=downloader)
    except requests.HTTPError as error:
        answer = f"{error.response.status_code} {error.response.reason}"
        raise InputError(f"{url}: the server answered {answer}; try again later{by_hand}") from None
    except requests.RequestException as error:
        if part.exists() and (size := part.stat().st_size):
            why = f"the connection broke after {size / 1e6:.1f} MB; run the same again to go on from there"
        else:
            why = f"cannot be reached ({type(error).__name__}): is there a network? Run the same again"
        raise InputError(f"{url}: {why}{by_hand}") from None
    return archive


def _resume(url: str, output_file: str, _: object, *, part: Path, progress: bool) -> None:
    """A downloader for pooch that goes on where the last one broke: pooch's own begins again.

    Should the archive have changed in between, the two do not fit together: the sums of the clips tell.
    """
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"}  # a range counts the file's own bytes
    if have:
        headers["Range"] = f"bytes={have}-"
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        goes_on = response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        if have and (response.status_code == 416 or response.status_code == 206 and not goes_on):
            part.unlink()  # the server has nothing after it: not the beginning of this file
            return _resume(url, output_file, _, part=part, progress=progress)
        response.raise_for_status()
        start = have if response.status_code == 206 else 0  # 200: the server ignores ranges and sends it all
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None  # GitHub does not always say
        bar = tqdm(total=total, initial=start, unit="B", unit_scale=True, disable=not progress)
        with bar, open(part, "r+b" if start else "wb") as file:
            file.seek(start)
            for block in response.iter_content(2**14):
                bar.update(file.write(block))
            if total is not None and file.tell() != total:
                raise requests.ConnectionError("the connection closed early")
    os.replace(part, output_file)
