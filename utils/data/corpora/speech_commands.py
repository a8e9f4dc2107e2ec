"""Speech Commands (Warden 2018, version 0.01): 30 words, among them the ten digits, 16 kHz, at most 1 s per clip.

Two tables beside this file, which `tabulate` computed, list a piece of the corpus: `speech_commands.tsv` the clips of
four digits, `speech_commands_words.tsv` those of five other words. Both follow the corpus's own split by speaker.
"""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from utils import InputError
from utils.data.synthesis.words import DIGITS
from utils.files import sha256

TABLE = Path(__file__).with_name("speech_commands.tsv")
WORDS_TABLE = Path(__file__).with_name("speech_commands_words.tsv")
TABLE_DIGITS = ("zero", "one", "five", "eight")
WORDS = ("down", "go", "left", "right", "up")
NAME = re.compile(r"(?P<speaker>[0-9a-f]+)_nohash_(?P<repetition>\d+)\.wav")
HASHES = 2**27  # the hash of a speaker is reduced modulo this number
DEV_PERCENT, TEST_PERCENT = 10, 10


def split_of(speaker: str) -> str:
    """The split of a speaker, by the rule in the corpus's README.

    The SHA-1 of the speaker's name, modulo 2**27 and scaled to a percentage, decides: below 10 is DEV, below 20 is
    TEST, the rest is TRAIN. A speaker's split therefore never changes, whichever words or clips are added.
    """
    hashed = int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % HASHES
    percentage = hashed * (100 / (HASHES - 1))
    if percentage < DEV_PERCENT:
        return "DEV"
    return "TEST" if percentage < DEV_PERCENT + TEST_PERCENT else "TRAIN"


def tabulate(folder: Path, words: Sequence[str], progress: bool = True) -> pd.DataFrame:
    """Compute the table of all clips of some words, either digits or others, in alphabetical order.

    Raises:
        InputError: a word has no clips, or a clip is empty or not named `{speaker}_nohash_{repetition}.wav`.
    """
    rows = []
    for word in tqdm(sorted(words), "tabulating", unit="word", leave=False, disable=not progress):
        paths = sorted((folder / word).glob("*.wav"))
        if not paths:
            raise InputError(f"{folder / word}: no clips (*.wav) of the word")
        for path in paths:
            clip = NAME.fullmatch(path.name)
            if clip is None:
                raise InputError(f"{path}: the name is not {{speaker}}_nohash_{{repetition}}.wav")
            if path.stat().st_size == 0:
                raise InputError(f"{path}: the file is empty (0 bytes); fetch it again")
            rows.append(
                {
                    "identifier": f"{word}_{path.stem}",
                    "speaker": clip["speaker"],
                    "split": split_of(clip["speaker"]),
                    "label": DIGITS.index(word) if word in DIGITS else word,
                    "file": f"speech_data/speech_commands/{word}/{path.name}",
                    "sha256": sha256(path),
                }
            )
    return pd.DataFrame(rows)
