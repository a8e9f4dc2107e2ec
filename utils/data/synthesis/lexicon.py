"""The ten words of a language: from the table, from a file, or as eSpeak NG counts; and how they are pronounced."""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache

from utils import InputError
from utils.data.synthesis.engine import Engine, voice_table
from utils.data.synthesis.engines.espeak import Espeak
from utils.data.synthesis.engines.espeak import languages as espeak_languages
from utils.data.synthesis.engines.kokoro import load_symbols
from utils.data.synthesis.espeak_library import pronounce
from utils.data.synthesis.pronunciations import accents, find_pronunciations
from utils.data.synthesis.pronunciations import languages as table_languages
from utils.data.synthesis.workers import Worker, WorkerLost

Words = tuple[tuple[str, ...], ...]  # for each digit, one or more words
OTHER_LANGUAGE = re.compile(r"\([a-z-]+\)")  # how eSpeak NG marks that it went over to another language
# eSpeak's IPA in the symbols of engines that read IPA, longest first; other marks that these do not know are left out,
# and so are glottal and pharyngeal stops, which Kokoro speaks like [t]
SYMBOLS = {
    "tʃ": "ʧ", "dʒ": "ʤ", "tɕ": "ʨ", "dʑ": "ʥ", "ts": "ʦ", "dz": "ʣ", "ʑ": "ʒ", "ε": "ɛ", "ɭ": "l", "ɫ": "l", "ħ": "h",
    "ʕ": "", "ʔ": "", "ʉ": "u", "ɵ": "ø",
}  # fmt: skip


@dataclass(frozen=True)
class Lexicon:
    """The words for 0 to 9. Each field has one entry per digit, with all its words."""

    language: str  # ISO 639 code
    words: Words  # as text, which most engines read
    pronunciations: Words  # eSpeak NG's, in IPA, one for each word
    ipa: Words  # for engines that read IPA; a digit without any cannot be spoken by them
    source: str  # "the table", "eSpeak NG" or the name of a file


def find_lexicon(language: str, words: Words | None = None, source: str = "") -> Lexicon:
    """The words of a language.

    Args:
        language: ISO 639 code, one of `languages`.
        words: those to speak, for example from `utils.data.digit_words.read_words`. By default the words of
            `pronunciations.tsv` in all its native accents; for a language that it lacks, the numerals "0" to "9", which
            eSpeak NG reads in its own words.
        source: where `words` come from.

    Raises:
        InputError: eSpeak NG does not know the language or cannot count in it, or it pronounces two digits alike.
    """
    if language not in languages():
        raise InputError(f"no engine speaks '{language}'; give a code, such as pl (see `sdr language --list`)")
    native = native_accents(language)
    table = tuple(_of_table(language, native, digit, "text") for digit in range(10))
    usual = table if all(table) else tuple((str(digit),) for digit in range(10))
    if words is None or words == usual:
        words, source = usual, "the table" if all(table) else "eSpeak NG"
    if not (voices := Espeak().voices(language)):
        raise InputError(f"eSpeak NG has no voice for '{language}'")
    said = _pronounce_all(words, voices[0], language)
    if source == "eSpeak NG":
        wrong = [digit for digit, (form,) in enumerate(said) if not form or OTHER_LANGUAGE.search(form)]
        if wrong:
            raise InputError(f"eSpeak NG cannot count in '{language}'; give the ten words with --words FILE")
    digit_of: dict[str, int] = {}
    for digit, forms in enumerate(said):
        for word, form in zip(words[digit], forms, strict=True):
            if not form:
                raise InputError(f"eSpeak NG cannot pronounce '{word}' ({digit}) in '{language}'; write another word")
            if digit_of.setdefault(form, digit) != digit:
                raise InputError(
                    f"eSpeak NG pronounces {digit_of[form]} and {digit} alike in '{language}' [{form}]; give other "
                    "words with --words FILE"
                )
    symbols = []
    for digit in range(10):
        ready = _of_table(language, native, digit, "ipa") if words[digit] == table[digit] else ()
        symbols.append(ready or tuple(filter(None, map(to_symbols, said[digit]))))
    return Lexicon(language, words, said, tuple(symbols), source)


def find_voices(engine: Engine, lexicon: Lexicon) -> list[str]:
    """The installed voices of an engine that can speak a lexicon. Those of a foreign accent are not among them.

    An engine that reads IPA has no languages of its own: if it has all the symbols, each of its voices can.
    """
    if engine.missing():
        return []
    if engine.notation == "ipa":
        if not all(lexicon.ipa):
            return []
        spoken = dict.fromkeys(row.language for row in voice_table() if row.engine == engine.name)
        return list(dict.fromkeys(voice for language in spoken for voice in engine.voices(language)))
    native = set(native_accents(lexicon.language))
    foreign = {
        row.voice
        for row in voice_table()
        if (row.engine, row.language) == (engine.name, lexicon.language) and not native & set(row.accents)
    }
    return [voice for voice in engine.voices(lexicon.language) if voice not in foreign]


@cache
def languages() -> dict[str, str]:
    """The names of all languages that eSpeak NG speaks, by code: {"de": "German", ...}."""
    first: dict[str, str] = {}
    further: dict[str, str] = {}
    for language in espeak_languages().values():
        first.setdefault(language.codes[0], language.name)
        further = dict.fromkeys(language.codes, language.name) | further
    of_table = {code: further[code] for code in table_languages() if code in further}
    return dict(sorted((of_table | first).items()))


def native_accents(language: str) -> list[str]:
    """The accents of `pronunciations.tsv` that are the language's own. A foreign one has the code of its language."""
    codes = set(languages()) | set(table_languages())
    return [name for name in accents(language) if name == language or name not in codes]


def to_symbols(form: str) -> str:
    """eSpeak NG's IPA in Kokoro's symbols. Empty if it has none for one of the sounds or for a tone."""
    form = OTHER_LANGUAGE.sub("", form)
    for old, new in SYMBOLS.items():
        form = form.replace(old, new)
    known, letters = load_symbols(), []
    for letter in unicodedata.normalize("NFC", form):
        plain = letter if letter in known else unicodedata.normalize("NFD", letter)[0]
        if plain in known:
            letters.append(plain)
        elif unicodedata.category(plain) in ("Ll", "Lo", "Nd"):
            return ""  # a sound, or the number of a tone; anything else only modifies a sound
    return "".join(letters).strip()


def _of_table(language: str, native: list[str], digit: int, notation: str) -> tuple[str, ...]:
    """The words of `pronunciations.tsv` for a digit in some accents, each once."""
    have = [name for name in native if name in accents(language, notation)]
    return tuple(dict.fromkeys(word for name in have for word in find_pronunciations(language, name, digit, notation)))


def _pronounce_all(words: Words, voice: str, language: str) -> Words:
    """How eSpeak NG pronounces the words, in a process of its own: in some languages it crashes."""
    with Worker(pronounce) as worker:
        try:
            return tuple(tuple(worker(word, voice).strip() for word in forms) for forms in words)
        except WorkerLost as error:
            raise InputError(f"eSpeak NG cannot speak '{language}': {error}") from None
