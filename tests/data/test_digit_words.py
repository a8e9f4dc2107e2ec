"""The file with the words for the ten digits."""

import pytest

from utils import InputError
from utils.data.digit_words import read_words, words_as_text

ENGLISH = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def written(path, text: str):
    path.write_text(text, encoding="utf-8")
    return path


def test_ten_lines(tmp_path):
    words = read_words(written(tmp_path / "words.txt", "\ufeffzero / oh\n\n" + "\r\n".join(ENGLISH[1:])))
    assert words == (("zero", "oh"), *((word,) for word in ENGLISH[1:]))


def test_a_table_in_any_order_with_several_words_for_a_digit(tmp_path):
    rows = [f"{digit}\t{word}" for digit, word in enumerate(ENGLISH)] + ["0\toh", "2\tpair / two"]
    words = read_words(written(tmp_path / "words.tsv", "\n".join(["digit\tword", *reversed(rows)])))
    assert words[0] == ("oh", "zero") and words[2] == ("pair", "two") and words[9] == ("nine",)


def test_what_is_written_is_read_again(tmp_path):
    words = (("صفر",), ("واحد", "واحدة"), *((f"word {digit}",) for digit in range(2, 10)))
    assert read_words(written(tmp_path / "words.tsv", words_as_text(words))) == words


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n".join(ENGLISH[:9]), "9 words, but ten"),
        ("", "0 words"),
        ("\n".join([*ENGLISH, "ten"]), "11 words"),
        ("\n".join([*ENGLISH[:9], "Zero"]), "line 10: 'Zero' is the word for both 0 and 9"),
        ("\n".join(f"{digit}\t{word}" for digit, word in enumerate(ENGLISH[:9])), "no word for 9"),
        *(
            (
                "\n".join(f"{digit}{gap}{word}" for digit, word in enumerate(ENGLISH)),
                "line 1: '0.*zero' begins with a digit",
            )
            for gap in (",", ". ", " ")
        ),
        ("10\tten", "line 1: expected a digit"),
        ("1\tone\tuno", "line 1: expected a digit"),
        ("\n".join([*ENGLISH[:9], "nine/"]), "line 10: '' is not a word"),
        ("\n".join([*ENGLISH[:9], "n\x07ne"]), "line 10.*not a word"),
        ("\n".join([*ENGLISH[:9], "n" * 61]), "line 10.*not a word"),
        *(
            ("\n".join([*ENGLISH[:9], word]), "line 10.*not a word")
            for word in ("<audio src='x'>", "[[n'aIn]]", "nine # ok", '"nine"', "ni\u202ene", "nine\u200b", "...", "😀")
        ),
    ],
)
def test_wrong_words_are_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=f"words.txt.*{message}"):
        read_words(written(tmp_path / "words.txt", text))


def test_files_that_cannot_be_read_are_refused(tmp_path):
    with pytest.raises(InputError, match="there is no such file"):
        read_words(tmp_path / "nowhere.txt")
    with pytest.raises(InputError, match="this is a folder"):
        read_words(tmp_path)
    (tmp_path / "words.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        read_words(tmp_path / "words.txt")
