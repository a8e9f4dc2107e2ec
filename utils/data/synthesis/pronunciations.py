"""How the digits are pronounced in a language, by accent, from `pronunciations.tsv`. Teachers may add rows to it."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from utils import InputError
from utils.data.metadata import read_rows
from utils.settings import nearest

TABLE = Path(__file__).with_name("pronunciations.tsv")
DIGITS = tuple("0123456789")


def find_pronunciations(language: str, accent: str, digit: int, notation: str = "text") -> list[str]:
    """The ways to say a digit.

    Args:
        language: ISO 639-1 code.
        accent: one of `accents`. In English, "de" is the accent of a German, with the words as spelled in German.
        digit: 0-9.
        notation: "text", in the spelling that voices with this accent read, or "ipa", in Kokoro's symbols.

    Returns:
        At least one, in the order of the table.

    Raises:
        InputError: the table has none.
    """
    known = accents(language, notation)
    if accent not in known:
        if not known:
            raise InputError(f"pronunciations.tsv has no {notation} for the language '{language}'")
        raise InputError(
            f"pronunciations.tsv has no {notation} for the accent '{accent}' of '{language}'; {nearest(accent, known)}"
        )
    rows = [row for row in _table() if (row["language"], row["accent"], row["digit"]) == (language, accent, str(digit))]
    return list(dict.fromkeys(row[notation] for row in rows if row[notation]))


def accents(language: str, notation: str = "text") -> list[str]:
    """The accents of a language that have pronunciations in a notation. Its standard comes first."""
    return list(dict.fromkeys(row["accent"] for row in _table() if row["language"] == language and row[notation]))


def languages() -> list[str]:
    """The languages of the table."""
    return list(dict.fromkeys(row["language"] for row in _table()))


@cache
def _table() -> Sequence[dict[str, str]]:
    rows = read_rows(TABLE, ("language", "accent", "digit", "text", "ipa"))
    for row in rows:
        if row["digit"] not in DIGITS:
            where = f"{TABLE}: {row['language']}, {row['accent']}"
            raise InputError(f"{where}: {row['digit']!r} is not a digit from 0 to 9")
    return tuple(rows)
