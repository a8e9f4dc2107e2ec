"""The digits of many languages by eSpeak NG: words to be told apart before the digits of one language are learned."""

import hashlib
from pathlib import Path

import pandas as pd
import soundfile

from utils import InputError
from utils.data.metadata import COLUMNS
from utils.data.synthesis.engine import SAMPLE_RATE
from utils.data.synthesis.engines.espeak import Espeak
from utils.data.synthesis.language_speech import plan_parts, plan_words, speak_in_room
from utils.data.synthesis.lexicon import find_lexicon
from utils.files import atomic_folder, one_process, sha256
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
    sources = [Path(__file__).with_name(name) for name in ("pronunciations.tsv", "language_speech.py", "speakers.py")]
    version = hashlib.sha256("".join([Espeak.pin, *map(sha256, sources)]).encode()).hexdigest()[:8]
    folder = cache / f"digits-{language}-{speakers}-{version}"
    if not folder.is_dir():  # it is made atomically, so it is complete
        with one_process(folder):
            if not folder.is_dir():  # nor has another process made it meanwhile
                _speak(language, speakers, folder)
    return folder / "metadata.tsv"


def _speak(language: str, speakers: int, folder: Path) -> None:
    engine, lexicon = Espeak(), find_lexicon(language)
    (part,) = plan_parts(lexicon, [engine], speakers)
    rows, why = [], None
    with atomic_folder(folder) as new:
        for speaker in part.speakers:
            for utterance in plan_words(engine, speaker, lexicon):
                try:
                    sound = speak_in_room(engine, speaker, utterance)
                except InputError as error:  # too short or too long for a word; there are other speakers
                    why = error
                    continue
                file = f"{utterance.clip}.wav"
                soundfile.write(new / file, sound, SAMPLE_RATE, subtype="PCM_16")
                rows.append((utterance.clip, speaker.name, "TRAIN", utterance.digit, file))
        if not rows:
            raise InputError(f"eSpeak NG has spoken no digit of '{language}' ({why})")
        pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(new / "metadata.tsv", sep="\t", index=False)
