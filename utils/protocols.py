"""Protocols: who is trained on and who is tested on. No protocol lets a speaker be on both sides."""

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
                heard[speaker] = side
        if self.unlabelled is not None:  # they may be by a speaker of whom other clips have labels
            heard |= dict.fromkeys(set(self.unlabelled["speaker"]) - set(heard), "unlabelled")
        for name, clips in self.tests.items():
            for speaker in clips["speaker"].unique():
                self._refuse_twice(heard, speaker, name)
        for side, clips in (sides | self.tests).items():
            if clips.empty:
                raise InputError(f"protocol {self.name}: there are no clips for {side}")

    def _refuse_twice(self, heard: dict[str, str], speaker: str, side: str) -> None:
        if speaker in heard:
            raise InputError(
                f"protocol {self.name}: speaker '{speaker}' is on both sides, {heard[speaker]} and {side}; "
                "a result would not be speaker-independent"
            )


def course(clips: pd.DataFrame, fold: str | None = None) -> Split:
    """The split that the table's own column `split` gives: train on TRAIN, report DEV and TEST."""
    _no_fold("course", fold)
    return Split("course", _part(clips, "TRAIN"), _reported(clips))


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


def few_takes(split: Split, takes: int, seed: int) -> Split:
    """Keep the labels of only so many takes of each digit by each training speaker, drawn by the seed."""
    shuffled = split.train.sample(frac=1, random_state=seed)
    chosen = shuffled.groupby(["speaker", "label"]).head(takes).index
    rest = _without_labels(split.train.drop(chosen))
    unlabelled = rest if split.unlabelled is None else pd.concat([split.unlabelled, rest])
    return replace(
        split, name=f"{split.name}-takes-{takes}", train=split.train.loc[sorted(chosen)], unlabelled=unlabelled
    )


def ratio(clips: pd.DataFrame, fold: str | None = None) -> Split:
    """Speakers dealt into 80 % training, 10 % validation and 10 % test by the seed `fold` (at least one each)."""
    if fold is None or not fold.isdecimal():
        raise InputError(f"protocol ratio: its fold is a seed, a whole number, not {fold!r}")
    speakers = np.random.default_rng(int(fold)).permutation(sorted(clips["speaker"].unique()))
    if len(speakers) < 3:
        raise InputError(f"protocol ratio: needs three speakers or more, and there are {len(speakers)}")
    share = max(1, round(len(speakers) / 10))
    test, validation = set(speakers[:share]), set(speakers[share : 2 * share])
    return Split(
        f"ratio-{fold}",
        clips[~clips["speaker"].isin(test | validation)],
        {"TEST": clips[clips["speaker"].isin(test)]},
        clips[clips["speaker"].isin(validation)],
    )


PROTOCOLS: dict[str, Callable[[pd.DataFrame, str | None], Split]] = {
    "course": course,
    "loso": leave_one_speaker_out,
    "inside-train": inside_train,
    "one-speaker": one_speaker,
    "one-inside-train": one_inside_train,
    "ratio": ratio,
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


def split_name(protocol: str, fold: str | None, takes: int | None) -> str:
    """What a split is called, as "one-speaker-george-takes-5"."""
    return "-".join([protocol, *filter(None, [fold]), *([f"takes-{takes}"] if takes else [])])
