"""Which clips of the archive and of eSpeak NG's accented speakers are trained on: engines, voices, ways, words."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from utils import InputError
from utils.data.metadata import read_rows
from utils.data.synthesis.archive import NOT_UNDERSTOOD
from utils.settings import nearest

ENDINGS = ".,!? "  # punctuation that changes only the intonation of a word (see `Engine.endings`)
ACCENTED = "espeak"  # spoken when needed, so it is not in the archive
WORD, VOICE = ("engine", "accent", "digit", "word"), ("engine", "voice")  # the columns that identify each


def identify(clips: pd.DataFrame) -> pd.DataFrame:
    """The columns of `WORD` and `VOICE`, one row per clip.

    A word is one pronunciation, in the notation of its engine. eSpeak NG's variants of a voice count as that voice.
    """
    variant = clips["engine"] == ACCENTED
    return pd.DataFrame(
        {
            "engine": clips["engine"],
            "voice": clips["voice"].mask(variant, clips["voice"].str.split("+").str[0]),
            "accent": clips["accent"],
            "digit": clips["label"].astype(int),
            "word": clips["text"].str.rstrip(ENDINGS),
        }
    )


def of_engines(clips: pd.DataFrame, engines: Sequence[str]) -> pd.DataFrame:
    """The clips of some engines of the archive. Raises `InputError` for an engine that has none."""
    known = list(dict.fromkeys(clips["engine"]))
    for engine in engines:
        if engine == ACCENTED:
            raise InputError(
                "synthetic_engines: eSpeak NG is not in the archive; set synthetic_accents and synthetic_voices"
            )
        if engine not in known:
            raise InputError(f"synthetic_engines: no clips by '{engine}' in the archive; {nearest(engine, known)}")
    return clips[clips["engine"].isin(engines)]


def share_of_voices(clips: pd.DataFrame, share: float) -> pd.DataFrame:
    """The clips of a share of each engine's voices, evenly spaced in their order, and at least one.

    The voices of a half, a quarter and so on are among those of twice the share.
    """
    names = identify(clips)
    kept = []
    for _, voices in names.groupby("engine", sort=False)["voice"]:
        number = voices.map({voice: place for place, voice in enumerate(dict.fromkeys(voices))})
        kept.append((number * share).floordiv(1) != ((number - 1) * share).floordiv(1))
    return clips[pd.concat(kept).reindex(clips.index)] if kept else clips


def first_speakers(clips: pd.DataFrame, number: int) -> pd.DataFrame:
    """The clips of the first speakers of each voice. Of mixtures of voices, the first ones of all the engine's."""
    return clips[clips["speaker"].str.rpartition("-")[2].astype(int) < number]


def understood(clips: pd.DataFrame, archive: Path) -> pd.DataFrame:
    """The clips without the words and voices that `sdr data voices` has listed in the folder of the archive."""
    if not (path := archive / NOT_UNDERSTOOD).exists():
        raise InputError(f"{path}: there is no such file; `sdr data voices {archive.name} --write` makes it")
    names = identify(clips)
    keep = pd.Series(True, index=clips.index)
    for row in read_rows(path, (*VOICE, *WORD)):
        columns = VOICE if row["voice"] else WORD
        keep &= ~(names[list(columns)].astype(str) == [row[name] for name in columns]).all(axis=1)
    return clips[keep]
