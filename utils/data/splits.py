"""Protocols divide the clips into training and test sets. All of them are speaker-disjoint."""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from utils import InputError
from utils.settings import nearest

NO_LABEL = -1  # the label of unlabelled clips


@dataclass(frozen=True)
class Split:
    """A protocol applied to a metadata table.

    Attributes:
        name: the protocol and its fold, for example "course" or "loso-george".
        train: labelled clips to train on.
        tests: clips to report results on, by name ("DEV", "TEST"). The speakers of both are unseen in training.
        validation: clips by yet other speakers, for early stopping, or None.
        unlabelled: further clips to train on, without their labels (`NO_LABEL`), or None.
        synthetic_only: no recording is trained on, so `train` may be empty until synthetic speech is added.

    Raises:
        InputError: a speaker, who is named, is on both sides, or a side has no clips.
    """

    name: str
    train: pd.DataFrame
    tests: dict[str, pd.DataFrame]
    validation: pd.DataFrame | None = None
    unlabelled: pd.DataFrame | None = None
    synthetic_only: bool = False

    def __post_init__(self):
        sides = {"training": self.train}
        if self.validation is not None:
            sides["validation"] = self.validation
        seen: dict[str, str] = {}
        for side, clips in sides.items():
            for speaker in clips["speaker"].unique():
                self._reject_repeated(seen, speaker, side)
            seen |= dict.fromkeys(map(normalise_speaker, clips["speaker"].unique()), side)
        if self.unlabelled is not None:  # a speaker may have labelled and unlabelled clips
            seen = dict.fromkeys(map(normalise_speaker, self.unlabelled["speaker"].unique()), "unlabelled") | seen
        for name, clips in self.tests.items():
            for speaker in clips["speaker"].unique():
                self._reject_repeated(seen, speaker, name)
        for side, clips in (sides | self.tests).items():
            if clips.empty and not (side == "training" and self.synthetic_only):
                raise InputError(f"protocol {self.name}: there are no clips for {side}")

    def _reject_repeated(self, seen: dict[str, str], speaker: str, side: str) -> None:
        if normalise_speaker(speaker) in seen:
            raise InputError(
                f"protocol {self.name}: speaker '{speaker}' is on both sides, {seen[normalise_speaker(speaker)]} and "
                f"{side} (ignoring case and Unicode form); the result would not be speaker-independent"
            )


def normalise_speaker(speaker: str) -> str:
    """A speaker's name for comparison: neither case, nor Unicode form, nor a character that nobody sees matters.

    So "JÜRGEN" equals "jürgen", whatever the "ü" is made of, and "eve" equals "eve" with a zero-width space.
    """
    visible = "".join(letter for letter in speaker if unicodedata.category(letter) != "Cf")
    return unicodedata.normalize("NFKC", visible).casefold()


def course(clips: pd.DataFrame, fold: str | None = None) -> Split:
    """The table's own split, as in the course: train on TRAIN, report DEV and TEST."""
    _no_fold("course", fold)
    return Split("course", _part(clips, "TRAIN"), _reported(clips))


def by_split(clips: pd.DataFrame, fold: str | None = None) -> Split:
    """The table's own split, where DEV and TEST share no speaker: train on TRAIN, validate on DEV, report TEST."""
    _no_fold("split", fold)
    return Split("split", _part(clips, "TRAIN"), {"TEST": _part(clips, "TEST")}, _part(clips, "DEV"))


def leave_one_speaker_out(clips: pd.DataFrame, fold: str | None = None) -> Split:
    """Train on all speakers except `fold`, regardless of their split, and test on `fold`."""
    unseen = _speaker(clips, "loso", fold)
    return Split(f"loso-{fold}", clips[~unseen], {"TEST": clips[unseen]})


def inside_train(clips: pd.DataFrame, fold: str | None = None) -> Split:
    """Leave one speaker out, within TRAIN. For choosing hyperparameters, as it never uses DEV or TEST."""
    clips = _part(clips, "TRAIN")
    unseen = _speaker(clips, "inside-train", fold)
    return Split(f"inside-train-{fold}", clips[~unseen], {"TEST": clips[unseen]})


def one_speaker(clips: pd.DataFrame, fold: str | None = None) -> Split:
    """Train on the TRAIN clips of one speaker, `fold`, and report DEV and TEST, as for an under-resourced language.

    The clips of the other TRAIN speakers are unlabelled.
    """
    train = _part(clips, "TRAIN")
    labelled = _speaker(train, "one-speaker", fold)
    return Split(f"one-speaker-{fold}", train[labelled], _reported(clips), unlabelled=_without_labels(train[~labelled]))


def one_inside_train(clips: pd.DataFrame, fold: str | None = None) -> Split:
    """One labelled speaker as in `one_speaker`, but tested within TRAIN. For choosing hyperparameters in that case.

    `fold` names two TRAIN speakers, for example "george-theo": the labelled speaker and the unseen test speaker. The
    clips of the others are unlabelled.
    """
    train = _part(clips, "TRAIN")
    speakers, given = sorted(train["speaker"].unique()), fold or ""
    pairs = [(given[:place], given[place + 1 :]) for place, letter in enumerate(given) if letter == "-"]
    pair = next((pair for pair in pairs if set(pair) <= set(speakers)), None)  # names may have hyphens themselves
    if pair is None:
        raise InputError(
            f"protocol one-inside-train: its folds are two of the speakers {', '.join(speakers)}, such as "
            f"{'-'.join(speakers[:2])}, not {fold!r}"
        )
    labelled, unseen = (train["speaker"] == speaker for speaker in pair)
    return Split(
        f"one-inside-train-{fold}",
        train[labelled],
        {"TEST": train[unseen]},
        unlabelled=_without_labels(train[~labelled & ~unseen]),
    )


def few_repetitions(split: Split, repetitions: int, seed: int) -> Split:
    """Keep the labels of `repetitions` randomly drawn clips per digit and training speaker, and drop all others."""
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


def zero(clips: pd.DataFrame, fold: str | None = None) -> Split:
    """No recording is trained on, only the synthetic speech that an experiment adds. Report DEV and TEST."""
    _no_fold("zero", fold)
    return Split("zero", clips.iloc[:0], _reported(clips), synthetic_only=True)


def zero_inside_train(clips: pd.DataFrame, fold: str | None = None) -> Split:
    """As `zero`, tested on the TRAIN speakers. Settings for `zero` are selected by this."""
    _no_fold("zero-inside-train", fold)
    return Split("zero-inside-train", clips.iloc[:0], {"TEST": _part(clips, "TRAIN")}, synthetic_only=True)


def ratio(clips: pd.DataFrame, fold: str | None = None) -> Split:
    """A random split of the speakers into 80 % training, 10 % validation and 10 % test. `fold` is the seed."""
    if fold is None or not fold.isdecimal():
        raise InputError(f"protocol ratio: its fold is a seed, that is a whole number, not {fold!r}")
    speakers = sorted(clips["speaker"].unique())
    if len(speakers) < 3:
        raise InputError(f"protocol ratio: needs at least three speakers, and there are {len(speakers)}")
    part = clips["speaker"].map(deal(speakers, int(fold)))
    return Split(f"ratio-{fold}", clips[part == "TRAIN"], {"TEST": clips[part == "TEST"]}, clips[part == "DEV"])


def deal(speakers: list[str], seed: int) -> dict[str, str]:
    """Randomly assign at least three speakers to TRAIN (80 %), DEV (10 %) and TEST (10 %), at least one to each."""
    order = np.random.default_rng(seed).permutation(speakers).tolist()
    share = max(1, round(len(speakers) / 10))
    splits = dict.fromkeys(order[:share], "TEST") | dict.fromkeys(order[share : 2 * share], "DEV")
    return dict.fromkeys(order[2 * share :], "TRAIN") | splits


BECKER = (  # AudioMNIST's speakers in the five groups of Becker et al. (2018), from their preprocess_data.py
    "28 56 07 19 35 01 06 16 23 34 46 53",
    "36 57 09 24 37 02 08 17 29 39 48 54",
    "43 58 14 25 38 03 10 20 30 40 49 55",
    "12 47 59 15 27 41 04 11 21 31 44 50",
    "26 52 60 18 32 42 05 13 22 33 45 51",
)


def becker(clips: pd.DataFrame, fold: str | None = None) -> Split:
    """AudioMNIST's published folds "0" to "4": three groups of 12 speakers to train, one to validate, one to test."""
    folds = [str(fold) for fold in range(len(BECKER))]
    if fold not in folds:
        raise InputError(f"protocol becker: its folds are {', '.join(folds)}, not {fold!r}")
    groups = [group.split() for group in BECKER]
    test, validation = groups[int(fold) - 1], groups[int(fold) - 2]
    unknown = sorted(set(clips["speaker"]) - {speaker for group in groups for speaker in group})
    if unknown:
        raise InputError(f"protocol becker: speaker '{unknown[0]}' is not one of AudioMNIST's 60")
    in_test, in_validation = clips["speaker"].isin(test), clips["speaker"].isin(validation)
    return Split(f"becker-{fold}", clips[~in_test & ~in_validation], {"TEST": clips[in_test]}, clips[in_validation])


PROTOCOLS: dict[str, Callable[[pd.DataFrame, str | None], Split]] = {
    "course": course,
    "split": by_split,
    "loso": leave_one_speaker_out,
    "inside-train": inside_train,
    "one-speaker": one_speaker,
    "one-inside-train": one_inside_train,
    "zero": zero,
    "zero-inside-train": zero_inside_train,
    "ratio": ratio,
    "becker": becker,
}


def apply(protocol: str, clips: pd.DataFrame, fold: str | None = None) -> Split:
    """Apply a protocol, by its name, to a table. Raises `InputError` if there is none of that name, or as it does."""
    if protocol not in PROTOCOLS:
        raise InputError(f"unknown protocol '{protocol}'; {nearest(protocol, PROTOCOLS)}")
    return PROTOCOLS[protocol](clips, fold)


def _part(clips: pd.DataFrame, split: str) -> pd.DataFrame:
    return clips[clips["split"] == split]


def _without_labels(clips: pd.DataFrame) -> pd.DataFrame | None:
    return clips.assign(label=NO_LABEL) if len(clips) else None


def _reported(clips: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {name: _part(clips, name) for name in ("DEV", "TEST") if name == "TEST" or (clips["split"] == name).any()}


def _no_fold(name: str, fold: str | None) -> None:
    if fold is not None:
        raise InputError(f"protocol {name}: it has no folds, so {fold!r} cannot be one")


def _speaker(clips: pd.DataFrame, name: str, fold: str | None) -> pd.Series:
    """A mask of the rows by the speaker `fold`, who must exist."""
    speakers = sorted(clips["speaker"].unique())
    if fold not in speakers:
        given = f"'{fold}' is not among them" if fold else "choose one with --fold"
        raise InputError(f"protocol {name}: its folds are the speakers {', '.join(speakers)}; {given}")
    return clips["speaker"] == fold


def split_name(protocol: str, fold: str | None, repetitions: int | None) -> str:
    """The name of a split, for example "one-speaker-george-repetitions-5"."""
    return "-".join([protocol, *filter(None, [fold]), *([f"repetitions-{repetitions}"] if repetitions else [])])
