"""The words of a language and their pronunciations; what cannot be spoken or told apart is refused."""

import pytest
from made_engines import Made

from utils import InputError
from utils.data.synthesis.engines.kokoro import load_symbols
from utils.data.synthesis.lexicon import find_lexicon, find_voices, languages, native_accents, to_symbols

POLISH = ("zero", "jeden", "dwa", "trzy", "cztery", "pięć", "sześć", "siedem", "osiem", "dziewięć")


def test_every_language_has_a_name_and_two_are_many():
    assert languages()["pl"] == "Polish" and languages()["bn"] == "Bengali" and len(languages()) > 100
    assert {"en", "zh", "ar"} <= languages().keys()  # codes of the table, which eSpeak NG has under longer names


def test_words_come_from_the_table_with_a_pronunciation_each():
    lexicon = find_lexicon("pl")
    assert lexicon.source == "the table" and lexicon.words == tuple((word,) for word in POLISH)
    assert lexicon.pronunciations[7] == ("ɕˈɛdɛm",) and lexicon.ipa[7] == ("ɕˈɛdɛm",)
    assert lexicon.pronunciations[5] == ("pʲˈɛɲtɕ",) and lexicon.ipa[5] == ("pʲˈɛɲʨ",)


def test_a_language_without_words_in_the_table_is_counted_in_by_espeak():
    lexicon = find_lexicon("bn")
    assert lexicon.source == "eSpeak NG" and lexicon.words[7] == ("7",)
    assert lexicon.pronunciations[7] == ("ʃˈat",)


def test_a_digit_may_have_several_words():
    words = tuple((word,) for word in POLISH[:2]) + (("dwa", "dwie"),) + tuple((word,) for word in POLISH[3:])
    lexicon = find_lexicon("pl", words, "mine.txt")
    assert lexicon.source == "mine.txt" and len(lexicon.pronunciations[2]) == len(lexicon.ipa[2]) == 2


def test_dialects_are_native_and_accents_of_other_languages_are_not():
    assert native_accents("en") == ["us", "gb", "scotland"]
    assert native_accents("ar") == ["msa", "egypt", "levant"]
    assert len(find_lexicon("ar").words[2]) > 2


@pytest.mark.parametrize(
    ("language", "why"),
    [
        ("xx", "no engine speaks 'xx'"),
        ("kl", "eSpeak NG cannot speak 'kl': it crashed"),
        ("fo", "cannot count in 'fo'.*--words"),
        ("ne", "cannot count in 'ne'.*--words"),  # eSpeak NG counts in English there
        ("si", "pronounces 6 and 7 alike"),
    ],
)
def test_a_language_that_cannot_be_spoken_is_refused(language, why):
    with pytest.raises(InputError, match=why):
        find_lexicon(language)


def test_two_words_that_are_pronounced_alike_are_refused():
    words = (("morze",), ("może",), *((word,) for word in POLISH[2:]))
    with pytest.raises(InputError, match="0 and 1 alike"):
        find_lexicon("pl", words, "mine.txt")


def test_ipa_is_written_in_the_symbols_of_the_engine_or_not_at_all():
    assert to_symbols("ɡˈo̞") == "ɡˈo" and to_symbols("tʃʰˈaɾ") == "ʧʰˈaɾ"
    assert to_symbols("(en)wˈɒn(grc)") == "wˈɒn"
    assert to_symbols("ʔˈarbaʕa") == "ˈarbaa"  # Kokoro would say two stops
    assert to_symbols("mˈo6t̪") == ""  # a tone
    assert to_symbols("ǃa") == ""  # a click
    assert set(to_symbols("zˈɛrɔː pˈãtʃ")) <= set(load_symbols())


def test_an_engine_that_reads_ipa_speaks_only_what_it_has_symbols_for():
    class Reader(Made):
        notation = "ipa"

    reader = Reader("anna", name="kokoro")
    assert find_voices(reader, find_lexicon("pl")) == ["anna"]
    assert find_voices(reader, find_lexicon("vi")) == []
    assert find_voices(Made("anna"), find_lexicon("vi")) == ["anna"]
