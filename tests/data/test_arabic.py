"""Arabic Speech Commands: the authors' split becomes a table, and a damaged copy is reported."""

import pandas as pd
import pytest
from data_helpers import input_error, wav_bytes

from utils.data.corpora import arabic
from utils.paths import speech_data

REAL = speech_data() / "arabic"


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "arabic"
    for name, speaker in (("train", "00000001"), ("val", "00000002"), ("test", "00000003")):
        lines = ["file,class"]
        for word in ("zero", "nine", "stop"):
            path = folder / "dataset" / word / f"{speaker}_NO_01.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(wav_bytes(rate=16_000))
            lines.append(f"dataset/{word}/{path.name},{word}")
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_digits_keep_their_authors_split(corpus):
    clips = arabic.tabulate(corpus)
    assert clips[["speaker", "split"]].drop_duplicates().to_numpy().tolist() == [
        ["00000001", "TRAIN"], ["00000002", "DEV"], ["00000003", "TEST"]
    ]  # fmt: skip
    assert sorted(clips["label"].unique()) == [0, 9]  # without the other words


def test_a_copy_is_checked_clip_by_clip(corpus, tmp_path, monkeypatch):
    monkeypatch.setenv("SDR_SPEECH_DATA", str(tmp_path))
    table = tmp_path / "arabic.tsv"
    words = tmp_path / "arabic_words.tsv"
    arabic.tabulate(corpus).to_csv(table, sep="\t", index=False)
    arabic.tabulate(corpus, words=True).to_csv(words, sep="\t", index=False)
    report = arabic.check(corpus, table, words)
    assert (report.clips, report.speakers) == (6, 3)
    clip = corpus / "dataset" / "nine" / "00000002_NO_01.wav"
    clip.write_bytes(wav_bytes(1))
    assert "nine/00000002_NO_01.wav" in input_error(arabic.check, corpus, table, words)
    clip.unlink()
    assert "no clip at" in input_error(arabic.check, corpus, table, words)
    assert arabic.ORIGIN in input_error(arabic.check, tmp_path / "nowhere", table)


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
def test_a_damaged_copy_is_rejected(corpus, spoil, parts):
    spoil(corpus)
    message = input_error(arabic.tabulate, corpus)
    assert all(part in message for part in parts)


def test_the_table_has_the_authors_numbers():
    clips = pd.read_csv(arabic.TABLE, sep="\t", dtype=str)
    assert clips.groupby("split")["speaker"].nunique().to_dict() == {"TRAIN": 18, "DEV": 6, "TEST": 6}
    assert clips.groupby("split").size().to_dict() == {"TRAIN": 1800, "DEV": 600, "TEST": 600}


@pytest.mark.skipif(not (REAL / "train.csv").exists(), reason="needs speech_data/arabic")
def test_the_tables_are_those_of_the_real_corpus():
    made = arabic.tabulate(REAL).astype(str)
    pd.testing.assert_frame_equal(made, pd.read_csv(arabic.TABLE, sep="\t", dtype=str))
    words = arabic.tabulate(REAL, words=True).astype(str)
    pd.testing.assert_frame_equal(words, pd.read_csv(arabic.WORDS_TABLE, sep="\t", dtype=str))
    assert arabic.check(REAL).clips == 3000
