"""Arabic Speech Commands (Ghandoura et al. 2021): ten digits and 30 other words, 30 speakers, 16 kHz, 1 s a clip.

Its authors' split is speaker-disjoint: 18, 6 and 6 speakers in `train.csv`, `val.csv` and `test.csv`.
"""

import csv
import re
from pathlib import Path

import pandas as pd

from utils import InputError
from utils.corpora.audiomnist import Report
from utils.corpora.synthetic import WORDS
from utils.files import write_whole
from utils.metadata import COLUMNS, read_metadata

ORIGIN = "https://github.com/abdulkaderghandoura/arabic-speech-commands-dataset"
SPLITS = {"train": "TRAIN", "val": "DEV", "test": "TEST"}
NAME = re.compile(r"dataset/(?P<word>\w+)/(?P<speaker>\d{8})_NO_(?P<take>\d+)\.wav")


def tabulate(folder: Path) -> Report:
    """Write `metadata.tsv` for the corpus's digits in `folder`, which is a copy of its repository.

    Raises:
        InputError: a CSV is missing or not what it should be, a clip that it lists is missing or empty, or a
            speaker is in two splits.
    """
    folder = Path(folder)
    rows, split_of = [], {}
    for name, split in SPLITS.items():
        for number, file, word in _read(folder / f"{name}.csv"):
            where = f"{folder / name}.csv, row {number}"
            clip = NAME.fullmatch(file)
            if clip is None or clip["word"] != word:
                raise InputError(f"{where}: {file!r} is not dataset/{word}/{{speaker}}_NO_{{take}}.wav")
            speaker = clip["speaker"]
            if split_of.setdefault(speaker, split) != split:
                raise InputError(f"{where}: speaker {speaker} is in {split_of[speaker]} already")
            if word not in WORDS:
                continue
            path = folder / file
            if path.is_file() and path.stat().st_size == 0:
                raise InputError(f"{path}: the file is empty (0 bytes); fetch it again")
            facts = (f"{word}_{path.stem}", speaker, split, WORDS.index(word), file)
            rows.append(dict(zip(COLUMNS, facts, strict=True)))
    table = folder / "metadata.tsv"
    write_whole(table, lambda path: pd.DataFrame(rows).to_csv(path, sep="\t", index=False))
    read_metadata(table)
    return Report(table, len(rows), len({row["speaker"] for row in rows}))


def _read(path: Path) -> list[tuple[int, str, str]]:
    """A CSV's rows, counted as an editor does: their number, `file` and `class`."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return [(number, row["file"], row["class"]) for number, row in enumerate(csv.DictReader(file), start=2)]
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; copy the repository {ORIGIN} into {path.parent}") from None
    except (KeyError, UnicodeDecodeError, csv.Error):
        raise InputError(f"{path}: not a CSV with the columns 'file' and 'class'") from None
