"""A corpus by several engines: balanced, resumable, and complete but for voices that hang, die or fail."""

from pathlib import Path

import pytest
from made_engines import Made

from utils import InputError
from utils.data.metadata import read_metadata
from utils.data.synthesis import language_speech
from utils.data.synthesis.engines.espeak import Espeak
from utils.data.synthesis.language_speech import hold_out, plan_parts, plan_words, speak_corpus
from utils.data.synthesis.lexicon import Lexicon
from utils.data.synthesis.words import DIGITS
from utils.data.synthesis.workers import Worker

WORDS = (("zero", "oh"), *((word,) for word in DIGITS[1:]))
LEXICON = Lexicon("en", WORDS, WORDS, WORDS, "a test")


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(language_speech, "Worker", lambda function: Worker(function, patience=2))


def test_engines_have_equally_many_speakers_and_voices_of_test_are_not_in_training():
    few, many = plan_parts(LEXICON, [Made("anna", "ben", name="few"), Espeak()], 40)
    assert len(few.speakers) == len(many.speakers) == 20
    assert len({speaker.voice for speaker in many.speakers}) == 20
    unseen = hold_out(many.speakers)
    voices = {speaker.voice for speaker in many.speakers if speaker.name in unseen}
    assert len(voices) == 2
    assert not voices & {speaker.voice for speaker in many.speakers if speaker.name not in unseen}
    assert len(hold_out(few.speakers)) == 2  # of two voices, none can be left out altogether


def test_all_words_of_a_digit_are_spoken():
    (part,) = plan_parts(LEXICON, [Made(*"abcdefghij")], 10)
    spoken = {plan_words(part.engine, speaker, LEXICON)[0].text for speaker in part.speakers}
    assert spoken == {"zero", "oh"}


def test_a_corpus_is_completed_and_not_spoken_again(tmp_path):
    parts = plan_parts(LEXICON, [Made("anna", "ben", "cleo")], 3)
    table, left_out = speak_corpus(tmp_path, LEXICON, parts, progress=False)
    clips = read_metadata(table)
    assert left_out == {} and len(clips) == 30 and set(clips["split"]) == {"TRAIN", "TEST"}
    contents = table.read_bytes()
    first, *others = map(tmp_path.joinpath, clips["file"])
    first.unlink()
    (tmp_path / "clips" / "stale.wav").write_bytes(b"of other words")
    times = [path.stat().st_mtime_ns for path in others]
    assert speak_corpus(tmp_path, LEXICON, parts, progress=False)[0].read_bytes() == contents
    assert first.exists() and [path.stat().st_mtime_ns for path in others] == times
    assert not (tmp_path / "clips" / "stale.wav").exists()


def test_other_words_are_spoken_anew(tmp_path):
    parts = plan_parts(LEXICON, [Made("anna", "ben")], 2)
    old = read_metadata(speak_corpus(tmp_path, LEXICON, parts, progress=False)[0])
    words = (*WORDS[:7], ("siedem",), *WORDS[8:])
    new = read_metadata(speak_corpus(tmp_path, Lexicon("en", words, words, words, ""), parts, progress=False)[0])
    assert (old["file"] != new["file"]).tolist() == [label == 7 for label in old["label"]]
    assert {path.name for path in (tmp_path / "clips").iterdir()} == {f.removeprefix("clips/") for f in new["file"]}


@pytest.mark.parametrize(
    ("voice", "reason"), [("hangs", "no answer within"), ("dies", "crashed"), ("fails", "no such phoneme")]
)
def test_a_voice_that_does_not_speak_is_left_out_and_named(tmp_path, voice, reason):
    parts = plan_parts(LEXICON, [Made("anna", "ben", "cleo", voice)], 4)
    table, left_out = speak_corpus(tmp_path, LEXICON, parts, progress=False)
    assert list(left_out) == [f"made {voice}"] and reason in left_out[f"made {voice}"]
    assert sorted(set(read_metadata(table)["voice"])) == ["anna", "ben", "cleo"]


def test_a_voice_that_misses_one_word_is_kept(tmp_path):
    parts = plan_parts(LEXICON, [Made("anna", "ben", "mute")], 3)
    table, left_out = speak_corpus(tmp_path, LEXICON, parts, progress=False)
    assert left_out == {} and len(read_metadata(table)) == 29


def test_a_voice_that_misses_two_words_is_kept_when_the_corpus_is_completed_too(tmp_path):
    parts = plan_parts(LEXICON, [Made("anna", "ben", "halting")], 3)
    for _ in range(2):
        table, left_out = speak_corpus(tmp_path, LEXICON, parts, progress=False)
        assert left_out == {} and len(read_metadata(table)) == 28


def test_an_engine_that_always_dies_is_given_up_and_the_others_go_on(tmp_path):
    lost = Made(*(f"dies{number}" for number in range(9)), name="lost")
    parts = plan_parts(LEXICON, [lost, Made("anna", "ben")], 18)
    table, left_out = speak_corpus(tmp_path, LEXICON, parts, progress=False)
    assert sorted(left_out) == [f"lost dies{number}" for number in range(9)]
    assert sum("not tried" in reason for reason in left_out.values()) == 6
    assert set(read_metadata(table)["engine"]) == {"made"}


def test_it_is_an_error_if_nobody_speaks(tmp_path):
    with pytest.raises(InputError, match="no installed engine speaks 'en'"):
        plan_parts(LEXICON, [Made()], 4)
    parts = plan_parts(LEXICON, [Made("dies", "fails")], 4)
    with pytest.raises(InputError, match=r"no voice for \w+ has spoken the digit 0 \(made \w+: "):
        speak_corpus(tmp_path, LEXICON, parts, progress=False)
    assert not (tmp_path / "metadata.tsv").exists()


def test_a_full_disk_is_reported_and_nothing_is_half_written(tmp_path, monkeypatch):
    def full(path, content):
        with open(path, "wb") as file:
            file.write(content[:4])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="No space left"):
        speak_corpus(tmp_path, LEXICON, plan_parts(LEXICON, [Made("anna", "ben")], 2), progress=False)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
