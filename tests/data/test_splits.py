"""Protocols: each has the right clips on each side, and none lets a speaker be on both sides."""

from dataclasses import replace

import pandas as pd
import pytest
from data_helpers import input_error
from hypothesis import given, settings
from hypothesis import strategies as st

from utils import InputError
from utils.data.metadata import COLUMNS
from utils.data.splits import (
    BECKER,
    PROTOCOLS,
    Split,
    apply,
    becker,
    course,
    few_repetitions,
    inside_train,
    leave_one_speaker_out,
    one_speaker,
    ratio,
    split_name,
)


def clips(*speakers: str) -> pd.DataFrame:
    """Four clips per speaker: TRAIN for names in capitals, otherwise half DEV and half TEST."""
    made = []
    for speaker in speakers:
        for repetition in range(4):
            split = "TRAIN" if speaker.isupper() else ("DEV", "TEST")[repetition % 2]
            made.append((f"{speaker}{repetition}", speaker, split, repetition))
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


def test_zero_trains_on_no_recording():
    split = PROTOCOLS["zero"](CLIPS, None)
    assert split.train.empty and split.unlabelled is None
    assert {name: speakers(part) for name, part in split.tests.items()} == {"DEV": {"x", "y"}, "TEST": {"x", "y"}}
    inside = PROTOCOLS["zero-inside-train"](CLIPS, None)
    assert inside.train.empty and speakers(inside.tests["TEST"]) == {"A", "B", "C"}
    with pytest.raises(InputError, match="no clips for TEST"):
        PROTOCOLS["zero"](CLIPS[CLIPS["split"] == "TRAIN"], None)


def test_course_does_without_dev():
    assert list(course(CLIPS[CLIPS["split"] != "DEV"]).tests) == ["TEST"]


@pytest.mark.parametrize("fold", ["B", "x"])
def test_leave_one_speaker_out_trains_on_all_others_regardless_of_split(fold):
    split = leave_one_speaker_out(CLIPS, fold)
    assert split.name == f"loso-{fold}"
    assert speakers(split.train) == speakers(CLIPS) - {fold}
    assert speakers(split.tests["TEST"]) == {fold}
    assert len(split.train) + len(split.tests["TEST"]) == len(CLIPS)


def test_inside_train_never_uses_dev_and_test():
    split = inside_train(CLIPS, "B")
    assert speakers(split.train) == {"A", "C"}
    assert speakers(split.tests["TEST"]) == {"B"} and list(split.tests) == ["TEST"]
    with pytest.raises(InputError, match="A, B, C"):
        inside_train(CLIPS, "x")


def test_one_speaker_trains_on_that_speaker_alone():
    split = one_speaker(CLIPS, "C")
    assert speakers(split.train) == {"C"}
    assert {name: speakers(part) for name, part in split.tests.items()} == {"DEV": {"x", "y"}, "TEST": {"x", "y"}}


def test_one_speaker_has_the_others_of_train_without_their_labels():
    split = one_speaker(CLIPS, "A")
    others = CLIPS[(CLIPS["split"] == "TRAIN") & (CLIPS["speaker"] != "A")]
    assert set(split.unlabelled["identifier"]) == set(others["identifier"])
    assert (split.unlabelled["label"] == -1).all()


def test_names_with_hyphens_can_be_folds_of_one_inside_train():
    first, second, *_ = sorted(CLIPS.loc[CLIPS["split"] == "TRAIN", "speaker"].unique())
    clips = CLIPS.replace({"speaker": {first: "speaker-7", second: "speaker-8"}})
    split = PROTOCOLS["one-inside-train"](clips, "speaker-7-speaker-8")
    assert set(split.train["speaker"]) == {"speaker-7"} and set(split.tests["TEST"]["speaker"]) == {"speaker-8"}


def test_one_inside_train_never_uses_dev_and_test():
    train = CLIPS[CLIPS["split"] == "TRAIN"]
    first, second = sorted(train["speaker"].unique())[:2]
    split = PROTOCOLS["one-inside-train"](CLIPS, f"{first}-{second}")
    assert set(split.train["speaker"]) == {first} and set(split.tests["TEST"]["speaker"]) == {second}
    assert set(split.tests["TEST"]["split"]) == {"TRAIN"}
    if split.unlabelled is not None:
        assert not set(split.unlabelled["speaker"]) & {first, second}
    for wrong in (None, first, f"{first}-x", f"x-{second}", f"{first}+{second}"):
        with pytest.raises(InputError, match="one-inside-train"):
            PROTOCOLS["one-inside-train"](CLIPS, wrong)
    with pytest.raises(InputError, match="both sides"):
        PROTOCOLS["one-inside-train"](CLIPS, f"{first}-{first}")


def test_few_repetitions_keeps_the_labels_of_n_clips_per_digit_and_speaker(corpus):
    whole = course(corpus.clips)  # two repetitions of each digit by four speakers
    few = few_repetitions(whole, 1, seed=3)
    assert (few.train.groupby(["speaker", "label"]).size() == 1).all() and len(few.train) == 40
    assert set(few.train["identifier"]) | set(few.unlabelled["identifier"]) == set(whole.train["identifier"])
    assert (few.unlabelled["label"] == -1).all() and len(few.unlabelled) == 40
    assert few.train.equals(whole.train.loc[few.train.index])  # in the original order
    assert few.name == split_name("course", None, 1) == "course-repetitions-1"
    assert few_repetitions(whole, 1, seed=3).train.equals(few.train)
    assert not few_repetitions(whole, 1, seed=4).train.equals(few.train)
    assert few_repetitions(whole, 5, seed=0).unlabelled is None


def test_unlabelled_clips_by_test_speakers_are_rejected():
    split = course(CLIPS)
    with pytest.raises(InputError, match="both sides, unlabelled and"):
        replace(split, unlabelled=split.tests["TEST"].assign(label=-1))


@given(number=st.integers(3, 60), seed=st.integers(0, 10**6))
@settings(max_examples=40)
def test_ratio_puts_every_speaker_on_one_side(number, seed):
    table = clips(*(f"s{i}" for i in range(number)))
    split = ratio(table, str(seed))
    sides = [split.train, split.validation, split.tests["TEST"]]
    assert sorted(i for side in sides for i in side["identifier"]) == sorted(table["identifier"])
    assert sum(len(speakers(side)) for side in sides) == number  # no speaker is on two sides
    share = len(speakers(split.tests["TEST"]))
    assert share == len(speakers(split.validation)) == max(1, round(number / 10))
    again = ratio(table[::-1], str(seed))  # regardless of the order of the table
    assert speakers(again.train) == speakers(split.train)
    assert speakers(again.validation) == speakers(split.validation)


def test_ratio_depends_on_the_seed():
    table = clips(*(f"s{i}" for i in range(30)))
    assert len({tuple(sorted(speakers(ratio(table, str(seed)).train))) for seed in range(5)}) == 5


@pytest.mark.parametrize("fold", [None, "", "ada", "-1", "1.5"])
def test_ratio_rejects_a_fold_that_is_not_a_seed(fold):
    with pytest.raises(InputError, match="seed"):
        ratio(CLIPS, fold)


def test_ratio_rejects_too_few_speakers():
    with pytest.raises(InputError, match="three speakers"):
        ratio(clips("A", "B"), "0")


def test_beckers_folds_test_each_speaker_once():
    clips = pd.DataFrame({"speaker": [f"{number:02d}" for number in range(1, 61)], "label": 0})
    tested = []
    for fold in range(5):
        split = becker(clips, str(fold))
        assert [len(part) for part in (split.train, split.validation, split.tests["TEST"])] == [36, 12, 12]
        tested += split.tests["TEST"]["speaker"].tolist()
    assert sorted(tested) == sorted(clips["speaker"])
    first = becker(clips, "0")
    assert set(first.tests["TEST"]["speaker"]) == set(BECKER[4].split())
    assert set(first.validation["speaker"]) == set(BECKER[3].split())
    assert "folds are 0, 1, 2, 3, 4" in input_error(becker, clips, "5")
    assert "'eve'" in input_error(becker, pd.DataFrame({"speaker": ["eve"], "label": 0}), "0")


@pytest.mark.parametrize("name", ["loso", "inside-train", "one-speaker"])
@pytest.mark.parametrize("fold", [None, "Z"])
def test_an_unknown_speaker_is_rejected_and_the_known_ones_listed(name, fold):
    with pytest.raises(InputError, match=f"protocol {name}: .*A, B, C"):
        PROTOCOLS[name](CLIPS, fold)


def test_course_has_no_folds():
    with pytest.raises(InputError, match="'A'"):
        course(CLIPS, "A")


@pytest.mark.parametrize("split", ["DEV", "TEST"])
def test_a_speaker_on_both_sides_is_rejected_by_name(split):
    table = CLIPS.copy()
    table.loc[table["identifier"] == "B2", "split"] = split
    for protocol, fold in ((course, None), (one_speaker, "B")):
        with pytest.raises(InputError, match=f"'B' is on both sides, training and {split}"):
            protocol(table, fold)


@pytest.mark.parametrize("other", ["JÜRGEN", "jürgen", "Ju\u0308rgen", "Jürgen\u200b", "\uff2aürgen"])
def test_neither_case_nor_unicode_form_distinguishes_speakers(other):
    clips = pd.DataFrame([(0, "Jürgen", "TRAIN", 0), (1, other, "TEST", 0)], columns=COLUMNS[:4])
    with pytest.raises(InputError, match="is on both sides, training and TEST"):
        course(clips)


def test_validation_speakers_must_be_disjoint_too():
    a, b, x = (CLIPS[CLIPS["speaker"] == name] for name in "ABx")
    Split("made", a, {"TEST": x}, b)
    with pytest.raises(InputError, match="'A' is on both sides, training and validation"):
        Split("made", a, {"TEST": x}, a)
    with pytest.raises(InputError, match="'x' is on both sides, validation and TEST"):
        Split("made", a, {"TEST": x}, x)


def test_a_side_without_clips_is_rejected():
    with pytest.raises(InputError, match="no clips for training"):
        course(CLIPS[CLIPS["split"] != "TRAIN"])
    with pytest.raises(InputError, match="no clips for TEST"):
        course(CLIPS[CLIPS["split"] == "TRAIN"])


def test_a_protocol_is_applied_by_its_name():
    assert apply("loso", CLIPS, "x").name == "loso-x"
    assert "did you mean 'course'?" in input_error(apply, "curse", CLIPS)
