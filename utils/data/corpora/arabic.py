"""Arabic Speech Commands (Ghandoura et al. 2021): ten digits and 30 other words, 30 speakers, 16 kHz, 1 s per clip.

Two tables beside this file, which `tabulate` computed, follow the authors' speaker-disjoint split (18, 6 and 6 speakers
in TRAIN, DEV and TEST): `arabic.tsv` lists the digits, `arabic_words.tsv` ten of the other words.
"""

import csv
import re
from pathlib import Path

import pandas as pd

from utils import InputError
from utils.data.corpora.report import Report
from utils.data.metadata import read_metadata, verify
from utils.data.synthesis.words import DIGITS
from utils.files import sha256
from utils.progress import Progress

ORIGIN = "https://github.com/abdulkaderghandoura/arabic-speech-commands-dataset"
TABLE = Path(__file__).with_name("arabic.tsv")
WORDS_TABLE = Path(__file__).with_name("arabic_words.tsv")
WORDS = ("yes", "no", "start", "stop", "open", "close", "left", "right", "up", "down")
REPETITIONS_OF_WORDS = 2  # per word and speaker; fewer than of digits, as non-digits need not be told apart
SPLITS = {"train": "TRAIN", "val": "DEV", "test": "TEST"}
NAME = re.compile(r"dataset/(?P<word>[\w ]+)/(?P<speaker>\d{8})_NO_(?P<repetition>\d+)\.wav")


def check(folder: Path, table: Path = TABLE, words: Path = WORDS_TABLE) -> Report:
    """Check that a folder contains the corpus's clips of digits and words, each with the right checksum.

    Raises:
        InputError: a clip is missing, or is not the one that the table lists.
    """
    if not (folder / "dataset").is_dir():
        raise InputError(f"{folder}: Arabic Speech Commands is not here; clone {ORIGIN} to this folder")
    clips = read_metadata(table)
    verify(clips)
    verify(read_metadata(words, digits=False))
    return Report(table, len(clips), clips["speaker"].nunique())


def tabulate(folder: Path, words: bool = False) -> pd.DataFrame:
    """Compute the table of the digits, or of the other words, from the authors' three CSV files.

    Raises:
        InputError: a CSV file is missing or malformed, a clip in it is missing or empty, or a speaker is in two splits.
    """
    rows, split_of = [], dict[str, str]()
    for name, split in SPLITS.items():
        for number, file, word in Progress(_read(folder / f"{name}.csv"), name):
            where = f"{folder / name}.csv, row {number}"
            clip = NAME.fullmatch(file)
            if clip is None or clip["word"] != word:
                raise InputError(f"{where}: {file!r} is not dataset/{word}/{{speaker}}_NO_{{repetition}}.wav")
            if split_of.setdefault(clip["speaker"], split) != split:
                raise InputError(f"{where}: speaker {clip['speaker']} is already in {split_of[clip['speaker']]}")
            listed = word in WORDS and int(clip["repetition"]) <= REPETITIONS_OF_WORDS if words else word in DIGITS
            if not listed:
                continue
            path = folder / file
            if path.is_file() and path.stat().st_size == 0:
                raise InputError(f"{path}: the file is empty (0 bytes); fetch it again")
            rows.append(
                {
                    "identifier": f"{word}_{path.stem}",
                    "speaker": clip["speaker"],
                    "split": split,
                    "label": word if words else DIGITS.index(word),
                    "file": f"speech_data/arabic/{file}",
                    "sha256": sha256(path),
                }
            )
    return pd.DataFrame(rows)


def _read(path: Path) -> list[tuple[int, str, str]]:
    """The rows of a CSV file: row number as in an editor, `file` and `class`."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return [(number, row["file"], row["class"]) for number, row in enumerate(csv.DictReader(file), start=2)]
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; clone {ORIGIN} to {path.parent}") from None
    except (KeyError, UnicodeDecodeError, csv.Error):
        raise InputError(f"{path}: not a CSV with the columns 'file' and 'class'") from None
