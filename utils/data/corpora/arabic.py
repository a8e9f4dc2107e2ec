"""Arabic Speech Commands (Ghandoura et al. 2021): ten digits and 30 other words, 30 speakers, 16 kHz, 1 s a clip.

`arabic.tsv` beside this file lists its digits by its authors' split, which is speaker-disjoint: 18, 6 and 6 speakers in
TRAIN, DEV and TEST; `arabic_words.tsv` ten of its other words. `tabulate` has made them from a copy of the corpus.
"""

import csv
import re
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from utils import InputError
from utils.data.corpora.audiomnist import Report
from utils.data.metadata import read_metadata, verify
from utils.data.synthesis.words import DIGITS
from utils.files import sha256

ORIGIN = "https://github.com/abdulkaderghandoura/arabic-speech-commands-dataset"
TABLE = Path(__file__).with_name("arabic.tsv")
OTHERS = Path(__file__).with_name("arabic_words.tsv")
OTHER_WORDS = ("yes", "no", "start", "stop", "open", "close", "left", "right", "up", "down")
OTHER_TAKES = 2  # of each by each speaker; what is no digit need not be known as well as the digits
SPLITS = {"train": "TRAIN", "val": "DEV", "test": "TEST"}
NAME = re.compile(r"dataset/(?P<word>[\w ]+)/(?P<speaker>\d{8})_NO_(?P<take>\d+)\.wav")


def check(folder: Path, table: Path = TABLE, others: Path = OTHERS) -> Report:
    """See that a folder holds the corpus's digits, and its other words, each with the right bytes.

    Raises:
        InputError: a clip is missing or another one than the table lists.
    """
    if not (folder / "dataset").is_dir():
        raise InputError(f"{folder}: Arabic Speech Commands is not here; clone {ORIGIN} to this place")
    clips = read_metadata(table)
    verify(clips)
    verify(read_metadata(others, digits=False))
    return Report(table, len(clips), clips["speaker"].nunique())


def tabulate(folder: Path, others: bool = False, progress: bool = True) -> pd.DataFrame:
    """The table of the digits in a copy of the corpus, or of its other words, by its authors' three CSV files.

    Raises:
        InputError: a CSV is missing or not what it should be, a clip that it lists is missing or empty, or a
            speaker is in two splits.
    """
    rows, split_clips = [], {}
    for name, split in SPLITS.items():
        for number, file, word in tqdm(_read(folder / f"{name}.csv"), name, leave=False, disable=not progress):
            where = f"{folder / name}.csv, row {number}"
            clip = NAME.fullmatch(file)
            if clip is None or clip["word"] != word:
                raise InputError(f"{where}: {file!r} is not dataset/{word}/{{speaker}}_NO_{{take}}.wav")
            if split_clips.setdefault(clip["speaker"], split) != split:
                raise InputError(f"{where}: speaker {clip['speaker']} is in {split_clips[clip['speaker']]} already")
            if (word not in OTHER_WORDS or int(clip["take"]) > OTHER_TAKES) if others else word not in DIGITS:
                continue
            path = folder / file
            if path.is_file() and path.stat().st_size == 0:
                raise InputError(f"{path}: the file is empty (0 bytes); fetch it again")
            rows.append(
                {
                    "identifier": f"{word}_{path.stem}",
                    "speaker": clip["speaker"],
                    "split": split,
                    "label": word if others else DIGITS.index(word),
                    "file": f"speech_data/arabic/{file}",
                    "sha256": sha256(path),
                }
            )
    return pd.DataFrame(rows)


def _read(path: Path) -> list[tuple[int, str, str]]:
    """A CSV's rows, counted as an editor does: their number, `file` and `class`."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return [(number, row["file"], row["class"]) for number, row in enumerate(csv.DictReader(file), start=2)]
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file; clone {ORIGIN} to {path.parent}") from None
    except (KeyError, UnicodeDecodeError, csv.Error):
        raise InputError(f"{path}: not a CSV with the columns 'file' and 'class'") from None
