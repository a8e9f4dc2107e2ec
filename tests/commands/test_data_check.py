"""`sdr data check`: what it prints and writes, and its exit status."""

import json
import re

import numpy as np
import pytest
from conftest import speak, write_bytes, write_metadata, write_wav

from utils.files import sha256

CORPORA = ("sdr", "audiomnist", "arabic", "synthetic")


@pytest.fixture
def faulty(corpus, tmp_path):
    """A table, in a folder of its own, with an unreadable clip, one with two words, and a speaker on both sides."""
    clips = corpus.clips.astype({"label": str}).drop(columns="path")
    clips["file"] = [str(corpus.folder / file) for file in clips["file"]]
    write_bytes(tmp_path / "a <b>.wav", b"seven")
    two = np.concatenate([speak(1, "ada", 9), np.zeros(3200), speak(2, "ada", 9)])
    write_wav(tmp_path / "two words.wav", two)
    clips.loc[3, "file"], clips.loc[4, "file"] = "a <b>.wav", "two words.wav"
    clips.loc[7, "split"] = "TEST"
    clips.to_csv(tmp_path / "clips.tsv", sep="\t", index=False)
    return tmp_path / "clips.tsv"


def test_a_corpus_without_errors_has_status_0(sdr, corpus):
    done = sdr("data", "check", corpus.metadata)
    assert (done.status, done.err) == (0, "")
    assert "120 clips by 6 speakers" in done.out.splitlines()[0] and "0 errors" in done.out.splitlines()[0]
    assert "ERROR" not in done.out


def test_errors_have_status_1_and_come_first_with_file_and_row(sdr, faulty):
    done = sdr("data", "check", faulty)
    assert (done.status, done.err) == (1, "")
    assert "2 errors" in done.out.splitlines()[0]
    assert "row 5: a <b>.wav" in done.out and "row 6: two words.wav" in done.out
    assert "speaker ada is in TRAIN and TEST (1 clip outside TRAIN)" in done.out
    assert done.out.index("ERROR") < done.out.index("WARNING")
    assert done.out.rindex("ERROR") < done.out.index("WARNING")


def test_files_whose_checksums_are_not_those_of_the_table_are_errors(sdr, corpus, tmp_path):
    clips = corpus.clips
    clips["file"], clips["sha256"] = clips["path"], [sha256(path) for path in clips["path"]]
    assert sdr("data", "check", write_metadata(tmp_path / "clips.tsv", clips)).status == 0
    clips.loc[[3, 5], "file"] = clips.loc[[5, 3], "path"].tolist()
    done = sdr("data", "check", write_metadata(tmp_path / "clips.tsv", clips), "--html", tmp_path / "page.html")
    assert done.status == 1 and "ERROR  Other files than the table lists (2)" in done.out
    assert f"row 5: {clips['file'][3]}" in done.out and "Other files" in (tmp_path / "page.html").read_text("utf-8")


def test_json(sdr, faulty):
    done = sdr("data", "check", faulty, "--json")
    report = json.loads(done.out)
    assert done.status == 1
    assert (report["clips"], report["speakers"], report["errors"]) == (120, 6, 2)
    (unreadable,) = [finding for finding in report["findings"] if finding["check"] == "unreadable"]
    assert unreadable["clips"] == [{"row": 5, "identifier": "1_ada_1", "file": "a <b>.wav"}]
    assert unreadable["severity"] == "error" and "not an audio file" in unreadable["message"]


def test_html_page_points_to_the_clips(sdr, faulty, tmp_path):
    page = tmp_path / "reports" / "page.html"
    assert sdr("data", "check", faulty, "--html", page).status == 1
    html = page.read_text(encoding="utf-8")
    assert 'src="../two%20words.wav"' in html
    assert "a &lt;b&gt;.wav" in html and "<b>" not in html
    assert not re.findall(r'(?:src|href)="(?:https?:|data:|/)', html)  # nothing from the web, nothing embedded
    assert html.count("<svg") == 4
    assert f"<h1>{faulty.parent.name}/{faulty.name}</h1>" in html
    assert [path.name for path in page.parent.iterdir()] == ["page.html"]


def test_a_page_replaces_a_link_that_leads_to_itself_or_to_another_folder(sdr, corpus, tmp_path):
    page = tmp_path / "page.html"
    for target in (page, tmp_path / "reports" / "old.html"):
        page.unlink(missing_ok=True)
        page.symlink_to(target)
        assert sdr("data", "check", corpus.metadata, "--html", page).status == 0
        assert page.is_file() and not page.is_symlink() and not (tmp_path / "reports").exists()


def test_root_is_the_folder_of_the_clips(sdr, corpus, tmp_path):
    table = tmp_path / "clips.tsv"
    table.write_bytes(corpus.metadata.read_bytes())
    assert sdr("data", "check", table, "--root", corpus.folder).status == 0


def test_bad_input_is_refused_in_one_line(sdr, corpus, tmp_path):
    sdr("data", "check").refused("sdr data check --help")
    sdr("data", "check", tmp_path / "none.tsv").refused("none.tsv", "no such file")
    sdr("data", "check", write_bytes(tmp_path / "bad.tsv", b"a\tb\n1\t2\n")).refused("bad.tsv", "row 1", "identifier")
    sdr("data", "check", corpus.metadata, "--html", tmp_path).refused("not a regular file")
    sdr("data", "check", tmp_path / "none.tsv", "--html", tmp_path).refused("not a regular file")  # before the work
    blocked = write_bytes(tmp_path / "file", b"") / "page.html"
    sdr("data", "check", corpus.metadata, "--html", blocked).refused("file")


@pytest.mark.parametrize("name", [*CORPORA, "check"])
def test_every_corpus_has_help(sdr, name):
    done = sdr("data", name, "--help")
    assert done.status == 0 and done.out.startswith(f"usage: sdr data {name}")
