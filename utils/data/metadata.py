"""The metadata table: the file, label, speaker and split of every clip. One strict reader serves every corpus."""

import csv
import hashlib
import io
import os
import re
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from utils import InputError, count
from utils.files import read_text, sha256
from utils.paths import PROJECT, find_metadata, speech_data

COLUMNS = ("identifier", "speaker", "split", "label", "file")
SPLITS = ("TRAIN", "DEV", "TEST")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")  # no part of a cell
MAX_COLUMNS, MAX_LETTERS = 1000, 1000  # of a row; of a cell
TOO_LONG = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")  # what pandas says of a row
CHECKSUM = re.compile(r"[0-9A-Fa-f]{64}")
CREATED = ("audiomnist", "speech_commands", "synthetic")  # corpora whose table `sdr data` writes beside the clips
LABELS = tuple(str(digit) for digit in range(10))


def read_metadata(
    path: str | Path, root: str | Path | None = None, digits: bool = True, complete: bool = True
) -> pd.DataFrame:
    """Read a metadata table and locate its clips.

    Args:
        path: a TSV with the columns `identifier speaker split label file`. Other columns are kept.
        root: the folder that `file` is relative to; by default the TSV's own. Without a root, paths that begin with
            `speech_data/` are looked up in `utils.paths.speech_data()` if the variable `SDR_SPEECH_DATA` is set or the
            table belongs to the project.
        digits: whether the labels are digits. If not, they are words other than digits.
        complete: whether all clips must be there.

    Returns:
        One row per clip, in file order: `identifier`, `speaker` and `split` as text, `label` as an integer 0-9 (or a
        word), `file` as written, and `path`, the location of the clip.

    Raises:
        InputError: a missing column, an empty or endless cell, an unknown split or label, a duplicate identifier or
            clip, or a missing clip. The message names the row (the header is row 1, as in an editor) and the column.
    """
    path = Path(path)
    table = _read_table(path)
    if not isinstance(table.index, pd.RangeIndex):  # pandas took the first cells as row names
        raise InputError(f"{path}: the rows have more cells than row 1 has column names")
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        has = ", ".join(f"'{name}'" for name in table.columns)
        raise InputError(f"{path}, row 1: no column '{missing[0]}' (found {has}); columns are separated by tabs")
    blank = (table == "").all(axis=1).to_numpy()
    rows = [row for row, is_blank in enumerate(blank, start=2) if not is_blank]
    table = table[~blank].reset_index(drop=True)
    if table.empty:
        raise InputError(f"{path}: no clips, only a header")

    def refuse(wrong: pd.Series, column: str, why: str) -> None:
        """Raise an error about the first row where `wrong` is true. `{cell}` in `why` stands for the cell's content."""
        if wrong.any():
            first = int(wrong.to_numpy().argmax())
            why = why.replace("{cell}", repr(table[column].iloc[first]))
            raise InputError(f"{path}, row {rows[first]}, column '{column}': {why}")

    for column in COLUMNS:
        stripped = table[column].str.strip()
        refuse(stripped == "", column, "is empty")
        refuse(table[column] != stripped, column, "{cell} starts or ends with a space")
        refuse(table[column].str.len() > MAX_LETTERS, column, f"more than {MAX_LETTERS:,} letters")
    if "sha256" in table.columns:
        wrong = ~table["sha256"].str.fullmatch(CHECKSUM)
        refuse(wrong, "sha256", "{cell} is not a SHA-256 checksum, 64 hexadecimal digits")
        table["sha256"] = table["sha256"].str.lower()
    refuse(~table["split"].isin(SPLITS), "split", "{cell} is not a split; use TRAIN, DEV or TEST")
    if digits:
        refuse(~table["label"].isin(LABELS), "label", "{cell} is not a digit from 0 to 9")
        table["label"] = table["label"].astype(int)
    else:
        refuse(table["label"].isin(LABELS), "label", "{cell} is a digit, but this table is for other words")
    refuse(table["identifier"].duplicated(), "identifier", "{cell} is already used in an earlier row")

    table["path"] = locate(table["file"].tolist(), path, root)
    clips = [_identity(clip) for clip in table["path"].tolist()]
    refuse(pd.Series(clips).duplicated(), "file", "{cell} is already the clip of an earlier row")
    missing_clip = pd.Series([isinstance(clip, str) for clip in clips])
    if complete and missing_clip.any():
        where = table.loc[missing_clip, "path"].iloc[0]
        more = f" ({missing_clip.sum()} of {len(table)} clips are missing)" if missing_clip.sum() > 1 else ""
        advice = (
            "fetch the clips of a known corpus with `sdr data`, correct the column 'file', or point to the clips with "
            "the variable SDR_SPEECH_DATA or `sdr evaluate --root`"
        )
        refuse(missing_clip, "file", f"no clip at {where}{more}; {advice}")
    return table


def read_split(path: str | Path, split: str, root: str | Path | None = None) -> pd.DataFrame:
    """The clips of one split of a table of digits, verified (see `verify`).

    Errors as for `read_metadata` and `verify`, and if there are none.
    """
    clips = read_metadata(path, root)
    splits = [name for name in SPLITS if name in set(clips["split"])]
    clips = clips[clips["split"] == split].reset_index(drop=True)
    if clips.empty:
        raise InputError(f"{path}: no clips in the split {split}; there are some in {' and '.join(splits)}")
    verify(clips)
    return clips


def _read_table(path: Path) -> pd.DataFrame:
    """The cells of a TSV as text."""
    if not os.path.lexists(path) and path.parent.parent == speech_data() and path.parent.name in CREATED:
        raise InputError(f"{path}: there is no such file; `sdr data {path.parent.name}` creates it")
    text = read_text(path)
    if not text.strip():
        raise InputError(f"{path}: the file is empty; row 1 holds the column names {', '.join(COLUMNS)}")
    if found := CONTROL.search(text):
        row, letter = text.count("\n", 0, found.start()) + 1, found[0]
        raise InputError(f"{path}, row {row}: {letter!r} is not a letter; save the table as text separated by tabs")
    names = text.partition("\n")[0].split("\t")
    if not any(names):
        raise InputError(f"{path}, row 1: is empty; it holds the column names {', '.join(COLUMNS)}")
    if len(names) > MAX_COLUMNS:  # pandas takes minutes for a million
        raise InputError(f"{path}, row 1: {len(names):,} columns; at most {MAX_COLUMNS:,} are read")
    if twice := next((name for name in COLUMNS if names.count(name) > 1), None):
        raise InputError(f"{path}, row 1: more than one column '{twice}'")
    try:
        return pd.read_csv(
            io.StringIO(text),
            sep="\t",
            dtype=str,
            keep_default_na=False,
            quoting=csv.QUOTE_NONE,  # quotation marks have no special meaning
            skip_blank_lines=False,  # so that row numbers are those of an editor
        ).fillna("")
    except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        if found := TOO_LONG.search(str(error)):
            most, at, cells = found.groups()
            raise InputError(f"{path}, row {at}: {cells} cells, more than the {most} of the rows before") from None
        raise InputError(f"{path}: not a tab-separated table ({str(error).strip()})") from None


def write_table(path: Path, columns: Sequence[str], rows: Iterable[dict]) -> None:
    """Write rows as a TSV, without the values that belong to none of the columns.

    Raises:
        InputError: a value has a tab or a line break in it.
    """
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(
            file,
            columns,
            restval="",
            extrasaction="ignore",
            delimiter="\t",
            lineterminator="\n",
            quoting=csv.QUOTE_NONE,  # quotation marks have no special meaning, as in `read_metadata`
            quotechar=None,
        )
        writer.writeheader()
        try:
            writer.writerows(rows)
        except csv.Error:
            raise InputError(f"{path.parent}: a tab or a line break is in a name, which no table can list") from None


def read_rows(path: Path, columns: Sequence[str]) -> list[dict]:
    """The rows of a TSV such as `write_table` writes, which need not list clips.

    Raises:
        InputError: as for `read_text`; or one of the `columns` is missing, or a row has more cells or fewer than row 1.
    """
    table = csv.DictReader(io.StringIO(read_text(path)), delimiter="\t", quoting=csv.QUOTE_NONE)
    try:
        if missing := [name for name in columns if name not in (table.fieldnames or ())]:
            raise InputError(f"{path}, row 1: no column '{missing[0]}'; columns are separated by tabs")
        rows = []
        for row in table:
            if None in row or None in row.values():
                expected = count(len(table.fieldnames or ()), "cell")
                raise InputError(f"{path}, row {table.line_num}: {expected} are needed, separated by tabs")
            rows.append(row)
    except csv.Error as error:  # an endless cell
        raise InputError(f"{path}: not a tab-separated table ({error})") from None
    return rows


def locate(files: Iterable[str], metadata: Path, root: str | Path | None = None) -> list[str]:
    """The paths of the clips that a metadata table lists as `files` (see `read_metadata`)."""
    folder, recordings = str(metadata.parent if root is None else root), str(speech_data())
    ours = root is None and (os.environ.get("SDR_SPEECH_DATA") or metadata.resolve().is_relative_to(PROJECT))

    def path_of(file: str) -> str:
        if ours and file.startswith("speech_data/"):
            return os.path.join(recordings, file.removeprefix("speech_data/").lstrip("/"))
        return os.path.join(folder, file)

    return [path_of(file) for file in files]


def _identity(path: str) -> object:
    """What tells a clip from others, under whatever name or link; of a path without a clip, the path."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return os.path.normpath(path)
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else os.path.normpath(path)


def tables_sha256(names: Sequence[str]) -> str:
    """One checksum for all the tables that a config names (see `find_metadata`); for one table, that of the file."""
    digests = [sha256(find_metadata(name)) for name in names]
    return digests[0] if len(digests) == 1 else hashlib.sha256(" ".join(digests).encode()).hexdigest()


def verify(clips: pd.DataFrame) -> None:
    """Check the clips against the checksums in their table's column `sha256`, if it has one.

    Raises:
        InputError: names the first clip that differs.
    """
    for clip in clips.itertuples() if "sha256" in clips.columns else ():
        if sha256(clip.path) != clip.sha256:
            raise InputError(
                f"{clip.path}: not the recording that the metadata lists as '{clip.identifier}' (wrong checksum); "
                "`sdr data` fetches the right recording"
            )
