"""FSDD: missing and wrong clips are fetched, and no failure leaves a wrong or incomplete one behind."""

import errno
import hashlib
import io
import os
import random
import time
import zipfile
from pathlib import Path

import pytest
from data_helpers import contents, input_error

from utils import InputError
from utils.data.corpora import download, fsdd
from utils.data.metadata import read_metadata
from utils.paths import COURSE_METADATA, speech_data

CLIPS = {f"{digit}_ada_0.wav": random.Random(digit).randbytes(20_000) for digit in range(10)}


def archive_of(clips: dict[str, bytes]) -> bytes:
    """A zip archive like GitHub's: everything in one folder, and other files beside the clips."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("digits-26eb9aa/README.md", "about them")
        for name, content in clips.items():
            zipped.writestr(f"digits-26eb9aa/recordings/{name}", content)
    return buffer.getvalue()


@pytest.fixture
def fetch(server, tmp_path):
    """`fetch()` fetches the ten clips from the test's own server to `fetch.folder`."""
    metadata = tmp_path / "metadata.tsv"
    rows = [
        f"{name[:-4]}\tada\tTRAIN\t{name[0]}\tspeech_data/{name}\t{hashlib.sha256(clip).hexdigest()}\n"
        for name, clip in CLIPS.items()
    ]
    metadata.write_text("identifier\tspeaker\tsplit\tlabel\tfile\tsha256\n" + "".join(rows))

    server.content = archive_of(CLIPS)

    def run(**changes):
        arguments = {"url": server.url, "metadata": metadata} | changes
        return fsdd.fetch(run.folder, **arguments)

    run.folder = tmp_path / "speech_data"
    return run


def fails(fetch, *parts: str, **changes) -> None:
    """Check that `fetch` fails with a message that contains all the parts."""
    message = input_error(fetch, **changes)
    for part in parts:
        assert part in message


def test_an_empty_folder_is_filled_with_exactly_the_clips(fetch, server):
    report = fetch()
    assert (report.folder, report.clips, report.fetched) == (fetch.folder, 10, 10)
    assert contents(fetch.folder) == CLIPS
    assert len(server.served) == 1


def test_existing_clips_are_verified_without_the_network(fetch, server):
    fetch.folder.mkdir()
    for name, clip in CLIPS.items():
        (fetch.folder / name).write_bytes(clip)
    report = fetch()
    assert (report.clips, report.fetched) == (10, 0)
    assert server.served == []


def test_only_missing_and_wrong_clips_are_written(fetch):
    fetch()
    kept, wrong, missing = (fetch.folder / name for name in list(CLIPS)[:3])
    wrong.write_bytes(b"RIFF")
    missing.unlink()
    os.utime(kept, (1, 1))
    assert fetch().fetched == 2
    assert contents(fetch.folder) == CLIPS
    assert kept.stat().st_mtime == 1


def test_an_interrupted_download_is_resumed(fetch, server):
    server.breaks_after = 100_000
    fails(fetch, server.url, "the connection broke after 0.1 MB", "run the same command again", "by hand")
    (part,) = fetch.folder.iterdir()
    have = part.stat().st_size
    assert part.suffix == ".part"
    assert 50_000 < have <= 100_000
    server.breaks_after = None
    assert fetch().fetched == 10
    assert server.served[1] == (f"bytes={have}-", len(server.content) - have)
    assert contents(fetch.folder) == CLIPS


def test_a_part_of_another_archive_is_detected_and_deleted(fetch, server):
    whole, server.content = server.content, bytes(150_000)
    server.breaks_after = 100_000
    fails(fetch, "the connection broke")
    server.content, server.breaks_after = whole, None
    fails(fetch, "damaged")
    assert contents(fetch.folder) == {}
    assert fetch().fetched == 10


def test_an_archive_left_by_a_killed_run_is_not_downloaded_again(fetch, server, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(download, "_read_clips", killed)
        with pytest.raises(KeyboardInterrupt):
            fetch()
    assert fetch().fetched == 10
    assert len(server.served) == 1
    assert contents(fetch.folder) == CLIPS


@pytest.mark.parametrize("status", [404, 500])
def test_a_server_error_is_reported(fetch, server, status):
    server.status = status
    fails(fetch, server.url, f"answered {status}", str(fetch.folder), "by hand")
    assert contents(fetch.folder) == {}
    server.status = 200
    assert fetch().fetched == 10


def test_no_network(fetch, server):
    server.server_close()  # nothing listens at the address any more
    fails(fetch, server.url, "cannot be reached", str(fetch.folder), "by hand")
    assert contents(fetch.folder) == {}


WHOLE = archive_of(CLIPS)
DAMAGED = {
    "truncated": WHOLE[:-500],
    "cut in the middle": WHOLE[: len(WHOLE) // 2],
    "corrupted": WHOLE[:50_000] + bytes(100) + WHOLE[50_100:],
    "not an archive": b"<html>Please log in to this network</html>",
    "empty": b"",
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_archive_is_deleted(fetch, server, content):
    whole, server.content = server.content, content
    fails(fetch, server.url, "damaged or not a zip archive")
    assert contents(fetch.folder) == {}
    server.content = whole
    assert fetch().fetched == 10
    assert contents(fetch.folder) == CLIPS


def test_random_damage_is_reported_in_one_line(fetch, server):
    chance = random.Random(0)
    directory = server.content.rindex(b"PK\x01\x02", 0, server.content.index(b"PK\x01\x02") + 4)
    for _ in range(60):
        content = bytearray(server.content)
        for _ in range(4):
            content[chance.randrange(directory, len(content))] = chance.randrange(256)
        server.content, whole = bytes(content), server.content
        try:
            fetch()
        except InputError as error:
            assert "\n" not in str(error)
            assert set(contents(fetch.folder)) <= set(CLIPS)
        server.content = whole
    fetch()
    assert contents(fetch.folder) == CLIPS


def test_a_clip_missing_from_the_archive_is_named(fetch, server):
    server.content = archive_of({name: clip for name, clip in CLIPS.items() if name != "4_ada_0.wav"})
    fails(fetch, server.url, "does not contain the clip 4_ada_0.wav")
    assert contents(fetch.folder) == {}
    server.content = archive_of(CLIPS)
    assert fetch().fetched == 10


def test_a_clip_with_the_wrong_checksum_is_named(fetch, server):
    server.content = archive_of(CLIPS | {"7_ada_0.wav": b"RIFF, but not the right one"})
    fails(fetch, server.url, "7_ada_0.wav has the wrong checksum")
    assert contents(fetch.folder) == {}
    server.content = archive_of(CLIPS)
    assert fetch().fetched == 10


def test_folders_in_the_archive_are_ignored(fetch, server, tmp_path):
    server.content = archive_of(CLIPS | {"../../../escaped.wav": b"!", "../" * 9 + "3_ada_0.wav": b"!"})
    fails(fetch, "3_ada_0.wav has the wrong checksum")  # the last clip of that name counts, in whatever folder
    assert list(tmp_path.rglob("escaped.wav")) == []


def test_a_full_disk_is_reported_and_leaves_no_incomplete_clip(fetch, server, monkeypatch):
    write = Path.write_bytes

    def full(path, content):
        if "5_ada" not in path.name:
            return write(path, content)
        write(path, content[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        fails(fetch, "No space left on device")
    clips = contents(fetch.folder)
    (archive,) = clips.keys() - CLIPS.keys()  # it is complete and kept, so the next run needs no network
    assert clips.pop(archive) == server.content
    assert clips.items() <= CLIPS.items()
    assert "5_ada_0.wav" not in clips
    assert fetch().fetched == 10 - len(clips)
    assert len(server.served) == 1
    assert contents(fetch.folder) == CLIPS


def test_a_folder_that_cannot_be_created_is_reported(fetch):
    fetch.folder.write_text("a file")
    fails(fetch, str(fetch.folder))


def test_a_table_without_checksums_is_reported(fetch, tmp_path):
    table = tmp_path / "other.tsv"
    table.write_text("identifier\tspeaker\tsplit\tlabel\tfile\n0_ada_0\tada\tTRAIN\t0\t0_ada_0.wav\n")
    fails(fetch, str(table), "'sha256'", metadata=table)
    fails(fetch, "none.tsv", metadata=tmp_path / "none.tsv")


def test_the_course_table(monkeypatch, tmp_path):
    monkeypatch.setenv("SDR_SPEECH_DATA", str(tmp_path))
    for line in COURSE_METADATA.read_text().splitlines()[1:]:
        (tmp_path / Path(line.split("\t")[4]).name).touch()
    table = read_metadata(COURSE_METADATA)
    assert table["split"].value_counts().to_dict() == {"TRAIN": 2000, "DEV": 497, "TEST": 503}
    speakers = table.groupby("split")["speaker"].unique().map(sorted).to_dict()
    assert speakers["TRAIN"] == ["george", "jackson", "nicolas", "theo"]
    assert speakers["DEV"] == speakers["TEST"] == ["lucas", "yweweler"]
    assert (table.groupby(["speaker", "label"]).size() == 50).all()
    assert table["sha256"].nunique() == 3000
    repetition = table["identifier"].str.rsplit("_", n=1).str[1]
    name = table["label"].astype(str) + "_" + table["speaker"] + "_" + repetition
    assert (table["identifier"] == name).all()
    assert (table["file"] == "speech_data/" + name + ".wav").all()
    order = list(zip(table["speaker"], table["label"], repetition.astype(int), strict=True))
    assert order == sorted(order)


@pytest.mark.skipif(not (speech_data() / "0_george_0.wav").exists(), reason="needs the course's clips")
def test_the_course_clips_are_verified_in_two_seconds():
    started = time.process_time()  # of computing: other programs may take the machine
    report = fsdd.fetch(speech_data(), url="http://127.0.0.1:9/unreachable")
    assert (report.clips, report.fetched) == (3000, 0)
    assert time.process_time() - started < 2
