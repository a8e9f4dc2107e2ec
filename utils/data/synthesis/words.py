"""The words that synthetic voices say, from `words.yaml`."""

from pathlib import Path

from utils.settings import load_yaml

_words = load_yaml(Path(__file__).with_suffix(".yaml"))
DIGITS: tuple[str, ...] = tuple(_words["digits"])  # the word of each digit, from 0 to 9
TRAIN_WORDS = tuple(dict.fromkeys(_words["train"].split()))  # words that are no digits
TEST_WORDS = tuple(_words["test"].split())  # others, never trained on
ALL_WORDS = (*DIGITS, *TRAIN_WORDS, *TEST_WORDS)
