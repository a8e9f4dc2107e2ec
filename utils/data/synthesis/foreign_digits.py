"""The digits of many languages by eSpeak NG: words to be told apart before the digits of one language are learned."""

from pathlib import Path

from utils import InputError
from utils.data.metadata import COLUMNS, write_table
from utils.data.synthesis.engines.espeak import Espeak
from utils.data.synthesis.language_speech import plan_parts, plan_words
from utils.data.synthesis.lexicon import find_lexicon
from utils.data.synthesis.speakers import speak_clip, spoken_once
from utils.paths import CACHE


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
    return spoken_once(cache, f"digits-{language}-{speakers}", lambda new: _speak(language, speakers, new))


def _speak(language: str, speakers: int, folder: Path) -> None:
    """Write the clips of `speak_foreign_digits` and their table into `folder`."""
    engine, lexicon = Espeak(), find_lexicon(language)
    (part,) = plan_parts(lexicon, [engine], speakers)
    rows, why = [], None
    for speaker in part.speakers:
        for utterance in plan_words(engine, speaker, lexicon):
            try:
                rows.append(speak_clip(folder, engine, speaker, utterance))
            except InputError as error:  # too short or too long for a word; there are other speakers
                why = error
    if not rows:
        raise InputError(f"eSpeak NG has spoken no digit of '{language}' ({why})")
    write_table(folder / "metadata.tsv", COLUMNS, rows)
