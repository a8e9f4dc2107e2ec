"""Speech Commands (Warden 2018, version 0.01): 30 words, among them the ten digits, 16 kHz, at most 1 s per clip.

Two tables beside this file, which `tabulate` computed, list a piece of the corpus: `speech_commands.tsv` the clips of
four digits, `speech_commands_words.tsv` those of five other words. Both follow the corpus's own split by speaker, and
the piece has none of its TEST speakers. With the whole corpus, `fetch` writes a table of all digits and speakers.
"""

import gzip
import hashlib
import re
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from utils import InputError
from utils.data.corpora.download import filled_from_archive
from utils.data.corpora.report import Report
from utils.data.metadata import read_metadata, verify, write_table
from utils.data.synthesis.words import DIGITS
from utils.files import sha256, write_atomically
from utils.progress import Progress

ARCHIVE_URL = "http://download.tensorflow.org/data/speech_commands_v0.01.tar.gz"
ARCHIVE_SHA256 = "743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d"
DISK_SPACE = 5_000_000_000  # bytes: the archive, about 1.5 GB, and the clips
TABLE = Path(__file__).with_name("speech_commands.tsv")
WORDS_TABLE = Path(__file__).with_name("speech_commands_words.tsv")
WORDS = ("down", "go", "left", "right", "up")
NAME = re.compile(r"(?P<speaker>[0-9a-f]+)_nohash_(?P<repetition>\d+)\.wav")
HASHES = 2**27  # the hash of a speaker is reduced modulo this number
DEV_PERCENT, TEST_PERCENT = 10, 10
MEMBER = re.compile(r"(?:\./)?(?P<folder>[a-z]+|_background_noise_)/(?P<name>\w+\.wav)")  # a clip in the archive


def fetch(
    folder: Path,
    *,
    url: str = ARCHIVE_URL,
    checksum: str = ARCHIVE_SHA256,
    table: Path = TABLE,
    words: Path = WORDS_TABLE,
) -> Report:
    """Make sure that a folder contains the clips of both tables; with the whole corpus, write its `metadata.tsv`.

    Clips that are already there are verified. If there are none, the archive is downloaded (about 1.5 GB; an
    interrupted download is resumed). `metadata.tsv` lists all clips of the ten digits.

    Args:
        folder: the folder of the corpus.
        url: a gzipped tar archive of the corpus.
        checksum: its SHA-256.
        table: the table of clips of digits that must be there.
        words: the table of clips of other words that must be there.

    Raises:
        InputError: there is too little disk space; the archive cannot be downloaded or is not the published one; a
            clip is missing, or is not the one that the table lists. The folder is filled completely or not at all.
    """
    folder = Path(folder)
    if not any(folder.glob("*/*_nohash_*.wav")):
        with filled_from_archive(folder, url, DISK_SPACE, checksum) as (archive, filled):
            _unpack(archive, filled, url)
    clips = read_metadata(table)
    verify(clips)
    verify(read_metadata(words, digits=False))
    if not all((folder / digit).is_dir() for digit in DIGITS):
        note = "a piece of the corpus, without its TEST speakers; an empty folder is filled with the whole"
        return Report(table, len(clips), clips["speaker"].nunique(), (note,))
    whole = tabulate(folder, DIGITS)
    path = folder / "metadata.tsv"
    write_atomically(path, lambda new: write_table(new, list(whole), whole.to_dict("records")))
    return Report(path, len(whole), whole["speaker"].nunique())


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


def tabulate(folder: Path, words: Sequence[str]) -> pd.DataFrame:
    """Compute the table of all clips of some words, either digits or others, in alphabetical order.

    Raises:
        InputError: a word has no clips, or a clip is empty or not named `{speaker}_nohash_{repetition}.wav`.
    """
    rows = []
    for word in Progress(sorted(words), "tabulating", unit="word"):
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


def _unpack(archive: Path, folder: Path, url: str) -> None:
    """Extract the clips and the recordings of background noise; what lies elsewhere in the archive is ignored."""
    try:
        with tarfile.open(archive, "r:gz") as packed:
            for member in Progress(packed, "unpacking", unit="file"):
                name = MEMBER.fullmatch(member.name)
                content = packed.extractfile(member) if name is not None and member.isfile() else None
                if name is not None and content is not None:
                    (folder / name["folder"]).mkdir(exist_ok=True)
                    (folder / name["folder"] / name["name"]).write_bytes(content.read())
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{url}: not a gzipped tar archive, or a damaged one ({type(error).__name__})") from None
