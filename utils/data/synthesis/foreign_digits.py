"""The digits of many languages by eSpeak NG: words to be told apart before the digits of one language are learned."""

import hashlib
from pathlib import Path

from utils import InputError
from utils.data.metadata import COLUMNS, write_table
from utils.data.synthesis.engines.espeak import Espeak
from utils.data.synthesis.language_speech import plan_parts, plan_words
from utils.data.synthesis.lexicon import find_lexicon
from utils.data.synthesis.speakers import speak_in_room, table_row, write_clip
from utils.files import fill_once, sha256
from utils.paths import CACHE

SOURCES = ("pronunciations.tsv", "language_speech.py", "speakers.py")  # what the clips depend on


def speak_foreign_digits(language: str, speakers: int, cache: Path = CACHE) -> Path:
    """One clip of each digit of a language by each of `speakers` speakers of eSpeak NG, spoken once and kept.

    Args:
        language: ISO 639 code.
        speakers: at least 2.
        cache: where the clips are kept.

    Returns:
        The path of `metadata.tsv`. All its clips are in TRAIN, 16 kHz WAV.

    Raises:
        InputError: eSpeak NG does not know the language, cannot count in it or speaks no word of it, or the cache is
            not writable.
    """
    sources = [Path(__file__).with_name(name) for name in SOURCES]
    version = hashlib.sha256("".join([Espeak.pin, *map(sha256, sources)]).encode()).hexdigest()[:8]
    folder = cache / f"digits-{language}-{speakers}-{version}"
    return fill_once(folder, lambda new: _speak(language, speakers, new)) / "metadata.tsv"


def _speak(language: str, speakers: int, folder: Path) -> None:
    """Write the clips of `speak_foreign_digits` and their table into `folder`."""
    engine, lexicon = Espeak(), find_lexicon(language)
    (part,) = plan_parts(lexicon, [engine], speakers)
    rows, why = [], None
    for speaker in part.speakers:
        for utterance in plan_words(engine, speaker, lexicon):
            file = f"{utterance.clip}.wav"
            try:
                write_clip(folder / file, speak_in_room(engine, speaker, utterance))
            except InputError as error:  # too short or too long for a word; there are other speakers
                why = error
                continue
            rows.append(table_row(speaker, utterance, "TRAIN", file))
    if not rows:
        raise InputError(f"eSpeak NG has spoken no digit of '{language}' ({why})")
    write_table(folder / "metadata.tsv", COLUMNS, rows)
