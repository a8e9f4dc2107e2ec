"""Labels, speakers, splits and sample rates of a table: what is missing, rare, or on both sides."""

from collections.abc import Iterator, Mapping

import pandas as pd

from utils import count
from utils.applications.corpus_check.findings import Finding
from utils.applications.corpus_check.measures import RATE, Measures
from utils.data.metadata import SPLITS
from utils.data.splits import normalise_speaker

LABELS_RATIO = 2.0  # the commonest label has at most this many times the clips of the rarest
SPEAKERS_RATIO = 5.0  # likewise speakers
LEAST_TRAIN = 0.4  # share of the clips


def check_balance(clips: pd.DataFrame, measured: Mapping[int, Measures]) -> Iterator[Finding]:
    """Findings about the table as a whole."""
    yield from check_speakers(clips)
    yield from check_labels(clips)
    yield from check_splits(clips)
    yield from check_rates(clips, measured)


def check_speakers(clips: pd.DataFrame) -> Iterator[Finding]:
    """Speakers in TRAIN and another split, names that differ only in form, very unequal numbers of clips."""
    person = clips["speaker"].map(normalise_speaker)
    for _, mine in clips.groupby(person):
        names, splits = mine["speaker"].unique().tolist(), [name for name in SPLITS if name in set(mine["split"])]
        shown = " = ".join(names)
        if "TRAIN" in splits and len(splits) > 1:
            held_out = int((mine["split"] != "TRAIN").sum())
            message = f"speaker {shown} is in {' and '.join(splits)} ({count(held_out, 'clip')} outside TRAIN)"
            yield Finding("leakage", "error", message, score=held_out)
        elif len(names) > 1:
            yield Finding("voices", "warning", f"{shown}: the names differ only in case or Unicode form")
    sizes = person.value_counts()
    if sizes.max() > SPEAKERS_RATIO * sizes.min():
        most, least = (clips.loc[person == sizes.index[at], "speaker"].iloc[0] for at in (0, -1))
        message = f"speaker {most} has {count(sizes.max(), 'clip')}, {least} {sizes.min()}"
        yield Finding("imbalance", "warning", message, score=sizes.max() / sizes.min())


def check_labels(clips: pd.DataFrame) -> Iterator[Finding]:
    """Digits that are missing, in TRAIN or by a speaker, or rare."""
    for split in (name for name in SPLITS if name in set(clips["split"])):
        sizes = clips.loc[clips["split"] == split, "label"].value_counts().reindex(range(10), fill_value=0)
        if missing := sizes.index[sizes == 0].tolist():
            severity = "error" if split == "TRAIN" else "warning"
            yield Finding("imbalance", severity, f"{split} has no clip of {str(missing)[1:-1]}", score=100)
        elif sizes.max() > LABELS_RATIO * sizes.min():
            message = f"{split} has {count(sizes.max(), 'clip')} of {sizes.idxmax()}, {sizes.min()} of {sizes.idxmin()}"
            yield Finding("imbalance", "warning", message, score=sizes.max() / sizes.min())
    missing_of = {
        speaker: sorted(set(range(10)) - set(mine["label"]))
        for speaker, mine in clips.groupby("speaker")
        if mine["label"].nunique() < 10
    }
    for speaker, missing in missing_of.items():
        yield Finding("imbalance", "note", f"speaker {speaker} has no clip of {str(missing)[1:-1]}", score=len(missing))


def check_splits(clips: pd.DataFrame) -> Iterator[Finding]:
    """Splits without clips, and a small TRAIN."""
    sizes = clips["split"].value_counts().reindex(SPLITS, fill_value=0)
    without_test = "put a speaker in it, or leave each out in turn (--protocol loso)"
    for split, consequence in (("TRAIN", "nothing to train on"), ("TEST", without_test)):
        if not sizes[split]:
            yield Finding("imbalance", "warning", f"{split} is empty: {consequence}", score=50)
    if 0 < sizes["TRAIN"] < LEAST_TRAIN * len(clips):
        yield Finding("imbalance", "warning", f"only {sizes['TRAIN'] / len(clips):.0%} of the clips are in TRAIN")


def check_rates(clips: pd.DataFrame, measured: Mapping[int, Measures]) -> Iterator[Finding]:
    """Several sample rates, and rates below that of the features."""
    rates = pd.Series({i: clip.rate for i, clip in measured.items()}, dtype=int)
    sizes = rates.value_counts()
    for rate, number in sizes.items():
        mine = rates.index[rates == rate].tolist()
        if rate < RATE:
            yield Finding("sample rates", "warning", f"{count(number, 'clip')} at {rate} Hz", tuple(mine[:1]), number)
        elif number < sizes.max():
            part = clips.iloc[mine]
            speakers = part["speaker"].nunique()
            who = f" by speaker {part['speaker'].iloc[0]}" if speakers == 1 else f" by {speakers} speakers"
            message = f"{count(number, 'clip')}{who} at {rate} Hz, most at {sizes.idxmax()} Hz"
            yield Finding("sample rates", "warning", message, tuple(mine[:1]), number)
