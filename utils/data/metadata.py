"""The metadata table: the file, label, speaker and split of every clip. One strict reader serves every corpus."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from utils import InputError
from utils.files import sha256
from utils.paths import PROJECT, find_metadata, speech_data

COLUMNS = ("identifier", "speaker", "split", "label", "file")
SPLITS = ("TRAIN", "DEV", "TEST")
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
        InputError: a missing column, an empty cell, an unknown split or label, a duplicate identifier or clip, or a
            missing clip. The message names the row (the header is row 1, as in an editor) and the column.
    """
    path = Path(path)
    try:
        table = pd.read_csv(
            path,
            sep="\t",
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",
            quoting=3,  # quotation marks have no special meaning
            skip_blank_lines=False,  # so that row numbers are those of an editor
        ).fillna("")
    except FileNotFoundError:
        hint = f"; `sdr data {path.parent.name}` creates it" if path.parent.parent == speech_data() else ""
        raise InputError(f"{path}: there is no such file{hint}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not in UTF-8; save it again in that encoding, separated by tabs") from None
    except (OSError, pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise InputError(f"{path}: not a tab-separated table ({str(error).strip()})") from None

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
            cell = table[column].iloc[first]
            raise InputError(f"{path}, row {rows[first]}, column '{column}': {why.format(cell=repr(cell))}")

    for column in COLUMNS:
        refuse(table[column].str.strip() == "", column, "is empty")
        refuse(table[column] != table[column].str.strip(), column, "{cell} starts or ends with a space")
    refuse(~table["split"].isin(SPLITS), "split", "{cell} is not a split; use " + ", ".join(SPLITS))
    if digits:
        refuse(~table["label"].isin(LABELS), "label", "{cell} is not a digit from 0 to 9")
        table["label"] = table["label"].astype(int)
    else:
        refuse(table["label"].isin(LABELS), "label", "{cell} is a digit, but this table is for other words")
    refuse(table["identifier"].duplicated(), "identifier", "{cell} is already used in an earlier row")

    table["path"] = [locate(file, path, root) for file in table["file"]]
    refuse(table["path"].map(os.path.normpath).duplicated(), "file", "{cell} is already the clip of an earlier row")
    missing_clip = ~table["path"].map(os.path.isfile)
    if complete and missing_clip.any():
        where = table.loc[missing_clip, "path"].iloc[0]
        more = f" ({missing_clip.sum()} of {len(table)} clips are missing)" if missing_clip.sum() > 1 else ""
        advice = (
            "fetch the clips of a known corpus with `sdr data`, correct the column 'file', or point to the clips with "
            "the variable SDR_SPEECH_DATA or `sdr evaluate --root`"
        )
        refuse(missing_clip, "file", f"no clip at {where}{more}; {advice}".replace("{", "{{").replace("}", "}}"))
    return table


def locate(file: str, metadata: Path, root: str | Path | None) -> str:
    """The path of a clip that a metadata table lists as `file` (see `read_metadata`)."""
    ours = os.environ.get("SDR_SPEECH_DATA") or metadata.resolve().is_relative_to(PROJECT)
    if root is None and ours and Path(file).parts[:1] == ("speech_data",):
        return str(speech_data().joinpath(*Path(file).parts[1:]))
    return str(Path(root if root is not None else metadata.parent) / file)


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
