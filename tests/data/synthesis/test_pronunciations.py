"""The table of pronunciations, and the speakers who use it."""

from dataclasses import replace

import numpy as np
import pytest

from utils import InputError
from utils.data.synthesis import pronunciations
from utils.data.synthesis.accents import plan_speakers, plan_utterances
from utils.data.synthesis.engine import SAMPLE_RATE, voice_table
from utils.data.synthesis.engines import engines
from utils.data.synthesis.engines.espeak import Espeak
from utils.data.synthesis.engines.kokoro import load_symbols
from utils.data.synthesis.pronunciations import accents, find_pronunciations, languages
from utils.data.synthesis.speakers import put_in_room, speak_utterance


@pytest.mark.parametrize("notation", ["text", "ipa"])
@pytest.mark.parametrize("language", languages())
def test_every_accent_has_all_ten_digits(language, notation):
    for accent in accents(language, notation):
        for digit in range(10):
            ways = find_pronunciations(language, accent, digit, notation)
            assert ways and all(way == way.strip() for way in ways)


@pytest.mark.parametrize("language", languages())
def test_no_two_digits_of_an_accent_sound_alike(language):
    for notation in ("text", "ipa"):
        for accent in accents(language, notation):
            ways = [way for digit in range(10) for way in find_pronunciations(language, accent, digit, notation)]
            assert len(ways) == len(set(ways)), accent


@pytest.mark.parametrize("digit", ["10", "ten", "", "٣"])
def test_a_row_for_what_is_no_digit_is_refused(tmp_path, monkeypatch, digit):
    """Teachers may add rows to the table."""
    path = tmp_path / "pronunciations.tsv"
    path.write_text(f"language\taccent\tdigit\ttext\tipa\nen\tus\t{digit}\tten\t\n", encoding="utf-8")
    monkeypatch.setattr(pronunciations, "TABLE", path)
    with pytest.raises(InputError, match=f"en, us: '{digit}' is not a digit"):
        pronunciations._table.__wrapped__()


def test_kokoro_has_every_symbol():
    symbols = load_symbols()
    for language in languages():
        for accent in accents(language, "ipa"):
            for digit in range(10):
                for way in find_pronunciations(language, accent, digit, "ipa"):
                    assert set(way) <= set(symbols), way


def test_every_voice_can_speak_with_its_accents():
    for row in voice_table():
        notation = engines()[row.engine].notation
        assert set(row.accents) <= set(accents(row.language, notation)), row


def test_an_unknown_language_or_accent_is_an_error():
    with pytest.raises(InputError, match="no text for the language 'xx'"):
        find_pronunciations("xx", "us", 0)
    with pytest.raises(InputError, match="accent 'gbb' of 'en'; did you mean 'gb'"):
        find_pronunciations("en", "gbb", 0)


def test_more_speakers_do_not_change_the_first_ones():
    few, many = plan_speakers(Espeak(), "en", each=1), plan_speakers(Espeak(), "en", each=3)
    assert many[: len(few)] == few
    assert len({speaker.name for speaker in many}) == len(many) == 3 * len(few)
    assert len({speaker.accent for speaker in few}) > 12
    assert plan_speakers(Espeak(), "en", each=1, seed=1) != few


def test_an_engine_without_the_language_is_an_error():
    with pytest.raises(InputError, match="espeak has no voice for the language 'xx'"):
        plan_speakers(Espeak(), "xx", each=1)


def test_a_speaker_says_every_digit_the_same_way_each_time_it_is_planned():
    engine = Espeak()
    speaker = plan_speakers(engine, "en", each=1)[3]
    said = list(plan_utterances(engine, speaker, repetitions=2))
    assert said == list(plan_utterances(engine, speaker, repetitions=2))
    assert [utterance.digit for utterance in said] == [*range(10), *range(10)]
    assert len({utterance.clip for utterance in said}) == 20
    for utterance in said:
        assert utterance.text in find_pronunciations("en", speaker.accent, utterance.digit)
    np.testing.assert_array_equal(*(speak_utterance(engine, speaker, said[7]) for _ in range(2)))


def test_what_is_too_short_or_too_long_for_a_word_is_an_error(monkeypatch):
    engine = Espeak()
    speaker = plan_speakers(engine, "en", each=1)[0]
    utterance = next(iter(plan_utterances(engine, speaker)))
    for seconds in (0.01, 3.0):
        monkeypatch.setattr(engine, "speak", lambda *_, seconds=seconds, **__: np.ones(round(seconds * SAMPLE_RATE)))
        with pytest.raises(InputError, match="no word"):
            speak_utterance(engine, speaker, utterance)


def test_the_size_of_a_vocal_tract_is_independent_of_pace_and_pitch(monkeypatch):
    engine = Espeak()
    asked = []

    def record(text, voice, *, rate, pitch, seed):
        asked.append((rate, pitch))
        return np.ones(round(0.4 * SAMPLE_RATE / rate))

    monkeypatch.setattr(engine, "speak", record)
    speaker = plan_speakers(engine, "en", each=1)[0]
    utterance = next(iter(plan_utterances(engine, speaker)))
    lengths = [len(speak_utterance(engine, replace(speaker, size=size), utterance)) for size in (0.9, 1.1)]
    assert lengths[0] == pytest.approx(lengths[1], rel=0.001)
    assert asked[1][1] / asked[0][1] == pytest.approx(1.1 / 0.9)


def test_a_room_has_the_level_and_noise_asked_for():
    word = np.sin(np.arange(8000) / 3).astype(np.float32)
    sound = put_in_room(word, "clip", level=12, noise=40)
    assert 20 * np.log10(np.abs(sound).max()) == pytest.approx(-12, abs=1.2)
    assert len(word) < len(sound) < len(word) + 0.13 * SAMPLE_RATE
    np.testing.assert_array_equal(sound, put_in_room(word, "clip", level=12, noise=40))
    assert not np.array_equal(sound, put_in_room(word, "another", level=12, noise=40))
