"""AudioMNIST: each of its layouts becomes a table, and a damaged copy is reported."""

import io
import json
import shutil
import zipfile
from collections import namedtuple
from pathlib import Path

import pandas as pd
import pytest
from data_helpers import input_error, wav_bytes

from utils.data.corpora import audiomnist
from utils.data.metadata import read_metadata
from utils.paths import speech_data

DISK = namedtuple("usage", "total used free")
REAL = speech_data() / "audiomnist" / "02"


@pytest.fixture
def corpus(tmp_path):
    """Ten speakers, two repetitions of two digits each, none of which has a known checksum."""
    folder = tmp_path / "audiomnist"
    for number in range(1, 11):
        (folder / f"{number:02d}").mkdir(parents=True)
        for digit in (0, 7):
            for repetition in (10, 11):
                (folder / f"{number:02d}" / f"{digit}_{number:02d}_{repetition}.wav").write_bytes(wav_bytes(number))
    return folder


def test_folders_of_speakers_become_a_table_split_by_speaker(corpus):
    report = audiomnist.tabulate(corpus)
    clips = read_metadata(report.table)
    assert (report.clips, report.speakers, len(clips), report.notes) == (40, 10, 40, ())
    assert clips.groupby("split")["speaker"].nunique().to_dict() == {"TRAIN": 8, "DEV": 1, "TEST": 1}
    assert clips.groupby("speaker")["split"].nunique().eq(1).all()
    row = clips.set_index("identifier").loc["7_03_11"]
    assert (row["speaker"], row["label"], row["file"]) == ("03", 7, "03/7_03_11.wav")
    assert audiomnist.fetch(corpus, url="http://127.0.0.1:1/none.zip").clips == 40  # needs no network


def test_one_speaker_alone_is_for_testing(corpus):
    for number in range(2, 11):
        shutil.rmtree(corpus / f"{number:02d}")
    report = audiomnist.tabulate(corpus)
    assert set(read_metadata(report.table)["split"]) == {"TEST"} and len(report.notes) == 1


def test_particulars_are_kept_and_implausible_ones_left_empty(corpus):
    facts = {"accent": "German", "age": "31", "gender": "female", "native speaker": "no", "origin": "Europe, Germany"}
    known = {f"{number:02d}": facts for number in range(1, 10)} | {"09": facts | {"age": "1234"}}
    (corpus / audiomnist.PARTICULARS).write_text(json.dumps(known))
    report = audiomnist.tabulate(corpus)
    clips = read_metadata(report.table).drop_duplicates("speaker").set_index("speaker")
    assert (clips.loc["01", "age"], clips.loc["01", "native_speaker"]) == ("31", "no")
    assert clips.loc["09", "age"] == "" and clips.loc["09", "gender"] == "female"
    assert clips.loc["10", "gender"] == ""
    text = str(report)
    assert "speaker 09 cannot be '1234' years old" in text and "does not list speaker 10" in text


@pytest.mark.parametrize(
    ("spoil", "parts"),
    [
        (lambda folder: shutil.rmtree(folder / "04"), ["lists speaker 04", "no folder"]),
        (
            lambda folder: (folder / "04" / "7_05_11.wav").write_bytes(wav_bytes()),
            ["04", "7_05_11.wav", "{digit}_04_{repetition}"],
        ),
        (
            lambda folder: (folder / "04" / "seven.wav").write_bytes(wav_bytes()),
            ["seven.wav", "{digit}_04_{repetition}"],
        ),
        (lambda folder: (folder / "04" / "7_04_11.wav").write_bytes(b""), ["7_04_11.wav", "0 bytes"]),
        (lambda folder: (folder / "02" / "7_02_1.wav").write_bytes(wav_bytes()), ["7_02_1.wav", "wrong checksum"]),
        (lambda folder: (folder / audiomnist.PARTICULARS).write_text("{"), [audiomnist.PARTICULARS, "JSON"]),
        (lambda folder: (folder / audiomnist.PARTICULARS).write_text("[]"), [audiomnist.PARTICULARS, "JSON"]),
        (lambda folder: (folder / audiomnist.PARTICULARS).write_text('{"01": 3}'), [audiomnist.PARTICULARS, "JSON"]),
    ],
)
def test_a_damaged_copy_is_rejected_and_leaves_no_table(corpus, spoil, parts):
    known = {f"{number:02d}": {} for number in range(1, 11)}
    (corpus / audiomnist.PARTICULARS).write_text(json.dumps(known))
    spoil(corpus)
    message = input_error(audiomnist.tabulate, corpus)
    assert all(part in message for part in parts)
    assert not (corpus / "metadata.tsv").exists()


# The archive


@pytest.fixture
def archive(server):
    """The test's server offers an archive like GitHub's."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as zipped:
        for number in range(1, 5):
            for digit in range(10):
                zipped.writestr(f"AudioMNIST-abc/data/{number:02d}/{digit}_{number:02d}_10.wav", wav_bytes(digit))
        zipped.writestr(f"AudioMNIST-abc/data/{audiomnist.PARTICULARS}", "{}")
        zipped.writestr("AudioMNIST-abc/README.md", "about it")
        zipped.comment = b"abc"
    server.content = buffer.getvalue()
    return server


def test_an_empty_folder_is_filled_from_the_archive(archive, tmp_path):
    folder = tmp_path / "data" / "audiomnist"
    report = audiomnist.fetch(folder, url=archive.url, commit="abc")
    assert (report.clips, report.speakers) == (40, 4)
    assert sorted(path.name for path in folder.iterdir()) == [
        "01", "02", "03", "04", audiomnist.PARTICULARS, "metadata.tsv"
    ]  # fmt: skip
    assert list(folder.parent.iterdir()) == [folder]  # neither the archive nor a part of it
    assert (folder / "03" / "7_03_10.wav").read_bytes() == wav_bytes(7)


def test_an_interrupted_download_is_resumed(archive, tmp_path):
    folder, archive.breaks_after = tmp_path / "audiomnist", 17_000
    assert "run the same command again" in input_error(audiomnist.fetch, folder, url=archive.url, commit="abc")
    assert not folder.exists()
    archive.breaks_after = None
    assert audiomnist.fetch(folder, url=archive.url, commit="abc").clips == 40
    assert archive.served[-1][0] == "bytes=16384-"


@pytest.mark.parametrize("what", ["cut", "noise", "other commit", "flipped"])
def test_a_bad_archive_is_rejected_and_leaves_nothing(archive, tmp_path, what):
    content = bytearray(archive.content)
    if what == "flipped":
        content[200] ^= 1  # within the first clip
    spoiled = {"cut": content[:9000], "noise": b"no zip", "other commit": content[:-3] + b"abd", "flipped": content}
    archive.content = bytes(spoiled[what])
    folder = tmp_path / "data" / "audiomnist"
    message = input_error(audiomnist.fetch, folder, url=archive.url, commit="abc")
    assert "deleted" in message and archive.url in message
    assert list(folder.parent.iterdir()) == []


def test_too_little_disk_space_is_reported_before_the_download(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: DISK(10**10, 9 * 10**9, 10**9))
    message = input_error(audiomnist.fetch, tmp_path / "audiomnist", url=archive.url, commit="abc")
    assert "3 GB" in message and "1.0 GB are free" in message
    assert archive.served == []


def test_a_file_in_place_of_a_folder_is_reported(archive, tmp_path):
    (tmp_path / "file").write_text("")
    assert "file" in input_error(audiomnist.fetch, tmp_path / "file" / "audiomnist", url=archive.url, commit="abc")
    assert archive.served == []


def test_a_disk_that_fills_up_leaves_nothing_but_the_archive(archive, tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    folder = tmp_path / "data" / "audiomnist"
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_bytes", full)
        message = input_error(audiomnist.fetch, folder, url=archive.url, commit="abc")
    assert "No space left" in message
    assert not folder.exists()
    assert audiomnist.fetch(folder, url=archive.url, commit="abc").clips == 40
    assert len(archive.served) == 1  # the archive was kept


def test_other_files_in_the_folder_are_reported_before_the_download(archive, tmp_path):
    (tmp_path / "audiomnist").mkdir()
    (tmp_path / "audiomnist" / "notes.txt").write_text("mine")
    assert "'notes.txt'" in input_error(audiomnist.fetch, tmp_path / "audiomnist", url=archive.url, commit="abc")
    assert archive.served == []


# The mirror's parquet files


@pytest.fixture
def parquet(tmp_path):
    folder = tmp_path / "mirror"
    folder.mkdir()
    rows = [
        {
            "speaker_id": f"{number:02d}",
            "audio": {"bytes": wav_bytes(number), "path": None},
            "digit": digit,
            "gender": 1,
            "accent": "German",
            "age": None if number == 3 else 31,
            "native_speaker": False,
            "origin": "Europe, Germany, Berlin",
        }
        for number in range(1, 5)
        for digit in (3, 3, 8)
    ]
    pd.DataFrame(rows[:6]).to_parquet(folder / "train-00000-of-00002.parquet")
    pd.DataFrame(rows[6:]).to_parquet(folder / "train-00001-of-00002.parquet")
    return folder


def test_parquet_files_become_clips(parquet):
    report = audiomnist.fetch(parquet)
    clips = read_metadata(report.table).set_index("identifier")
    assert (report.clips, report.speakers) == (12, 4)
    assert set(clips["label"]) == {3, 8} and "3_04_1" in clips.index
    assert Path(clips.loc["3_04_1", "path"]).read_bytes() == wav_bytes(4)
    assert clips.loc["3_03_0", "age"] == "" and clips.loc["3_04_0", "accent"] == "German"
    for path in parquet.glob("*.parquet"):
        path.unlink()  # they are not needed any more
    assert audiomnist.fetch(parquet).clips == 12


def test_bad_parquet_files_are_rejected(parquet):
    (parquet / "a.parquet").write_bytes(b"PAR1 or not")
    assert "not a parquet file" in input_error(audiomnist.fetch, parquet)
    pd.DataFrame({"digit": [1]}).to_parquet(parquet / "a.parquet")
    assert "no column 'speaker_id'" in input_error(audiomnist.fetch, parquet)
    pd.DataFrame({"speaker_id": ["01"], "audio": [{"bytes": b"x"}], "digit": [11]}).to_parquet(parquet / "a.parquet")
    assert "row 1: no digit" in input_error(audiomnist.fetch, parquet)
    (parquet / "a.parquet").rename(parquet / "z.parquet")  # the others are good and are read first
    assert "z.parquet, row 1: no digit" in input_error(audiomnist.fetch, parquet)
    assert all(path.suffix == ".parquet" for path in parquet.iterdir())


# The real corpus


@pytest.mark.skipif(not REAL.is_dir(), reason="needs speech_data/audiomnist")
def test_the_real_speaker_02(tmp_path):
    folder = tmp_path / "audiomnist"
    shutil.copytree(REAL, folder / "02")
    assert audiomnist.tabulate(folder).clips == len(list(REAL.glob("*.wav")))


def test_a_missing_table_is_reported_with_the_command_that_creates_it(tmp_path, monkeypatch):
    monkeypatch.setenv("SDR_SPEECH_DATA", str(tmp_path))
    message = input_error(read_metadata, tmp_path.resolve() / "audiomnist" / "metadata.tsv")
    assert message.endswith("there is no such file; `sdr data audiomnist` creates it")
    message = input_error(read_metadata, tmp_path.resolve() / "ours" / "metadata.tsv")  # as `sdr record` would make it
    assert message.endswith("there is no such file")
    message = input_error(audiomnist.fetch, tmp_path / "audiomnist", url="http://127.0.0.1:1/none.zip")
    assert f"put the clips into {tmp_path / 'audiomnist'} by hand" in message
