"""Protocols: who is trained on and who is tested on. No protocol lets a speaker be on both sides."""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from utils import InputError


@dataclass(frozen=True)
class Split:
    """A protocol applied to a metadata table.

    Attributes:
        name: the protocol and its fold, as "course" or "loso-george".
        train: the clips to learn from.
        tests: the clips to report on, by name ("DEV", "TEST"); DEV is no less unheard than TEST.
        validation: clips of further speakers for early stopping, or None.
        unlabelled: clips to learn from whose label is -1, as nobody has listened to them, or None.

    Raises:
        InputError: a speaker is on both sides (named), or a side has no clips.
    """

    name: str
    train: pd.DataFrame
    tests: dict[str, pd.DataFrame]
    validation: pd.DataFrame | None = None
    unlabelled: pd.DataFrame | None = None

    def __post_init__(self):
        sides = {"training": self.train}
        if self.validation is not None:
            sides["validation"] = self.validation
        heard: dict[str, str] = {}
        for side, clips in sides.items():
            for speaker in clips["speaker"].unique():
                self._refuse_twice(heard, speaker, side)
            heard |= dict.fromkeys(map(_person, clips["speaker"].unique()), side)
        if self.unlabelled is not None:  # they may be by a speaker of whom other clips have labels
            heard = dict.fromkeys(map(_person, self.unlabelled["speaker"].unique()), "unlabelled") | heard
        for name, clips in self.tests.items():
            for speaker in clips["speaker"].unique():
                self._refuse_twice(heard, speaker, name)
        for side, clips in (sides | self.tests).items():
            if clips.empty:
                raise InputError(f"protocol {self.name}: there are no clips for {side}")

    def _refuse_twice(self, heard: dict[str, str], speaker: str, side: str) -> None:
        if _person(speaker) in heard:
            raise InputError(
                f"protocol {self.name}: speaker '{speaker}' is on both sides, {heard[_person(speaker)]} and {side} "
                "(in whatever letters the name is written); a result would not be speaker-independent"
            )


def _person(speaker: str) -> str:
    """A speaker's name as it counts: "JÜRGEN" is "jürgen", and an ü is one whether typed as one letter or as two."""
    return unicodedata.normalize("NFC", speaker).casefold()


def course(clips: pd.DataFrame, fold: str | None = None) -> Split:
    """The split that the table's own column `split` gives: train on TRAIN, report DEV and TEST."""
    _no_fold("course", fold)
    return Split("course", _part(clips, "TRAIN"), _reported(clips))


def by_split(clips: pd.DataFrame, fold: str | None = None) -> Split:
    """The split that the table's own column gives, for corpora whose DEV has speakers of its own: DEV validates."""
    _no_fold("split", fold)
    return Split("split", _part(clips, "TRAIN"), {"TEST": _part(clips, "TEST")}, _part(clips, "DEV"))


def leave_one_speaker_out(clips: pd.DataFrame, fold: str | None = None) -> Split:
    """Train on all speakers but `fold`, whatever their split, and test on `fold`."""
    unheard = _speaker(clips, "loso", fold)
    return Split(f"loso-{fold}", clips[~unheard], {"TEST": clips[unheard]})


def inside_train(clips: pd.DataFrame, fold: str | None = None) -> Split:
    """Leave one of the TRAIN speakers out. Settings are chosen by this: it never sees DEV or TEST."""
    clips = _part(clips, "TRAIN")
    unheard = _speaker(clips, "inside-train", fold)
    return Split(f"inside-train-{fold}", clips[~unheard], {"TEST": clips[unheard]})


def one_speaker(clips: pd.DataFrame, fold: str | None = None) -> Split:
    """Train on the TRAIN clips of one speaker, `fold`, and report DEV and TEST: a language with one voice.

    The clips of the other TRAIN speakers are there without their labels.
    """
    train = _part(clips, "TRAIN")
    labelled = _speaker(train, "one-speaker", fold)
    return Split(f"one-speaker-{fold}", train[labelled], _reported(clips), unlabelled=_without_labels(train[~labelled]))


def one_inside_train(clips: pd.DataFrame, fold: str | None = None) -> Split:
    """One speaker as in `one_speaker`, inside TRAIN: settings for that case are chosen by this.

    `fold` names two TRAIN speakers, as "george-theo": the one with labels and the one who is unheard. The others'
    clips are there without their labels.
    """
    train = _part(clips, "TRAIN")
    labelled, _, unheard = (fold or "").partition("-")
    labelled, unheard = (_speaker(train, "one-inside-train", speaker) for speaker in (labelled, unheard))
    return Split(
        f"one-inside-train-{fold}",
        train[labelled],
        {"TEST": train[unheard]},
        unlabelled=_without_labels(train[~labelled & ~unheard]),
    )


def few_repetitions(split: Split, repetitions: int, seed: int) -> Split:
    """Keep the labels of only so many repetitions of each digit by each training speaker, drawn by the seed."""
    shuffled = split.train.sample(frac=1, random_state=seed)
    chosen = shuffled.groupby(["speaker", "label"]).head(repetitions).index
    rest = _without_labels(split.train.drop(chosen))
    unlabelled = rest if split.unlabelled is None else pd.concat([split.unlabelled, rest])
    return replace(
        split,
        name=f"{split.name}-repetitions-{repetitions}",
        train=split.train.loc[sorted(chosen)],
        unlabelled=unlabelled,
    )


def ratio(clips: pd.DataFrame, fold: str | None = None) -> Split:
    """Speakers dealt into 80 % training, 10 % validation and 10 % test by the seed `fold` (at least one each)."""
    if fold is None or not fold.isdecimal():
        raise InputError(f"protocol ratio: its fold is a seed, a whole number, not {fold!r}")
    speakers = sorted(clips["speaker"].unique())
    if len(speakers) < 3:
        raise InputError(f"protocol ratio: needs three speakers or more, and there are {len(speakers)}")
    part = clips["speaker"].map(deal(speakers, int(fold)))
    return Split(f"ratio-{fold}", clips[part == "TRAIN"], {"TEST": clips[part == "TEST"]}, clips[part == "DEV"])


def deal(speakers: list[str], seed: int) -> dict[str, str]:
    """Three speakers or more dealt into TRAIN, DEV and TEST: 80, 10 and 10 %, at least one each."""
    order = np.random.default_rng(seed).permutation(speakers).tolist()
    share = max(1, round(len(speakers) / 10))
    splits = dict.fromkeys(order[:share], "TEST") | dict.fromkeys(order[share : 2 * share], "DEV")
    return dict.fromkeys(order[2 * share :], "TRAIN") | splits


BECKER = (  # AudioMNIST's speakers in the five groups of Becker et al. 2018 (their preprocess_data.py)
    "28 56 07 19 35 01 06 16 23 34 46 53",
    "36 57 09 24 37 02 08 17 29 39 48 54",
    "43 58 14 25 38 03 10 20 30 40 49 55",
    "12 47 59 15 27 41 04 11 21 31 44 50",
    "26 52 60 18 32 42 05 13 22 33 45 51",
)


def becker(clips: pd.DataFrame, fold: str | None = None) -> Split:
    """AudioMNIST's published folds "0" to "4": three groups of 12 speakers train, one validates, one tests."""
    folds = [str(fold) for fold in range(len(BECKER))]
    if fold not in folds:
        raise InputError(f"protocol becker: its folds are {', '.join(folds)}, not {fold!r}")
    groups = [group.split() for group in BECKER]
    test, validation = groups[int(fold) - 1], groups[int(fold) - 2]
    unknown = sorted(set(clips["speaker"]) - {speaker for group in groups for speaker in group})
    if unknown:
        raise InputError(f"protocol becker: speaker '{unknown[0]}' is none of AudioMNIST's 60")
    heard = ~clips["speaker"].isin(test + validation)
    unheard, validating = clips["speaker"].isin(test), clips["speaker"].isin(validation)
    return Split(f"becker-{fold}", clips[heard], {"TEST": clips[unheard]}, clips[validating])


PROTOCOLS: dict[str, Callable[[pd.DataFrame, str | None], Split]] = {
    "course": course,
    "split": by_split,
    "loso": leave_one_speaker_out,
    "inside-train": inside_train,
    "one-speaker": one_speaker,
    "one-inside-train": one_inside_train,
    "ratio": ratio,
    "becker": becker,
}


def _part(clips: pd.DataFrame, split: str) -> pd.DataFrame:
    return clips[clips["split"] == split]


def _without_labels(clips: pd.DataFrame) -> pd.DataFrame | None:
    return clips.assign(label=-1) if len(clips) else None


def _reported(clips: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {name: _part(clips, name) for name in ("DEV", "TEST") if name == "TEST" or (clips["split"] == name).any()}


def _no_fold(name: str, fold: str | None) -> None:
    if fold is not None:
        raise InputError(f"protocol {name}: it has no folds, so there is no fold {fold!r}")


def _speaker(clips: pd.DataFrame, name: str, fold: str | None) -> pd.Series:
    """Which rows are by the speaker `fold`, who must exist."""
    speakers = sorted(clips["speaker"].unique())
    if fold not in speakers:
        given = f"'{fold}' is not one" if fold else "name one with --fold"
        raise InputError(f"protocol {name}: its folds are the speakers {', '.join(speakers)}; {given}")
    return clips["speaker"] == fold


def split_name(protocol: str, fold: str | None, repetitions: int | None) -> str:
    """What a split is called, as "one-speaker-george-repetitions-5"."""
    return "-".join([protocol, *filter(None, [fold]), *([f"repetitions-{repetitions}"] if repetitions else [])])
