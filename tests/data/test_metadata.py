"""The metadata reader: it accepts tables in any form, and errors name the row and the column."""

import gzip
import io
import lzma
import re
import time
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from data_helpers import input_error

from utils import InputError
from utils.data.metadata import COLUMNS, read_metadata, read_rows, read_split, verify, write_table
from utils.data.splits import PROTOCOLS
from utils.files import sha256
from utils.paths import COURSE_METADATA, speech_data

GOOD = [
    ("a0", "ada", "TRAIN", "0", "0_ada.wav"),
    ("a9", "ada", "TRAIN", "9", "9_ada.wav"),
    ("e0", "eve", "DEV", "0", "0_eve.wav"),
    ("e9", "eve", "TEST", "9", "9_eve.wav"),
]


def rows() -> list[dict]:
    return [dict(zip(COLUMNS, row, strict=True)) for row in GOOD]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the clips of the good table. Their contents do not matter here."""
    monkeypatch.delenv("SDR_SPEECH_DATA", raising=False)
    for *_, file in GOOD:
        (tmp_path / file).write_bytes(file.encode())
    return tmp_path


def tsv(table: list[dict], columns=COLUMNS) -> str:
    lines = ["\t".join(columns)] + ["\t".join(row[column] for column in columns) for row in table]
    return "\n".join(lines) + "\n"


def with_index(text: str) -> str:
    """Add an index as pandas writes it: an unnamed first column."""
    header, *lines = text.splitlines()
    return "\n".join(["\t" + header, *(f"{i}\t{line}" for i, line in enumerate(lines))]) + "\n"


def with_extra_columns(text: str) -> str:
    header, *lines = text.splitlines()
    return "\n".join([f"sex\t{header}\tage", *(f"f\t{line}\t" for line in lines)]) + "\n"


FORMS = {
    "plain": lambda text: text.encode(),
    "Windows line ends": lambda text: text.replace("\n", "\r\n").encode(),
    "byte order mark": lambda text: text.encode("utf-8-sig"),
    "unnamed index": lambda text: with_index(text).encode(),
    "extra columns": lambda text: with_extra_columns(text).encode(),
    "all of them": lambda text: with_index(with_extra_columns(text)).replace("\n", "\r\n").encode("utf-8-sig"),
}


@pytest.fixture(params=FORMS)
def form(request):
    return FORMS[request.param]


def test_a_table_in_any_form_is_read_in_file_order(folder, form):
    path = folder / "clips.tsv"
    path.write_bytes(form(tsv(rows()[::-1])))
    table = read_metadata(path)
    assert table["identifier"].tolist() == ["e9", "e0", "a9", "a0"]
    assert table["label"].tolist() == [9, 0, 9, 0]
    assert table["speaker"].tolist() == ["eve", "eve", "ada", "ada"]
    assert [Path(clip).read_text() for clip in table["path"]] == table["file"].tolist()


def test_other_columns_are_kept(folder):
    path = folder / "clips.tsv"
    path.write_text(with_extra_columns(tsv(rows())))
    assert read_metadata(path)["sex"].tolist() == ["f"] * 4


WRONG = {
    "unknown split": ({"split": "VALID"}, "split", "'VALID' is not a split; use TRAIN, DEV or TEST"),
    "split in lower case": ({"split": "train"}, "split", "'train' is not a split"),
    "label 10": ({"label": "10"}, "label", "'10' is not a digit from 0 to 9"),
    "label in words": ({"label": "nine"}, "label", "'nine' is not a digit"),
    "duplicate identifier": ({"identifier": "a0"}, "identifier", "'a0' is already used in an earlier row"),
    "missing clip": ({"file": "no{0}.wav"}, "file", "no{0}.wav"),
    "empty speaker": ({"speaker": ""}, "speaker", "is empty"),
    "blank file": ({"file": "  "}, "file", "is empty"),
    "space after a speaker": ({"speaker": "ada "}, "speaker", "'ada ' starts or ends with a space"),
    "empty label": ({"label": ""}, "label", "is empty"),
    "endless speaker": ({"speaker": "a" * 1001}, "speaker", "more than 1,000 letters"),
}


@pytest.mark.parametrize(("change", "column", "why"), WRONG.values(), ids=WRONG)
def test_an_error_names_file_row_and_column(folder, form, change, column, why):
    table = rows()
    table[2] |= change
    path = folder / "clips.tsv"
    path.write_bytes(form(tsv(table)))
    with pytest.raises(InputError, match=re.escape(why)) as caught:
        read_metadata(path)
    assert str(caught.value).startswith(f"{path}, row 4, column '{column}': ")
    assert "\n" not in str(caught.value)


def test_a_column_that_is_there_twice_is_named(folder):
    path = folder / "metadata.tsv"
    path.write_text("".join(f"{line}\t{line.split()[1]}\n" for line in tsv(rows()).splitlines()))
    with pytest.raises(InputError, match="row 1: more than one column 'speaker'"):
        read_metadata(path)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_is_named(folder, form, column):
    path = folder / "clips.tsv"
    path.write_bytes(form(tsv(rows(), [name for name in COLUMNS if name != column])))
    with pytest.raises(InputError, match=f"row 1: no column '{column}'") as caught:
        read_metadata(path)
    assert str(path) in str(caught.value)


def test_rows_are_numbered_as_in_an_editor(folder):
    table = rows()
    table[2]["label"] = "10"
    path = folder / "clips.tsv"
    path.write_text(tsv(table).replace("a9", "\na9"))  # an empty line before the second clip
    with pytest.raises(InputError, match="row 5, column 'label'"):
        read_metadata(path)


def test_empty_lines_are_skipped(folder):
    path = folder / "clips.tsv"
    path.write_text(tsv(rows()).replace("a9", "\na9") + "\n\n")
    table = read_metadata(path)
    assert table["identifier"].tolist() == ["a0", "a9", "e0", "e9"]
    assert table.index.tolist() == [0, 1, 2, 3]


def test_quotation_marks_have_no_special_meaning(folder):
    path = folder / "clips.tsv"
    path.write_text(tsv(rows()).replace("ada\t", '"ada\t'))
    assert read_metadata(path)["speaker"].tolist() == ['"ada', '"ada', "eve", "eve"]


def test_a_short_row_is_rejected(folder):
    path = folder / "clips.tsv"
    path.write_text(tsv(rows()) + "x0\teve\tTEST\t0\n")
    with pytest.raises(InputError, match="row 6, column 'file'"):
        read_metadata(path)


NOT_TABLES = {
    "empty": (b"", "the file is empty; row 1 holds the column names identifier, speaker"),
    "only a header": (tsv([]).encode(), "no clips"),
    "Latin-1": (tsv(rows()).replace("eve", "Zoé").encode("latin-1"), "not a text file in UTF-8"),
    "UTF-16": (tsv(rows()).encode("utf-16"), "not a text file in UTF-8"),
    "commas": (tsv(rows()).replace("\t", ",").encode(), "separated by tabs"),
    "rows too long": (tsv(rows()).replace(".wav", ".wav\tx").encode(), "more cells than row 1"),
    "a row too long": (tsv(rows()).encode() + b"x\ty\tTEST\t0\tz\t\t\n", "row 6: 7 cells, more than the 5"),
    "an empty row first": (b"\n" + tsv(rows()).encode(), "row 1: is empty; it holds the column names"),
}


@pytest.mark.parametrize(("content", "why"), NOT_TABLES.values(), ids=NOT_TABLES)
def test_other_files_are_rejected(folder, content, why):
    path = folder / "clips.tsv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=why) as caught:
        read_metadata(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_rejected(folder):
    with pytest.raises(InputError, match=r"none\.tsv: there is no such file"):
        read_metadata(folder / "none.tsv")
    with pytest.raises(InputError, match=str(folder)):
        read_metadata(folder)


def test_a_clip_may_be_listed_only_once(folder):
    """Otherwise a clip could be on both sides under two names."""
    table = rows()
    table[3]["file"] = f"./{table[0]['file']}"
    (folder / "clips.tsv").write_text(tsv(table))
    with pytest.raises(InputError, match=r"row 5, column 'file': './0_ada.wav' is already the clip of an earlier row"):
        read_metadata(folder / "clips.tsv")


def test_several_missing_clips_are_counted(folder):
    path = folder / "clips.tsv"
    path.write_text(tsv(rows()))
    (folder / "9_ada.wav").unlink()
    (folder / "9_eve.wav").unlink()
    with pytest.raises(InputError, match=r"row 3, column 'file'.*9_ada\.wav \(2 of 4 clips are missing\).*--root"):
        read_metadata(path)


@pytest.mark.parametrize(
    ("file", "root", "variable", "lies_in"),
    [
        ("clip.wav", None, None, "table"),
        ("speech_data/clip.wav", None, None, "table/speech_data"),
        ("speech_data/clip.wav", None, "elsewhere", "elsewhere"),
        ("speech_data/deep/clip.wav", None, "elsewhere", "elsewhere/deep"),
        ("clip.wav", None, "elsewhere", "table"),
        ("clip.wav", "root", None, "root"),
        ("speech_data/clip.wav", "root", "elsewhere", "root/speech_data"),
    ],
)
def test_where_a_clip_is_looked_for(tmp_path, monkeypatch, file, root, variable, lies_in):
    """Each of the other places has a clip of the same name."""
    for place in ("table", "table/speech_data", "elsewhere", "elsewhere/deep", "root", "root/speech_data"):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / place / "clip.wav").write_text(place)
    if variable:
        monkeypatch.setenv("SDR_SPEECH_DATA", str(tmp_path / variable))
    else:
        monkeypatch.delenv("SDR_SPEECH_DATA", raising=False)
    path = tmp_path / "table" / "clips.tsv"
    path.write_text(tsv([rows()[0] | {"file": file}]))
    found = read_metadata(path, tmp_path / root if root else None)["path"].item()
    assert Path(found).read_text() == lies_in


def test_a_folder_in_place_of_a_clip_is_rejected(folder, monkeypatch):
    monkeypatch.setenv("SDR_SPEECH_DATA", str(folder))
    path = folder / "clips.tsv"
    path.write_text(tsv([rows()[0] | {"file": "."}]))
    with pytest.raises(InputError, match="row 2, column 'file'"):
        read_metadata(path)


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_a_clip_under_another_name_is_the_same_clip(folder, link):
    """Copies may be in training and in test by mistake, and links are as good as copies."""
    (folder / "9_eve.wav").unlink()
    getattr(folder / "9_eve.wav", link)(folder / "0_ada.wav")
    (folder / "clips.tsv").write_text(tsv(rows()))
    with pytest.raises(InputError, match="row 5, column 'file': '9_eve.wav' is already the clip of an earlier row"):
        read_metadata(folder / "clips.tsv")


def test_control_characters_are_refused(folder):
    for letter in "\0\x1b\x07\x7f":
        (folder / "clips.tsv").write_text(tsv(rows()).replace("eve", f"e{letter}ve"))
        with pytest.raises(InputError, match="row 4: .* is not a letter"):
            read_metadata(folder / "clips.tsv")


def test_compressed_tables_and_addresses_are_refused(folder):
    table = tsv(rows()).encode()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("clips.tsv", table)
    for name, content in (
        ("clips.tsv.gz", gzip.compress(table)),
        ("clips.zip", archive.getvalue()),
        ("clips.xz", lzma.compress(table)),
    ):
        (folder / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name}: not a text file"):
            read_metadata(folder / name)
        (folder / name).write_bytes(table)  # the name does not matter
        assert len(read_metadata(folder / name)) == 4
    with pytest.raises(InputError, match="there is no such file"):
        read_metadata("http://localhost/clips.tsv")


@pytest.mark.slow
def test_a_million_columns_are_refused_at_once(folder):
    path = folder / "clips.tsv"
    path.write_text(tsv(rows()).replace("\n", "\t" * 1_000_000 + "\n", 1))
    with pytest.raises(InputError, match="row 1: 1,000,005 columns"):
        read_metadata(path)


@pytest.mark.slow
def test_a_million_rows_are_read_in_seconds(folder):
    lines = [f"{i}_ada\tada\tTRAIN\t{i % 10}\tclips/{i}.wav" for i in range(1_000_000)]
    (folder / "clips.tsv").write_text("\n".join(["\t".join(COLUMNS), *lines]))
    started = time.process_time()
    with pytest.raises(InputError, match="1000000 of 1000000 clips are missing"):
        read_metadata(folder / "clips.tsv")
    assert time.process_time() - started < 20  # 7 on a machine of its own; here other tests run beside it


def test_a_changed_clip_is_detected(folder):
    path = folder / "clips.tsv"
    table = [row | {"sha256": sha256(folder / row["file"])} for row in rows()]
    path.write_text(tsv(table, (*COLUMNS, "sha256")))
    clips = read_metadata(path)
    verify(clips)
    (folder / "0_eve.wav").write_bytes(b"something else")
    with pytest.raises(InputError, match=r"0_eve\.wav: .*'e0'"):
        verify(clips)
    verify(clips.drop(columns="sha256"))  # no checksums to compare with


@pytest.mark.parametrize("checksum", ["", "-", "0" * 63, "g" * 64])
def test_a_checksum_that_is_none_is_not_called_a_wrong_recording(folder, checksum):
    path = folder / "clips.tsv"
    table = [row | {"sha256": sha256(folder / row["file"]).upper()} for row in rows()]
    path.write_text(tsv(table, (*COLUMNS, "sha256")))
    verify(read_metadata(path))  # either case will do
    table[1]["sha256"] = checksum
    path.write_text(tsv(table, (*COLUMNS, "sha256")))
    with pytest.raises(InputError, match="row 3, column 'sha256': .* is not a SHA-256 checksum"):
        read_metadata(path)


def test_an_empty_split_is_told_with_those_that_are_not(folder):
    path = folder / "clips.tsv"
    path.write_text(tsv(rows()[:3]))
    with pytest.raises(InputError, match="no clips in the split TEST; there are some in TRAIN and DEV"):
        read_split(path, "TEST")


COURSE = pd.read_csv(COURSE_METADATA, sep="\t")


def test_the_course_table_has_the_right_counts():
    assert COURSE.columns.tolist() == [*COLUMNS, "sha256"]
    assert len(COURSE) == 3000 and COURSE["identifier"].is_unique
    assert (COURSE.groupby(["speaker", "label"]).size() == 50).all() and COURSE["speaker"].nunique() == 6
    by_split = COURSE.groupby("split")["speaker"].unique().map(sorted).to_dict()
    assert by_split["TRAIN"] == ["george", "jackson", "nicolas", "theo"]
    assert by_split["DEV"] == by_split["TEST"] == ["lucas", "yweweler"]


@pytest.mark.skipif(not (speech_data() / "0_george_0.wav").exists(), reason="the course's clips are not here")
def test_the_course_clips_are_those_in_the_table(monkeypatch):
    monkeypatch.setenv("SDR_SPEECH_DATA", str(speech_data()))
    table = read_metadata(COURSE_METADATA)
    assert table["identifier"].tolist() == COURSE["identifier"].tolist()
    verify(table)
    for name, fold in (("course", None), ("loso", "george"), ("inside-train", "theo"), ("one-speaker", "nicolas")):
        split = PROTOCOLS[name](table, fold)
        assert not set(split.train["speaker"]) & set(split.tests["TEST"]["speaker"])


def test_rows_read_back_as_they_were_written(tmp_path):
    rows = [{"word": '"oh', "digit": "0"}, {"word": "siero'", "digit": "0"}]
    write_table(tmp_path / "words.tsv", ("word", "digit"), rows)
    assert read_rows(tmp_path / "words.tsv", ("digit", "word")) == rows
    assert "a tab or a line break" in input_error(write_table, tmp_path / "words.tsv", ("word",), [{"word": "a\tb"}])


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "row 1: no column 'digit'"),
        ("word,digit\nzero,0\n", "row 1: no column 'digit'"),
        ("word\tdigit\nzero\t0\n\none\n", "row 4: 2 cells are needed"),
        ("word\tdigit\nzero\t0\tx\n", "row 2: 2 cells are needed"),
        (f"word\tdigit\n{'x' * 200_000}\t0\n", "not a tab-separated table"),
    ],
)
def test_rows_of_another_shape_are_refused(tmp_path, content, why):
    (tmp_path / "words.tsv").write_text(content)
    with pytest.raises(InputError, match=rf"words\.tsv.*{why}"):
        read_rows(tmp_path / "words.tsv", ("digit", "word"))
