"""A download that is interrupted resumes where it stopped, whatever the server does."""

import hashlib
import random

import pytest
import requests
from data_helpers import contents, input_error

from utils import InputError
from utils.data.corpora.download import download

ARCHIVE = random.Random(0).randbytes(200_000)


@pytest.fixture
def fetch(server, tmp_path):
    """`fetch()` downloads the archive from the test's own server into `fetch.folder` and returns its contents."""
    server.content = ARCHIVE

    def run() -> bytes:
        archive = download(server.url, run.folder, tmp_path / "clips")
        return archive.read_bytes()

    run.folder = tmp_path / "downloads"
    run.folder.mkdir()
    return run


def breaks(fetch) -> None:
    assert "the connection broke" in input_error(fetch)


def test_a_download_that_breaks_repeatedly_completes(fetch, server):
    server.breaks_after = 60_000
    for _ in range(3):
        breaks(fetch)
    assert fetch() == ARCHIVE
    assert len(server.served) == 4
    assert list(contents(fetch.folder).values()) == [ARCHIVE]  # and no part


def test_a_server_without_ranges_sends_everything_again(fetch, server):
    server.breaks_after, server.ranges = 100_000, False
    breaks(fetch)
    server.breaks_after = 60_000
    breaks(fetch)
    (part,) = contents(fetch.folder).values()
    assert part == ARCHIVE[: len(part)]
    server.breaks_after = None
    assert fetch() == ARCHIVE
    assert server.served[2][1] == len(ARCHIVE)


def test_a_part_longer_than_the_archive_is_dropped(fetch, server):
    server.content, server.breaks_after = bytes(300_000), 280_000
    breaks(fetch)
    server.content, server.breaks_after = ARCHIVE, None
    assert fetch() == ARCHIVE
    assert server.served[2] == (None, len(ARCHIVE))


def test_a_part_from_another_address_is_not_resumed(fetch, server):
    server.breaks_after = 100_000
    breaks(fetch)
    server.breaks_after = None
    server.url = server.url.replace("digits", "letters")
    assert fetch() == ARCHIVE
    assert server.served[1] == (None, len(ARCHIVE))


def test_a_mirror_is_named_by_a_variable_and_checked_like_any_other(fetch, server, tmp_path, monkeypatch):
    monkeypatch.setenv("SDR_MIRROR", server.url.removesuffix("/digits.zip") + "/")
    asked, get = [], requests.get
    monkeypatch.setattr(requests, "get", lambda url, **given: asked.append(url) or get(url, **given))
    address, checksum = "https://github.com/somebody/clips.zip", hashlib.sha256(ARCHIVE).hexdigest()
    archive = download(address, fetch.folder, tmp_path / "clips", checksum=checksum)
    assert archive.read_bytes() == ARCHIVE
    assert asked == [server.url.replace("digits.zip", "github.com/somebody/clips.zip")]
    archive.unlink()
    server.content = bytes(1000)
    with pytest.raises(InputError, match="clips.zip: not the archive that was published"):
        download(address, fetch.folder, tmp_path / "clips", checksum=checksum)
    assert not contents(fetch.folder)
