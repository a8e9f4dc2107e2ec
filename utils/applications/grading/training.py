"""What a submission says that it was trained on, and whether it is tested with the same people or recordings."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from utils import InputError
from utils.applications.grading.submission import Submission
from utils.data import splits
from utils.data.metadata import read_metadata
from utils.data.splits import normalise_speaker
from utils.data.synthesis.words import DIGITS
from utils.experiments.leakage import Copy, find_copies
from utils.paths import find_metadata, speech_data


@dataclass(frozen=True)
class Leakage:
    """What training and test clips have in common, and how much could be compared.

    Attributes:
        speakers: of the test clips, whose names are also among those trained on.
        copies: recordings that are trained on and tested with.
        compared: recordings trained on that were compared.
        missing: recordings trained on that are not here.
        problem: why the training clips are not known, if so.
    """

    speakers: tuple[str, ...] = ()
    copies: tuple[Copy, ...] = ()
    compared: int = 0
    missing: int = 0
    problem: str | None = None

    @property
    def found(self) -> bool:
        return bool(self.speakers or self.copies)


def find_leakage(submission: Submission, tested: pd.DataFrame) -> Leakage:
    """Compare the clips that a submission's config trains on with those that it is tested with."""
    try:
        trained = training_clips(submission)
        here = trained[trained["path"].map(lambda path: Path(path).is_file())] if len(trained) else trained
        copies = find_copies(here["path"].tolist(), tested["path"].tolist()) if len(here) else []
    except InputError as error:
        return Leakage(problem=str(error))
    names = set(map(normalise_speaker, trained["speaker"].unique()))
    speakers = [name for name in tested["speaker"].unique() if normalise_speaker(name) in names]
    return Leakage(tuple(speakers), tuple(copies), len(here), len(trained) - len(here))


def training_clips(submission: Submission) -> pd.DataFrame:
    """The recordings that a submission's config trains and pre-trains on. Some of the clips may not be here."""
    data = submission.data
    split = splits.apply(data.protocol, _read(submission, data.metadata), data.fold)
    parts = [split.train, split.validation, split.unlabelled if data.unlabelled else None]
    for name in (*data.also_train, *data.non_digits):
        table = _read(submission, name, digits=name not in data.non_digits)
        parts.append(table[table["split"] == "TRAIN"])
    if (words := submission.words) is not None:
        for name in (*words.tables, *words.digits):
            table = _read(submission, name, digits=name in words.digits)
            parts.append(table[(table["split"] == "TRAIN") & ~table["label"].isin(DIGITS)])
    return pd.concat([part for part in parts if part is not None], ignore_index=True)


def _read(submission: Submission, name: str, digits: bool = True) -> pd.DataFrame:
    """A table as the fork has it, or else this project; likewise its clips."""
    fork = submission.fork
    if fork is None or not (fork / name).is_file():
        return read_metadata(find_metadata(name), digits=digits, complete=False)
    clips = read_metadata(fork / name, digits=digits, complete=False)
    for place, file in clips["file"].items():
        first, *rest = Path(file).parts
        if first == "speech_data":
            theirs, ours = fork / file, speech_data().joinpath(*rest)
            clips.loc[place, "path"] = str(theirs if theirs.is_file() else ours)
    return clips
