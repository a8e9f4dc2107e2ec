"""The digits of other languages, spoken once and kept."""

import pytest
import soundfile

from utils import InputError
from utils.data.metadata import read_metadata
from utils.data.synthesis import foreign_digits
from utils.data.synthesis.foreign_digits import speak_foreign_digits
from utils.data.synthesis.lexicon import Lexicon
from utils.data.synthesis.workers import WorkerLost

WORDS = tuple((word,) for word in ["null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"])


@pytest.fixture(autouse=True)
def german(monkeypatch):
    """The words without a process of its own to pronounce them."""
    monkeypatch.setattr(foreign_digits, "find_lexicon", lambda language: Lexicon("de", WORDS, WORDS, WORDS, "a test"))


def test_each_speaker_says_each_digit_and_only_once(tmp_path, monkeypatch):
    table = speak_foreign_digits("de", 3, tmp_path)
    clips = read_metadata(table)
    assert clips["speaker"].nunique() == 3 and set(clips["split"]) == {"TRAIN"}
    assert clips.groupby("label")["speaker"].nunique().eq(3).all()
    assert soundfile.info(clips["path"][0]).samplerate == 16000
    monkeypatch.setattr(foreign_digits, "speak_clip", None)  # nothing is spoken again
    assert speak_foreign_digits("de", 3, tmp_path) == table


def test_a_language_that_cannot_be_spoken_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(language):
        raise WorkerLost("eSpeak NG cannot speak 'de'")

    monkeypatch.setattr(foreign_digits, "find_lexicon", fail)
    with pytest.raises(InputError, match="cannot speak 'de'"):
        speak_foreign_digits("de", 3, tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_an_engine_that_fails_leaves_nothing_behind(tmp_path, monkeypatch):
    def fail(*_):
        raise InputError("eSpeak NG cannot read its data")

    monkeypatch.setattr(foreign_digits, "speak_clip", fail)
    with pytest.raises(InputError, match="no digit of 'de' .*cannot read its data"):
        speak_foreign_digits("de", 3, tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
