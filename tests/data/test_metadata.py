"""The metadata reader names the row and the column of what is wrong; no protocol lets a speaker be on both sides."""

import os
import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from utils import InputError
from utils.data.metadata import COLUMNS, read_metadata, verify
from utils.data.splits import (
    PROTOCOLS,
    Split,
    course,
    few_repetitions,
    inside_train,
    leave_one_speaker_out,
    one_speaker,
    ratio,
    split_name,
)
from utils.files import sha256
from utils.paths import COURSE_METADATA, PROJECT, find_metadata, speech_data

# Reading

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
    """A folder with the good table's clips; only their names matter here."""
    monkeypatch.delenv("SDR_SPEECH_DATA", raising=False)
    for *_, file in GOOD:
        (tmp_path / file).write_bytes(file.encode())
    return tmp_path


def tsv(table: list[dict], columns=COLUMNS) -> str:
    lines = ["\t".join(columns)] + ["\t".join(row[column] for column in columns) for row in table]
    return "\n".join(lines) + "\n"


def with_index(text: str) -> str:
    """As pandas writes its index: a first column without a name."""
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


def test_a_table_is_read_in_its_order_whatever_its_form(folder, form):
    path = folder / "clips.tsv"
    path.write_bytes(form(tsv(rows()[::-1])))
    table = read_metadata(path)
    assert table["identifier"].tolist() == ["e9", "e0", "a9", "a0"]
    assert table["label"].tolist() == [9, 0, 9, 0]
    assert table["speaker"].tolist() == ["eve", "eve", "ada", "ada"]
    assert [Path(clip).read_text() for clip in table["path"]] == table["file"].tolist()


def test_further_columns_are_kept(folder):
    path = folder / "clips.tsv"
    path.write_text(with_extra_columns(tsv(rows())))
    assert read_metadata(path)["sex"].tolist() == ["f"] * 4


WRONG = {
    "unknown split": ({"split": "VALID"}, "split", "'VALID' is not a split; use TRAIN, DEV, TEST"),
    "split in lower case": ({"split": "train"}, "split", "'train' is not a split"),
    "label 10": ({"label": "10"}, "label", "'10' is not a digit from 0 to 9"),
    "label in words": ({"label": "nine"}, "label", "'nine' is not a digit"),
    "duplicate identifier": ({"identifier": "a0"}, "identifier", "'a0' stands in an earlier row already"),
    "missing clip": ({"file": "no{0}.wav"}, "file", "no{0}.wav"),
    "empty speaker": ({"speaker": ""}, "speaker", "is empty"),
    "blank file": ({"file": "  "}, "file", "is empty"),
    "space behind a speaker": ({"speaker": "ada "}, "speaker", "'ada ' has space around it"),
    "empty label": ({"label": ""}, "label", "is empty"),
}


@pytest.mark.parametrize(("change", "column", "why"), WRONG.values(), ids=WRONG)
def test_a_wrong_cell_is_refused_by_file_row_and_column(folder, form, change, column, why):
    table = rows()
    table[2] |= change
    path = folder / "clips.tsv"
    path.write_bytes(form(tsv(table)))
    with pytest.raises(InputError, match=re.escape(why)) as caught:
        read_metadata(path)
    assert str(caught.value).startswith(f"{path}, row 4, column '{column}': ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("column", COLUMNS)
def test_a_missing_column_is_refused_by_name(folder, form, column):
    path = folder / "clips.tsv"
    path.write_bytes(form(tsv(rows(), [name for name in COLUMNS if name != column])))
    with pytest.raises(InputError, match=f"row 1: no column '{column}'") as caught:
        read_metadata(path)
    assert str(path) in str(caught.value)


def test_rows_are_counted_as_an_editor_counts_them(folder):
    table = rows()
    table[2]["label"] = "10"
    path = folder / "clips.tsv"
    path.write_text(tsv(table).replace("a9", "\na9"))  # an empty line before the second clip
    with pytest.raises(InputError, match="row 5, column 'label'"):
        read_metadata(path)


def test_empty_lines_hold_no_clips(folder):
    path = folder / "clips.tsv"
    path.write_text(tsv(rows()).replace("a9", "\na9") + "\n\n")
    table = read_metadata(path)
    assert table["identifier"].tolist() == ["a0", "a9", "e0", "e9"]
    assert table.index.tolist() == [0, 1, 2, 3]


def test_a_quotation_mark_is_a_letter(folder):
    path = folder / "clips.tsv"
    path.write_text(tsv(rows()).replace("ada\t", '"ada\t'))
    assert read_metadata(path)["speaker"].tolist() == ['"ada', '"ada', "eve", "eve"]


def test_a_row_that_ends_early_is_refused(folder):
    path = folder / "clips.tsv"
    path.write_text(tsv(rows()) + "x0\teve\tTEST\t0\n")
    with pytest.raises(InputError, match="row 6, column 'file'"):
        read_metadata(path)


NOT_TABLES = {
    "empty": (b"", "not a tab-separated table"),
    "only a header": (tsv([]).encode(), "no clips"),
    "Latin-1": (tsv(rows()).replace("eve", "Zoé").encode("latin-1"), "not in UTF-8"),
    "UTF-16": (tsv(rows()).encode("utf-16"), "not in UTF-8"),
    "commas": (tsv(rows()).replace("\t", ",").encode(), "separated by tabs"),
    "rows too long": (tsv(rows()).replace(".wav", ".wav\tx").encode(), "more cells than row 1"),
    "a row too long": (tsv(rows()).encode() + b"x\ty\tTEST\t0\tz\t\t\n", "line 6"),
}


@pytest.mark.parametrize(("content", "why"), NOT_TABLES.values(), ids=NOT_TABLES)
def test_what_is_no_table_is_refused(folder, content, why):
    path = folder / "clips.tsv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=why) as caught:
        read_metadata(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_a_file_that_is_not_there_and_a_folder_are_refused(folder):
    with pytest.raises(InputError, match=r"none\.tsv: there is no such file"):
        read_metadata(folder / "none.tsv")
    with pytest.raises(InputError, match=str(folder)):
        read_metadata(folder)


def test_a_clip_counts_once(folder):
    """Or it could be on both sides under two names."""
    table = rows()
    table[3]["file"] = f"./{table[0]['file']}"
    (folder / "clips.tsv").write_text(tsv(table))
    with pytest.raises(InputError, match=r"row 5, column 'file': './0_ada.wav' is an earlier row's clip already"):
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
    """Every other place has a clip of this name as well."""
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


def test_a_file_that_is_no_name_is_refused(folder, monkeypatch):
    monkeypatch.setenv("SDR_SPEECH_DATA", str(folder))
    path = folder / "clips.tsv"
    path.write_text(tsv([rows()[0] | {"file": "."}]))
    with pytest.raises(InputError, match="row 2, column 'file'"):
        read_metadata(path)


def test_a_changed_clip_is_noticed(folder):
    path = folder / "clips.tsv"
    table = [row | {"sha256": sha256(folder / row["file"])} for row in rows()]
    path.write_text(tsv(table, (*COLUMNS, "sha256")))
    clips = read_metadata(path)
    verify(clips)
    (folder / "0_eve.wav").write_bytes(b"something else")
    with pytest.raises(InputError, match=r"0_eve\.wav: .*'e0'"):
        verify(clips)
    verify(clips.drop(columns="sha256"))  # nothing to compare with


def test_the_digest_of_a_file_that_cannot_be_read_is_an_input_error(tmp_path):
    for path in (tmp_path / "missing.wav", tmp_path):
        with pytest.raises(InputError, match=str(path)):
            sha256(path)


COURSE = pd.read_csv(COURSE_METADATA, sep="\t")


def test_the_courses_table_has_the_courses_facts():
    assert COURSE.columns.tolist() == [*COLUMNS, "sha256"]
    assert len(COURSE) == 3000 and COURSE["identifier"].is_unique
    assert (COURSE.groupby(["speaker", "label"]).size() == 50).all() and COURSE["speaker"].nunique() == 6
    by_split = COURSE.groupby("split")["speaker"].unique().map(sorted).to_dict()
    assert by_split["TRAIN"] == ["george", "jackson", "nicolas", "theo"]
    assert by_split["DEV"] == by_split["TEST"] == ["lucas", "yweweler"]


@pytest.mark.skipif(not (speech_data() / "0_george_0.wav").exists(), reason="the course's clips are not here")
def test_the_courses_clips_are_the_ones_that_its_table_lists(monkeypatch):
    monkeypatch.setenv("SDR_SPEECH_DATA", str(speech_data()))
    table = read_metadata(COURSE_METADATA)
    assert table["identifier"].tolist() == COURSE["identifier"].tolist()
    verify(table)
    for name, fold in (("course", None), ("loso", "george"), ("inside-train", "theo"), ("one-speaker", "nicolas")):
        split = PROTOCOLS[name](table, fold)
        assert not speakers(split.train) & speakers(split.tests["TEST"])


# Protocols


def clips(*speakers: str) -> pd.DataFrame:
    """Three clips by each speaker. Capitals are TRAIN; the others' clips are half DEV, half TEST."""
    made = []
    for speaker in speakers:
        for take in range(4):
            split = "TRAIN" if speaker.isupper() else ("DEV", "TEST")[take % 2]
            made.append((f"{speaker}{take}", speaker, split, take))
    return pd.DataFrame(made, columns=["identifier", "speaker", "split", "label"])


def speakers(table: pd.DataFrame) -> set[str]:
    return set(table["speaker"])


CLIPS = clips("A", "B", "C", "x", "y")


def test_course_trains_on_train_and_reports_dev_and_test():
    split = course(CLIPS)
    assert speakers(split.train) == {"A", "B", "C"}
    assert {name: speakers(part) for name, part in split.tests.items()} == {"DEV": {"x", "y"}, "TEST": {"x", "y"}}
    assert (split.tests["DEV"]["split"] == "DEV").all() and len(split.tests["DEV"]) == 4
    assert split.validation is None


def test_course_does_without_dev():
    assert list(course(CLIPS[CLIPS["split"] != "DEV"]).tests) == ["TEST"]


@pytest.mark.parametrize("fold", ["B", "x"])
def test_leave_one_speaker_out_trains_on_all_others_whatever_their_split(fold):
    split = leave_one_speaker_out(CLIPS, fold)
    assert split.name == f"loso-{fold}"
    assert speakers(split.train) == speakers(CLIPS) - {fold}
    assert speakers(split.tests["TEST"]) == {fold}
    assert len(split.train) + len(split.tests["TEST"]) == len(CLIPS)


def test_one_speaker_has_the_others_of_train_without_their_labels():
    split = one_speaker(CLIPS, "A")
    others = CLIPS[(CLIPS["split"] == "TRAIN") & (CLIPS["speaker"] != "A")]
    assert set(split.unlabelled["identifier"]) == set(others["identifier"])
    assert (split.unlabelled["label"] == -1).all()


def test_one_inside_train_never_touches_dev_and_test():
    train = CLIPS[CLIPS["split"] == "TRAIN"]
    first, second = sorted(train["speaker"].unique())[:2]
    split = PROTOCOLS["one-inside-train"](CLIPS, f"{first}-{second}")
    assert set(split.train["speaker"]) == {first} and set(split.tests["TEST"]["speaker"]) == {second}
    assert set(split.tests["TEST"]["split"]) == {"TRAIN"}
    if split.unlabelled is not None:
        assert not set(split.unlabelled["speaker"]) & {first, second}
    for wrong in (None, first, f"{first}-x", f"x-{second}"):
        with pytest.raises(InputError, match="one-inside-train"):
            PROTOCOLS["one-inside-train"](CLIPS, wrong)
    with pytest.raises(InputError, match="both sides"):
        PROTOCOLS["one-inside-train"](CLIPS, f"{first}-{first}")


def test_few_takes_keeps_so_many_of_each_digit_and_speaker_and_unlabels_the_rest(corpus):
    whole = course(corpus.clips)  # two takes of each digit by each of four speakers
    few = few_repetitions(whole, 1, seed=3)
    assert (few.train.groupby(["speaker", "label"]).size() == 1).all() and len(few.train) == 40
    assert set(few.train["identifier"]) | set(few.unlabelled["identifier"]) == set(whole.train["identifier"])
    assert (few.unlabelled["label"] == -1).all() and len(few.unlabelled) == 40
    assert few.train.equals(whole.train.loc[few.train.index])  # in their order
    assert few.name == split_name("course", None, 1) == "course-takes-1"
    assert few_repetitions(whole, 1, seed=3).train.equals(few.train)
    assert not few_repetitions(whole, 1, seed=4).train.equals(few.train)
    assert few_repetitions(whole, 5, seed=0).unlabelled is None


def test_unlabelled_clips_are_not_by_speakers_who_are_tested_on():
    split = course(CLIPS)
    with pytest.raises(InputError, match="both sides, unlabelled and"):
        replace(split, unlabelled=split.tests["TEST"].assign(label=-1))


def test_inside_train_never_touches_dev_and_test():
    split = inside_train(CLIPS, "B")
    assert speakers(split.train) == {"A", "C"}
    assert speakers(split.tests["TEST"]) == {"B"} and list(split.tests) == ["TEST"]
    with pytest.raises(InputError, match="A, B, C"):
        inside_train(CLIPS, "x")


def test_one_speaker_trains_on_that_speaker_alone():
    split = one_speaker(CLIPS, "C")
    assert speakers(split.train) == {"C"}
    assert {name: speakers(part) for name, part in split.tests.items()} == {"DEV": {"x", "y"}, "TEST": {"x", "y"}}


@given(number=st.integers(3, 60), seed=st.integers(0, 10**6))
@settings(max_examples=40)
def test_ratio_deals_every_speaker_to_one_side(number, seed):
    table = clips(*(f"s{i}" for i in range(number)))
    split = ratio(table, str(seed))
    sides = [split.train, split.validation, split.tests["TEST"]]
    assert sorted(i for side in sides for i in side["identifier"]) == sorted(table["identifier"])
    assert sum(len(speakers(side)) for side in sides) == number  # nobody is on two sides
    share = len(speakers(split.tests["TEST"]))
    assert share == len(speakers(split.validation)) == max(1, round(number / 10))
    again = ratio(table[::-1], str(seed))  # the table's order does not matter
    assert speakers(again.train) == speakers(split.train)
    assert speakers(again.validation) == speakers(split.validation)


def test_ratio_depends_on_the_seed():
    table = clips(*(f"s{i}" for i in range(30)))
    assert len({tuple(sorted(speakers(ratio(table, str(seed)).train))) for seed in range(5)}) == 5


@pytest.mark.parametrize("fold", [None, "", "ada", "-1", "1.5"])
def test_ratio_refuses_a_fold_that_is_no_seed(fold):
    with pytest.raises(InputError, match="seed"):
        ratio(CLIPS, fold)


def test_ratio_refuses_too_few_speakers():
    with pytest.raises(InputError, match="three speakers"):
        ratio(clips("A", "B"), "0")


@pytest.mark.parametrize("name", ["loso", "inside-train", "one-speaker"])
@pytest.mark.parametrize("fold", [None, "Z"])
def test_an_unknown_speaker_is_refused_and_the_known_are_named(name, fold):
    with pytest.raises(InputError, match=f"protocol {name}: .*A, B, C"):
        PROTOCOLS[name](CLIPS, fold)


def test_course_has_no_folds():
    with pytest.raises(InputError, match="'A'"):
        course(CLIPS, "A")


@pytest.mark.parametrize("split", ["DEV", "TEST"])
def test_a_speaker_on_both_sides_is_refused_by_name(split):
    table = CLIPS.copy()
    table.loc[table["identifier"] == "B2", "split"] = split
    for protocol, fold in ((course, None), (one_speaker, "B")):
        with pytest.raises(InputError, match=f"'B' is on both sides, training and {split}"):
            protocol(table, fold)


@pytest.mark.parametrize("other", ["JÜRGEN", "jürgen", "Ju\u0308rgen"])
def test_a_name_is_the_same_in_whatever_letters(other):
    clips = pd.DataFrame([(0, "Jürgen", "TRAIN", 0), (1, other, "TEST", 0)], columns=COLUMNS[:4])
    with pytest.raises(InputError, match="is on both sides, training and TEST"):
        course(clips)


def test_a_validation_speaker_must_be_a_further_one():
    a, b, x = (CLIPS[CLIPS["speaker"] == name] for name in "ABx")
    Split("made", a, {"TEST": x}, b)
    with pytest.raises(InputError, match="'A' is on both sides, training and validation"):
        Split("made", a, {"TEST": x}, a)
    with pytest.raises(InputError, match="'x' is on both sides, validation and TEST"):
        Split("made", a, {"TEST": x}, x)


def test_a_side_without_clips_is_refused():
    with pytest.raises(InputError, match="no clips for training"):
        course(CLIPS[CLIPS["split"] != "TRAIN"])
    with pytest.raises(InputError, match="no clips for TEST"):
        course(CLIPS[CLIPS["split"] == "TRAIN"])


def test_speech_data_follows_the_variable_and_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SDR_SPEECH_DATA", os.path.join("~", "clips"))
    assert speech_data() == (tmp_path / "clips").resolve()
    monkeypatch.setenv("SDR_SPEECH_DATA", "")
    assert speech_data() == PROJECT / "speech_data"


def test_a_configs_table_lies_in_the_project_or_with_its_clips(tmp_path, monkeypatch):
    monkeypatch.setenv("SDR_SPEECH_DATA", str(tmp_path))
    assert find_metadata("SDR_metadata.tsv") == COURSE_METADATA
    assert find_metadata("speech_data/arabic/metadata.tsv") == tmp_path.resolve() / "arabic" / "metadata.tsv"
    assert find_metadata(str(tmp_path / "mine.tsv")) == tmp_path / "mine.tsv"
