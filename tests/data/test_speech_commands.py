"""Speech Commands: the corpus's own split, its archive made into clips and a table, and faults that are reported."""

import hashlib
import io
import random
import shutil
import tarfile
from collections import namedtuple

import pandas as pd
import pytest
from data_helpers import input_error, wav_bytes

from utils.data.corpora import speech_commands
from utils.data.metadata import read_metadata
from utils.data.synthesis.words import DIGITS
from utils.paths import speech_data

DISK = namedtuple("usage", "total used free")
REAL = speech_data() / "speech_commands"
# one speaker in each split, by the corpus's rule
SPEAKERS = {"004ae714": "TRAIN", "00000007": "DEV", "00000018": "TEST"}


def archive_of(words: tuple[str, ...]) -> bytes:
    """An archive like the published one, with one clip of each word by each speaker."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as packed:

        def add(name: str, content: bytes) -> None:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))

        add("./README.md", random.Random(0).randbytes(60_000))
        add("./_background_noise_/README.md", b"about them")
        add("./_background_noise_/running_tap.wav", wav_bytes(99))
        add("../escaped_nohash_0.wav", wav_bytes())
        for seed, word in enumerate(words):
            for speaker in SPEAKERS:
                add(f"./{word}/{speaker}_nohash_0.wav", wav_bytes(seed, rate=16_000))
    return buffer.getvalue()


@pytest.fixture
def corpus(server, tmp_path, monkeypatch):
    """`corpus()` fetches the corpus from the test's own server to `corpus.folder`, against the tables of two words."""
    monkeypatch.setenv("SDR_SPEECH_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(shutil, "disk_usage", lambda path: DISK(10**11, 0, 10**11))
    server.content = archive_of((*DIGITS, "down"))

    def run(**changes):
        arguments = {
            "url": server.url,
            "checksum": hashlib.sha256(server.content).hexdigest(),
            "table": run.table,
            "words": run.words,
        }
        return speech_commands.fetch(run.folder, **arguments | changes)

    run.folder = tmp_path / "data" / "speech_commands"
    run.table, run.words = tmp_path / "digits.tsv", tmp_path / "words.tsv"
    for word, table in (("eight", run.table), ("down", run.words)):
        made = tmp_path / "made" / word
        made.mkdir(parents=True)
        for speaker in SPEAKERS:
            (made / f"{speaker}_nohash_0.wav").write_bytes(wav_bytes((*DIGITS, "down").index(word), rate=16_000))
        speech_commands.tabulate(made.parent, [word]).to_csv(table, sep="\t", index=False)
    return run


def test_speakers_are_split_by_the_corpus_rule():
    assert {speaker: speech_commands.split_of(speaker) for speaker in SPEAKERS} == SPEAKERS
    published = ["0c40e715", "0ea0e2f4", "42beb5eb", "44260689", "bb05582b"]  # in the corpus's list of test clips
    assert {speech_commands.split_of(speaker) for speaker in published} == {"TEST"}
    splits = pd.Series([speech_commands.split_of(f"{number:08x}") for number in range(5000)]).value_counts()
    assert splits["DEV"] == pytest.approx(500, abs=80) and splits["TEST"] == pytest.approx(500, abs=80)


def test_an_empty_folder_is_filled_and_gets_a_table_of_all_digits(corpus):
    report = corpus()
    assert (report.clips, report.speakers, report.notes) == (30, 3, ())
    clips = read_metadata(report.table)
    assert clips.set_index("speaker")["split"].to_dict() == SPEAKERS
    assert sorted(clips["label"]) == sorted(list(range(10)) * 3)
    assert (corpus.folder / "_background_noise_" / "running_tap.wav").read_bytes() == wav_bytes(99)
    assert sorted(path.name for path in corpus.folder.parent.iterdir()) == ["speech_commands"]  # no archive, no escape


def test_a_complete_copy_is_verified_without_the_network(corpus, server):
    corpus()
    assert corpus(url="http://127.0.0.1:1/none.tar.gz").clips == 30
    assert len(server.served) == 1
    clip = corpus.folder / "down" / "004ae714_nohash_0.wav"
    clip.write_bytes(wav_bytes(1))
    assert "down_004ae714_nohash_0" in input_error(corpus)
    clip.unlink()
    assert "no clip at" in input_error(corpus)


def test_a_piece_is_verified_and_called_one(corpus, server):
    corpus()
    shutil.rmtree(corpus.folder / "nine")
    report = corpus()
    assert (report.table, report.clips, report.speakers) == (corpus.table, 3, 3)
    assert "a piece of the corpus" in str(report)
    assert len(server.served) == 1


def test_an_interrupted_download_is_resumed(corpus, server):
    server.breaks_after = 50_000
    assert "run the same command again" in input_error(corpus)
    assert not corpus.folder.exists()
    server.breaks_after = None
    assert corpus().clips == 30
    assert server.served[1][0].startswith("bytes=")


def test_another_archive_is_refused_and_leaves_nothing(corpus):
    assert "wrong checksum" in input_error(corpus, checksum="0" * 64)
    assert list(corpus.folder.parent.iterdir()) == []


@pytest.mark.parametrize("content", [b"no archive", archive_of(DIGITS)[:2000]])
def test_a_damaged_archive_is_refused_and_leaves_nothing(corpus, server, content):
    server.content = content
    assert "archive" in input_error(corpus)
    assert not corpus.folder.exists() and list(corpus.folder.parent.iterdir()) == []


def test_too_little_disk_space_is_reported_before_the_download(corpus, server, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: DISK(10**10, 9 * 10**9, 10**9))
    assert "needs 5 GB" in input_error(corpus)
    assert server.served == []


@pytest.mark.parametrize(
    ("spoil", "parts"),
    [
        (lambda folder: (folder / "00000007_nohash_0.wav").write_bytes(b""), ["00000007_nohash_0.wav", "0 bytes"]),
        (lambda folder: (folder / "a_take_0.wav").write_bytes(b"RIFF"), ["a_take_0.wav", "{speaker}_nohash_"]),
        (lambda folder: shutil.rmtree(folder), ["two", "no clips"]),
    ],
)
def test_a_damaged_copy_is_rejected(corpus, spoil, parts):
    corpus()
    spoil(corpus.folder / "two")
    message = input_error(speech_commands.tabulate, corpus.folder, DIGITS)
    assert all(part in message for part in parts)


def test_the_committed_tables_follow_the_rule_and_keep_speakers_apart():
    digits, words = (
        pd.read_csv(table, sep="\t", dtype=str) for table in (speech_commands.TABLE, speech_commands.WORDS_TABLE)
    )
    assert (len(digits), digits["speaker"].nunique(), len(words)) == (2071, 429, 800)
    assert set(digits["label"]) == {"0", "1", "5", "8"} and set(words["label"]) == set(speech_commands.WORDS)
    both = pd.concat([digits, words])
    assert (both["speaker"].map(speech_commands.split_of) == both["split"]).all()
    assert both.groupby("speaker")["split"].nunique().eq(1).all()
    # the piece was made without the corpus's TEST speakers: a rule that is wrong would put a tenth of them there
    assert set(both["split"]) == {"TRAIN", "DEV"}
    assert both["sha256"].is_unique


@pytest.mark.skipif(not (REAL / "zero").exists(), reason="needs speech_data/speech_commands")
def test_the_real_clips_are_those_of_the_tables():
    for table, digits in ((speech_commands.TABLE, True), (speech_commands.WORDS_TABLE, False)):
        clips = read_metadata(table, digits=digits)
        made = speech_commands.tabulate(REAL, clips["file"].str.split("/").str[2].unique())
        columns = list(made.columns)
        wanted = clips[columns].astype(str)
        merged = wanted.merge(made.astype(str), how="left", indicator=True)  # the whole corpus has more clips
        assert (merged["_merge"] == "both").all()
