"""The words for the ten digits in some language, from a file that a teacher can write."""

import unicodedata
from pathlib import Path

from utils import InputError, count
from utils.files import read_text

LONGEST = 60  # characters of a word
WITHIN_WORDS = "'’-.·\u200c\u200d"  # besides letters and spaces; the last two join letters or part them, invisibly


def read_words(path: str | Path) -> tuple[tuple[str, ...], ...]:
    """Read the words for 0 to 9: for each digit, one or more words, such as ("zero", "oh").

    The file is UTF-8 text in one of two forms: ten lines with the words for 0 to 9 in that order, or a TSV with a digit
    and a word per row, with or without the header `digit word`. Further words for a digit stand on the same line,
    separated by "/", or in further rows of the TSV. Blank lines are ignored.

    Raises:
        InputError: the file cannot be read, a digit has no word, or two digits have the same word.
    """
    text = read_text(path)
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    if lines and [cell.strip() for cell in lines[0][1].split("\t")] == ["digit", "word"]:
        del lines[0]
    if any("\t" in line for _, line in lines):
        rows = [_row(path, number, line) for number, line in lines]
    else:
        if len(lines) != 10:
            found = count(len(lines), "word")
            raise InputError(f"{path}: {found}, but ten are needed, one a line for the digits 0 to 9")
        rows = [(number, digit, line) for digit, (number, line) in enumerate(lines)]

    words: dict[int, list[str]] = {digit: [] for digit in range(10)}
    digit_of: dict[str, int] = {}
    for number, digit, cell in rows:
        for part in cell.split("/"):
            word = unicodedata.normalize("NFC", " ".join(part.split()))
            if word[:1].isdecimal() and len(word) > 1:  # it would be spoken as "zero zero"
                raise InputError(
                    f"{path}, line {number}: '{word}' begins with a digit; write a tab after it, or leave it out"
                )
            if not _is_word(word):
                raise InputError(f"{path}, line {number}: {part.strip()[:LONGEST]!r} is not a word")
            if digit_of.setdefault(word.casefold(), digit) != digit:
                other = digit_of[word.casefold()]
                raise InputError(f"{path}, line {number}: '{word}' is the word for both {other} and {digit}")
            if word not in words[digit]:
                words[digit].append(word)
    without = [str(digit) for digit, found in words.items() if not found]
    if without:
        raise InputError(f"{path}: no word for {', '.join(without)}")
    return tuple(tuple(words[digit]) for digit in range(10))


def _is_word(text: str) -> bool:
    """Whether it can be read out as it is: letters, or a number, and no signs that a synthesiser might obey."""
    kinds = [unicodedata.category(letter)[0] for letter in text]
    plain = all(kind in "LMNZ" or letter in WITHIN_WORDS for kind, letter in zip(kinds, text, strict=True))
    return plain and len(text) <= LONGEST and any(kind in "LN" for kind in kinds)


def words_as_text(words: tuple[tuple[str, ...], ...]) -> str:
    """The words as a TSV that `read_words` reads."""
    return "digit\tword\n" + "".join(f"{digit}\t{'/'.join(forms)}\n" for digit, forms in enumerate(words))


def _row(path: str | Path, number: int, line: str) -> tuple[int, int, str]:
    """The line number, digit and words of a row of the TSV."""
    digit, _, words = (cell.strip() for cell in line.partition("\t"))
    if len(digit) != 1 or digit not in "0123456789" or not words or "\t" in words:
        raise InputError(f"{path}, line {number}: expected a digit from 0 to 9, a tab and its word")
    return number, int(digit), words
