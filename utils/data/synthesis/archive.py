"""The archive of synthetic speech: words by engines that are not installed everywhere, as a few Ogg Opus files.

`archive/LANGUAGE/` holds the files and `clips.tsv`, which lists where each clip lies in them, who speaks, and the
licence. `tools/make_archive.py` makes it. Only voices whose output may be passed on are in it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from utils import InputError
from utils.data.metadata import COLUMNS, read_rows, write_table
from utils.data.synthesis.engine import SAMPLE_RATE
from utils.data.synthesis.speakers import FIELDS as SPOKEN
from utils.data.synthesis.speakers import put_in_room, write_clip
from utils.files import atomic_folder, fill_once, read_json, sha256, write_json
from utils.paths import CACHE
from utils.settings import as_mapping

ARCHIVE = Path(__file__).with_name("archive")  # has a folder for each language
TABLE, CHECKSUMS = "clips.tsv", "checksums.json"
NOT_UNDERSTOOD = "not_understood.tsv"  # words and voices, written by `sdr data voices`
FIELDS = (
    "clip", "engine", "voice", "language", "accent", "digit", "text", "speaker", "rate", "pitch", "size", "level",
    "noise", "licence", "file", "start", "end",
)  # fmt: skip
LARGEST_FILE, LARGEST_ARCHIVE = 1_900_000, 12_000_000  # in bytes
COMPRESSION = 0.93  # of libsndfile's Opus encoder, from 0 to 1: about 22 kbit/s
SECONDS = 600  # of sound in one file, which keeps it below LARGEST_FILE
GAP = 0.05  # of silence between two clips, in seconds, so that none sounds into the next one


def pack(tables: Sequence[Path], folder: Path) -> Path:
    """Make the archive.

    Args:
        tables: those of `archive_speech.speak_digits`; the clean words lie in `clean/` beside each. Rows whose output
            may not be passed on are left out.
        folder: where the archive is written, atomically.

    Returns:
        The folder.

    Raises:
        InputError: a table or clip cannot be read, there is nothing to pack, or a file or the archive is too large.
    """
    spoken = [
        row | {"path": table.parent / "clean" / row["file"]} for table in tables for row in read_rows(table, SPOKEN)
    ]
    rows = [row for row in spoken if row["may_pass_on"] == "yes"]
    if not rows:
        raise InputError("no clips to pack")
    rows.sort(key=lambda row: row["language"])  # stable, so the order of the tables and of their rows remains
    with atomic_folder(folder, patterns=(TABLE, CHECKSUMS, NOT_UNDERSTOOD, "*.opus")) as new:
        written: list[dict] = []
        pieces: list[np.ndarray] = []
        length, number = 0, 0
        for place, row in enumerate(rows):
            sound = _load(row["path"])
            name = f"{row['language']}-{number}.opus"
            clip = {"clip": row["identifier"], "digit": row["label"], "start": length, "end": length + len(sound)}
            written.append({**row, **clip, "file": name})
            pieces += [0.7 * sound, np.zeros(round(GAP * SAMPLE_RATE), dtype=np.float32)]
            length += len(pieces[-1]) + len(sound)
            other_language = place + 1 == len(rows) or rows[place + 1]["language"] != row["language"]
            if other_language or length > SECONDS * SAMPLE_RATE:
                _encode(new / name, np.concatenate(pieces))
                pieces, length, number = [], 0, 0 if other_language else number + 1
        write_table(new / TABLE, FIELDS, written)
        write_json(new / CHECKSUMS, {path.name: sha256(path) for path in sorted(new.iterdir())})
        size = sum(path.stat().st_size for path in new.iterdir())
        if size > LARGEST_ARCHIVE:
            raise InputError(
                f"the archive has {size / 1e6:.1f} MB, more than {LARGEST_ARCHIVE / 1e6:g}; pack fewer clips"
            )
    return folder


def unpack(language: str, archive: Path | None = None, cache: Path = CACHE) -> Path:
    """Turn a language's part of the archive into clips, once.

    Args:
        language: ISO 639-1 code.
        archive: the folder of the archive; None: the project's own for that language.
        cache: where the clips are kept.

    Returns:
        The path of `metadata.tsv`, all of whose clips are in TRAIN: 16 kHz WAV with the level and background noise of
        their speakers. Further columns are those of the archive's table.

    Raises:
        InputError: the archive lacks the language or is damaged, or the cache cannot be written to.
    """
    if archive is None:
        known = sorted(path.name for path in ARCHIVE.glob("[!.]*"))  # a killed `pack` leaves a hidden folder
        if language not in known:
            raise InputError(f"no archive of synthetic speech in '{language}'; there is {', '.join(known)}")
        archive = ARCHIVE / language
    verify(archive)
    rows = [row for row in read_rows(archive / TABLE, FIELDS) if row["language"] == language]
    if not rows:
        raise InputError(f"{archive / TABLE}: no clips for the language '{language}'")
    folder = cache / f"voices-{language}-{sha256(archive / CHECKSUMS)[:12]}"
    return fill_once(folder, lambda new: _write_clips(archive, rows, new)) / "metadata.tsv"


def _write_clips(archive: Path, rows: list[dict], folder: Path) -> None:
    """Write the clips of the archive's `rows` and their table into `folder`."""
    for name in dict.fromkeys(row["file"] for row in rows):
        sound = _load(archive / name)
        for row in (row for row in rows if row["file"] == name):
            word = sound[int(row["start"]) : int(row["end"])]
            if len(word) == 0 or not word.any():
                raise InputError(f"{archive / TABLE}: no sound for the clip '{row['clip']}' in {name}")
            word = put_in_room(word, row["clip"], float(row["level"]), float(row["noise"]))
            write_clip(folder / f"{row['clip']}.wav", word)
    extra = [name for name in FIELDS if name not in ("clip", "digit", "speaker", "file", "start", "end")]
    clips = [
        row | {"identifier": row["clip"], "split": "TRAIN", "label": row["digit"], "file": f"{row['clip']}.wav"}
        for row in rows
    ]
    write_table(folder / "metadata.tsv", (*COLUMNS, *extra), clips)


def verify(archive: Path) -> None:
    """Check the files of an archive against its checksums.

    Raises:
        InputError: names the first file that is missing or differs.
    """
    try:
        sums = as_mapping(read_json(archive / CHECKSUMS), CHECKSUMS)
    except InputError:
        raise InputError(f"{archive / CHECKSUMS}: cannot be read; restore it with git") from None
    for name, expected in sums.items():
        if sha256(archive / name) != expected:
            raise InputError(f"{archive / name}: damaged (wrong checksum); restore it with git")


def _load(path: Path) -> np.ndarray:
    try:
        sound, rate = soundfile.read(path, dtype="float32")
    except (OSError, soundfile.LibsndfileError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    if rate != SAMPLE_RATE or sound.ndim != 1:
        raise InputError(f"{path}: not mono at {SAMPLE_RATE} Hz")
    return sound


def _encode(path: Path, sound: np.ndarray) -> None:
    soundfile.write(path, sound, SAMPLE_RATE, format="OGG", subtype="OPUS", compression_level=COMPRESSION)
    if path.stat().st_size > LARGEST_FILE:
        raise InputError(f"{path.name} has {path.stat().st_size / 1e6:.1f} MB, more than {LARGEST_FILE / 1e6:g}")
