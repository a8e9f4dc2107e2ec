"""The words that synthetic voices speak, from `words.yaml`."""

from pathlib import Path

from utils.settings import load_yaml

_words = load_yaml(Path(__file__).with_suffix(".yaml"))
DIGITS: tuple[str, ...] = tuple(_words["digits"])  # the words for 0 to 9, in that order
TRAIN_WORDS = tuple(dict.fromkeys(_words["train"].split()))  # non-digits to train on
TEST_WORDS = tuple(_words["test"].split())  # non-digits to test on, none of them in training
ALL_WORDS = (*DIGITS, *TRAIN_WORDS, *TEST_WORDS)
