"""The metadata table: which clip holds which digit, by whom, in which split. One strict reader for every corpus."""

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


def read_metadata(path: str | Path, root: str | Path | None = None, digits: bool = True) -> pd.DataFrame:
    """Read a metadata table and find its clips.

    Args:
        path: a TSV with the columns `identifier speaker split label file`; further columns are kept.
        root: the folder that `file` is relative to. If not given it is the TSV's own folder, except that
            `speech_data/...` follows the variable `SDR_SPEECH_DATA` where that is set, and is the project's own folder
            of clips in a table of the project.
        digits: whether the labels are digits. Otherwise they are words, none of them a digit.

    Returns:
        One row a clip, in the file's order: `identifier`, `speaker` and `split` as text, `label` as an
        integer 0-9 (or a word), `file` as written, and `path`, where the clip lies.

    Raises:
        InputError: names the row (counted as an editor does, the header being row 1) and the column of
            what is wrong: a missing column, an empty cell, an unknown split or label, an identifier or a clip
            that an earlier row has, a missing clip.
    """
    path = Path(path)
    try:
        table = pd.read_csv(
            path,
            sep="\t",
            dtype=str,
            keep_default_na=False,
            encoding="utf-8-sig",
            quoting=3,  # a quotation mark is a letter like any other
            skip_blank_lines=False,  # so that rows are counted as an editor counts them
        ).fillna("")
    except FileNotFoundError:
        makes = f"; `sdr data {path.parent.name}` makes it" if path.parent.parent == speech_data() else ""
        raise InputError(f"{path}: there is no such file{makes}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not in UTF-8; save it anew with that encoding, separated by tabs") from None
    except (OSError, pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise InputError(f"{path}: not a tab-separated table ({str(error).strip()})") from None

    if not isinstance(table.index, pd.RangeIndex):  # pandas takes the first cells for names of the rows
        raise InputError(f"{path}: the rows have more cells than row 1 has names of columns")
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        has = ", ".join(f"'{name}'" for name in table.columns)
        raise InputError(f"{path}, row 1: no column '{missing[0]}' (it has {has}); columns are separated by tabs")
    blank = (table == "").all(axis=1).to_numpy()
    rows = [row for row, is_blank in enumerate(blank, start=2) if not is_blank]
    table = table[~blank].reset_index(drop=True)
    if table.empty:
        raise InputError(f"{path}: no clips, only a header")

    def refuse(wrong: pd.Series, column: str, why: str) -> None:
        """Raise for the first row where `wrong` holds; `why` may speak of the cell as {cell}."""
        if wrong.any():
            first = int(wrong.to_numpy().argmax())
            cell = table[column].iloc[first]
            raise InputError(f"{path}, row {rows[first]}, column '{column}': {why.format(cell=repr(cell))}")

    for column in COLUMNS:
        refuse(table[column].str.strip() == "", column, "is empty")
        refuse(table[column] != table[column].str.strip(), column, "{cell} has space around it")
    refuse(~table["split"].isin(SPLITS), "split", "{cell} is not a split; use " + ", ".join(SPLITS))
    if digits:
        refuse(~table["label"].isin(LABELS), "label", "{cell} is not a digit from 0 to 9")
        table["label"] = table["label"].astype(int)
    else:
        refuse(table["label"].isin(LABELS), "label", "{cell} is a digit, and the table is one of other words")
    refuse(table["identifier"].duplicated(), "identifier", "{cell} stands in an earlier row already")

    table["path"] = [locate(file, path, root) for file in table["file"]]
    refuse(table["path"].map(os.path.normpath).duplicated(), "file", "{cell} is an earlier row's clip already")
    missing_clip = ~table["path"].map(os.path.isfile)
    if missing_clip.any():
        where = table.loc[missing_clip, "path"].iloc[0]
        more = f" ({missing_clip.sum()} of {len(table)} clips are missing)" if missing_clip.sum() > 1 else ""
        advice = (
            "fetch the clips of a known corpus with `sdr data`, mend the column 'file', or say where the clips lie: "
            "by the variable SDR_SPEECH_DATA, or `sdr evaluate --root`"
        )
        refuse(missing_clip, "file", f"no clip at {where}{more}; {advice}".replace("{", "{{").replace("}", "}}"))
    return table


def locate(file: str, metadata: Path, root: str | Path | None) -> str:
    """Where the clip that a metadata table calls `file` lies (see `read_metadata`)."""
    ours = os.environ.get("SDR_SPEECH_DATA") or metadata.resolve().is_relative_to(PROJECT)
    if root is None and ours and Path(file).parts[:1] == ("speech_data",):
        return str(speech_data().joinpath(*Path(file).parts[1:]))
    return str(Path(root if root is not None else metadata.parent) / file)


def tables_sha256(names: Sequence[str]) -> str:
    """One digest for the tables that a config names (see `find_metadata`); that of the file where it is one."""
    digests = [sha256(find_metadata(name)) for name in names]
    return digests[0] if len(digests) == 1 else hashlib.sha256(" ".join(digests).encode()).hexdigest()


def verify(clips: pd.DataFrame) -> None:
    """Check that clips are the ones that their table lists, where it has a column `sha256`.

    Raises:
        InputError: names the first clip whose bytes differ.
    """
    for clip in clips.itertuples() if "sha256" in clips.columns else ():
        if sha256(clip.path) != clip.sha256:
            raise InputError(
                f"{clip.path}: not the recording that the metadata lists as '{clip.identifier}' (its sha256 differs); "
                "`sdr data` fetches the right one"
            )
