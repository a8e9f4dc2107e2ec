"""AudioMNIST and Arabic Speech Commands: their layouts become tables, and what is wrong with a copy is said plainly."""

import io
import json
import shutil
import wave
import zipfile
from collections import namedtuple
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from utils import InputError
from utils.data.corpora import arabic, audiomnist
from utils.data.metadata import read_metadata
from utils.data.splits import BECKER, becker
from utils.paths import speech_data

DISK = namedtuple("usage", "total used free")
REAL = speech_data() / "audiomnist" / "02"
REAL_ARABIC = speech_data() / "arabic"


def wav(seed: int = 0, rate: int = 48_000) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", None))
        file.writeframes(np.random.default_rng(seed).integers(-99, 99, 200, dtype="<i2").tobytes())
    return buffer.getvalue()


@pytest.fixture
def corpus(tmp_path):
    """Ten speakers, two takes of two digits each."""
    folder = tmp_path / "audiomnist"
    for number in range(1, 11):
        (folder / f"{number:02d}").mkdir(parents=True)
        for digit in (0, 7):
            for take in range(2):
                (folder / f"{number:02d}" / f"{digit}_{number:02d}_{take}.wav").write_bytes(wav(number))
    return folder


def refused(function, *given, **options) -> str:
    with pytest.raises(InputError) as caught:
        function(*given, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_folders_of_speakers_become_a_table_split_by_speaker(corpus):
    report = audiomnist.tabulate(corpus)
    clips = read_metadata(report.table)
    assert (report.clips, report.speakers, len(clips), report.notes) == (40, 10, 40, ())
    assert clips.groupby("split")["speaker"].nunique().to_dict() == {"TRAIN": 8, "DEV": 1, "TEST": 1}
    assert clips.groupby("speaker")["split"].nunique().eq(1).all()
    row = clips.set_index("identifier").loc["7_03_1"]
    assert (row["speaker"], row["label"], row["file"]) == ("03", 7, "03/7_03_1.wav")
    assert audiomnist.fetch(corpus, url="http://127.0.0.1:1/none.zip").clips == 40  # there already: no network


def test_one_speaker_alone_is_for_testing(corpus):
    for number in range(2, 11):
        shutil.rmtree(corpus / f"{number:02d}")
    report = audiomnist.tabulate(corpus)
    assert set(read_metadata(report.table)["split"]) == {"TEST"} and len(report.notes) == 1


def test_particulars_are_kept_and_what_cannot_be_true_is_left_out(corpus):
    facts = {"accent": "German", "age": "31", "gender": "female", "native speaker": "no", "origin": "Europe, Germany"}
    known = {f"{number:02d}": facts for number in range(1, 10)} | {"09": facts | {"age": "1234"}}
    (corpus / audiomnist.PARTICULARS).write_text(json.dumps(known))
    report = audiomnist.tabulate(corpus)
    clips = read_metadata(report.table).drop_duplicates("speaker").set_index("speaker")
    assert (clips.loc["01", "age"], clips.loc["01", "native_speaker"]) == ("31", "no")
    assert clips.loc["09", "age"] == "" and clips.loc["09", "gender"] == "female"
    assert clips.loc["10", "gender"] == ""
    text = str(report)
    assert "speaker 09 is not '1234' years old" in text and "nothing of speaker 10" in text


@pytest.mark.parametrize(
    ("spoil", "parts"),
    [
        (lambda folder: shutil.rmtree(folder / "04"), ["lists speaker 04", "no folder"]),
        (lambda folder: (folder / "04" / "7_05_1.wav").write_bytes(wav()), ["04", "7_05_1.wav", "{digit}_04_{take}"]),
        (lambda folder: (folder / "04" / "seven.wav").write_bytes(wav()), ["seven.wav", "{digit}_04_{take}"]),
        (lambda folder: (folder / "04" / "7_04_1.wav").write_bytes(b""), ["7_04_1.wav", "0 bytes"]),
        (lambda folder: (folder / audiomnist.PARTICULARS).write_text("{"), [audiomnist.PARTICULARS, "JSON"]),
        (lambda folder: (folder / audiomnist.PARTICULARS).write_text("[]"), [audiomnist.PARTICULARS, "JSON"]),
        (lambda folder: (folder / audiomnist.PARTICULARS).write_text('{"01": 3}'), [audiomnist.PARTICULARS, "JSON"]),
    ],
)
def test_a_damaged_copy_is_refused_and_leaves_no_table(corpus, spoil, parts):
    known = {f"{number:02d}": {} for number in range(1, 11)}
    (corpus / audiomnist.PARTICULARS).write_text(json.dumps(known))
    spoil(corpus)
    message = refused(audiomnist.tabulate, corpus)
    assert all(part in message for part in parts)
    assert not (corpus / "metadata.tsv").exists()


# The archive


@pytest.fixture
def archive(server):
    """The test's server has an archive as GitHub packs it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as zipped:
        for number in range(1, 5):
            for digit in range(10):
                zipped.writestr(f"AudioMNIST-abc/data/{number:02d}/{digit}_{number:02d}_0.wav", wav(digit))
        zipped.writestr(f"AudioMNIST-abc/data/{audiomnist.PARTICULARS}", "{}")
        zipped.writestr("AudioMNIST-abc/README.md", "about it")
        zipped.comment = b"abc"
    server.content = buffer.getvalue()
    return server


def test_an_empty_folder_is_filled_from_the_archive(archive, tmp_path):
    folder = tmp_path / "data" / "audiomnist"
    report = audiomnist.fetch(folder, url=archive.url, commit="abc", progress=False)
    assert (report.clips, report.speakers) == (40, 4)
    assert sorted(path.name for path in folder.iterdir()) == [
        "01", "02", "03", "04", audiomnist.PARTICULARS, "metadata.tsv"
    ]  # fmt: skip
    assert list(folder.parent.iterdir()) == [folder]  # neither the archive nor a half of it
    assert (folder / "03" / "7_03_0.wav").read_bytes() == wav(7)


def test_a_broken_download_is_resumed(archive, tmp_path):
    folder, archive.breaks_after = tmp_path / "audiomnist", 17_000
    assert "run the same again" in refused(audiomnist.fetch, folder, url=archive.url, commit="abc", progress=False)
    assert not folder.exists()
    archive.breaks_after = None
    assert audiomnist.fetch(folder, url=archive.url, commit="abc", progress=False).clips == 40
    assert archive.served[-1][0] == "bytes=16384-"


@pytest.mark.parametrize("what", ["cut", "noise", "other commit", "flipped"])
def test_a_bad_archive_is_refused_and_leaves_nothing(archive, tmp_path, what):
    content = bytearray(archive.content)
    if what == "flipped":
        content[200] ^= 1  # within the first clip
    spoiled = {"cut": content[:9000], "noise": b"no zip", "other commit": content[:-3] + b"abd", "flipped": content}
    archive.content = bytes(spoiled[what])
    folder = tmp_path / "data" / "audiomnist"
    message = refused(audiomnist.fetch, folder, url=archive.url, commit="abc", progress=False)
    assert "deleted" in message and archive.url in message
    assert list(folder.parent.iterdir()) == []


def test_too_small_a_disk_is_said_before_the_download(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: DISK(10**10, 9 * 10**9, 10**9))
    message = refused(audiomnist.fetch, tmp_path / "audiomnist", url=archive.url, commit="abc")
    assert "3 GB" in message and "1.0 GB are free" in message
    assert archive.served == []


def test_a_file_where_a_folder_should_be_is_said(archive, tmp_path):
    (tmp_path / "file").write_text("")
    assert "file" in refused(audiomnist.fetch, tmp_path / "file" / "audiomnist", url=archive.url, commit="abc")
    assert archive.served == []


def test_a_disk_that_fills_up_leaves_nothing(archive, tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    folder = tmp_path / "data" / "audiomnist"
    message = refused(audiomnist.fetch, folder, url=archive.url, commit="abc", progress=False)
    assert "No space left" in message
    assert not folder.exists()


# The mirror's parquet files


@pytest.fixture
def parquet(tmp_path):
    folder = tmp_path / "mirror"
    folder.mkdir()
    rows = [
        {
            "speaker_id": f"{number:02d}",
            "audio": {"bytes": wav(number), "path": None},
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
    report = audiomnist.fetch(parquet, progress=False)
    clips = read_metadata(report.table).set_index("identifier")
    assert (report.clips, report.speakers) == (12, 4)
    assert set(clips["label"]) == {3, 8} and "3_04_1" in clips.index
    assert Path(clips.loc["3_04_1", "path"]).read_bytes() == wav(4)
    assert clips.loc["3_03_0", "age"] == "" and clips.loc["3_04_0", "accent"] == "German"
    for path in parquet.glob("*.parquet"):
        path.write_bytes(b"not read again")
    assert audiomnist.fetch(parquet, progress=False).clips == 12


def test_bad_parquet_files_are_refused(parquet):
    (parquet / "a.parquet").write_bytes(b"PAR1 or not")
    assert "not a parquet file" in refused(audiomnist.fetch, parquet, progress=False)
    pd.DataFrame({"digit": [1]}).to_parquet(parquet / "a.parquet")
    assert "no column 'speaker_id'" in refused(audiomnist.fetch, parquet, progress=False)
    pd.DataFrame({"speaker_id": ["01"], "audio": [{"bytes": b"x"}], "digit": [11]}).to_parquet(parquet / "a.parquet")
    assert "row 1: no digit" in refused(audiomnist.fetch, parquet, progress=False)
    (parquet / "a.parquet").rename(parquet / "z.parquet")  # the others are good, and read before
    assert "z.parquet, row 1: no digit" in refused(audiomnist.fetch, parquet, progress=False)
    assert all(path.suffix == ".parquet" for path in parquet.iterdir())


# Becker's folds


def test_beckers_folds_test_every_speaker_once():
    clips = pd.DataFrame({"speaker": [f"{number:02d}" for number in range(1, 61)], "label": 0})
    tested = []
    for fold in range(5):
        split = becker(clips, str(fold))
        assert [len(part) for part in (split.train, split.validation, split.tests["TEST"])] == [36, 12, 12]
        tested += split.tests["TEST"]["speaker"].tolist()
    assert sorted(tested) == sorted(clips["speaker"])
    assert set(becker(clips, "0").tests["TEST"]["speaker"]) == set(BECKER[4].split())
    assert "folds are 0, 1, 2, 3, 4" in refused(becker, clips, "5")
    assert "'eve'" in refused(becker, pd.DataFrame({"speaker": ["eve"], "label": 0}), "0")


# Arabic Speech Commands


@pytest.fixture
def arabic_corpus(tmp_path):
    folder = tmp_path / "arabic"
    for name, speaker in (("train", "00000001"), ("val", "00000002"), ("test", "00000003")):
        lines = ["file,class"]
        for word in ("zero", "nine", "stop"):
            path = folder / "dataset" / word / f"{speaker}_NO_01.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(wav(rate=16_000))
            lines.append(f"dataset/{word}/{path.name},{word}")
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_arabic_digits_keep_their_authors_split(arabic_corpus):
    clips = arabic.tabulate(arabic_corpus)
    assert clips[["speaker", "split"]].drop_duplicates().to_numpy().tolist() == [
        ["00000001", "TRAIN"], ["00000002", "DEV"], ["00000003", "TEST"]
    ]  # fmt: skip
    assert sorted(clips["label"].unique()) == [0, 9]  # other words are no digits


def test_a_copy_is_checked_clip_by_clip(arabic_corpus, tmp_path, monkeypatch):
    monkeypatch.setenv("SDR_SPEECH_DATA", str(tmp_path))
    table = tmp_path / "arabic.tsv"
    others = tmp_path / "others.tsv"
    arabic.tabulate(arabic_corpus).to_csv(table, sep="\t", index=False)
    arabic.tabulate(arabic_corpus, others=True).to_csv(others, sep="\t", index=False)
    report = arabic.check(arabic_corpus, table, others)
    assert (report.clips, report.speakers) == (6, 3)
    clip = arabic_corpus / "dataset" / "nine" / "00000002_NO_01.wav"
    clip.write_bytes(wav(1))
    assert "nine/00000002_NO_01.wav" in refused(arabic.check, arabic_corpus, table, others)
    clip.unlink()
    assert "no clip at" in refused(arabic.check, arabic_corpus, table, others)
    assert arabic.ORIGIN in refused(arabic.check, tmp_path / "nowhere", table)


@pytest.mark.parametrize(
    ("spoil", "parts"),
    [
        (lambda folder: (folder / "val.csv").unlink(), ["val.csv", "no such file"]),
        (lambda folder: (folder / "val.csv").write_text("path,word\na,b\n"), ["val.csv", "'file' and 'class'"]),
        (lambda folder: (folder / "val.csv").write_text("file,class\nx.wav,zero\n"), ["val.csv, row 2", "x.wav"]),
        (lambda folder: (folder / "val.csv").write_text((folder / "test.csv").read_text()), ["test.csv", "in DEV"]),
        (lambda folder: (folder / "dataset/zero/00000002_NO_01.wav").unlink(), ["00000002_NO_01.wav", "no such file"]),
        (lambda folder: (folder / "dataset/zero/00000002_NO_01.wav").write_bytes(b""), ["0 bytes"]),
    ],
)
def test_a_damaged_arabic_copy_is_refused(arabic_corpus, spoil, parts):
    spoil(arabic_corpus)
    message = refused(arabic.tabulate, arabic_corpus)
    assert all(part in message for part in parts)


# The real ones


@pytest.mark.skipif(not REAL.is_dir(), reason="needs speech_data/audiomnist")
def test_the_real_speaker_02(tmp_path):
    folder = tmp_path / "audiomnist"
    shutil.copytree(REAL, folder / "02")
    assert audiomnist.tabulate(folder).clips == len(list(REAL.glob("*.wav")))


def test_the_arabic_table_has_the_authors_numbers():
    clips = pd.read_csv(arabic.TABLE, sep="\t", dtype=str)
    assert clips.groupby("split")["speaker"].nunique().to_dict() == {"TRAIN": 18, "DEV": 6, "TEST": 6}
    assert clips.groupby("split").size().to_dict() == {"TRAIN": 1800, "DEV": 600, "TEST": 600}


@pytest.mark.skipif(not (REAL_ARABIC / "train.csv").exists(), reason="needs speech_data/arabic")
def test_the_arabic_table_is_that_of_the_real_corpus():
    made = arabic.tabulate(REAL_ARABIC, progress=False).astype(str)
    pd.testing.assert_frame_equal(made, pd.read_csv(arabic.TABLE, sep="\t", dtype=str))
    others = arabic.tabulate(REAL_ARABIC, others=True, progress=False).astype(str)
    pd.testing.assert_frame_equal(others, pd.read_csv(arabic.OTHERS, sep="\t", dtype=str))
    assert arabic.check(REAL_ARABIC).clips == 3000


def test_who_has_no_table_yet_is_told_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("SDR_SPEECH_DATA", str(tmp_path))
    message = refused(read_metadata, tmp_path.resolve() / "audiomnist" / "metadata.tsv")
    assert message.endswith("there is no such file; `sdr data audiomnist` makes it")
    message = refused(audiomnist.fetch, tmp_path / "audiomnist", url="http://127.0.0.1:1/none.zip", progress=False)
    assert f"put the clips into {tmp_path / 'audiomnist'} by hand" in message
