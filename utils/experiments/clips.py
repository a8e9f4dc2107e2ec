"""The clips of an experiment: its tables, split by its protocol, plus synthetic speech if it uses any."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from utils import InputError
from utils.data import splits
from utils.data.corpora import noises
from utils.data.metadata import read_metadata, verify
from utils.data.splits import Split, few_repetitions
from utils.data.synthesis import accents, archive, corpus, foreign_digits, selection
from utils.data.synthesis.words import DIGITS
from utils.experiments.config import DataConfig, Experiment
from utils.experiments.leakage import refuse_copies
from utils.files import sha256
from utils.paths import CACHE, find_metadata
from utils.progress import Progress
from utils.training.objectives import NON_DIGIT
from utils.training.pretraining import WordsConfig


def split_clips(experiment: Experiment, seed: int = 0) -> Split:
    """Apply the protocol of the experiment to its metadata.

    Errors as for `read_metadata`, `Split` and `refuse_copies`: no recording is on both sides, whatever its name.

    `seed` selects the labelled repetitions, if only some of them are labelled.
    """
    data = experiment.data
    tables = {name: read_metadata(find_metadata(name), digits=name not in data.non_digits) for name in data.tables}
    for clips in tables.values():
        verify(clips)
    split = splits.apply(data.protocol, tables[data.metadata], data.fold)
    tests = dict(split.tests)
    for name in data.also_test:
        if Path(name).stem in tests:
            raise InputError(f"also_test: the name '{Path(name).stem}' is already used for other clips; rename {name}")
        tests[Path(name).stem] = _part(tables[name], "TEST", name)
    train = [split.train, *(_part(tables[name], "TRAIN", name) for name in data.also_train)]
    split = replace(split, train=pd.concat(train, ignore_index=True), tests=tests)
    if data.repetitions:
        split = few_repetitions(split, data.repetitions, seed)
    if not data.unlabelled:
        split = replace(split, unlabelled=None)
    elif split.unlabelled is None:
        raise InputError(f"protocol {data.protocol}: all its clips are labelled, so there are no unlabelled ones")
    learned = {"training": split.train, "validation": split.validation, "unlabelled": split.unlabelled}
    refuse_copies(f"protocol {split.name}", learned, split.tests)
    labelled = split.train[split.train["path"].isin(tables[data.metadata]["path"])]
    split = replace(split, train=pd.concat([split.train, *[labelled] * (data.oversampling - 1)]))
    if data.synthetic_voices:
        split = replace(split, train=pd.concat([split.train, synthetic_voices(data.synthetic_voices)]))
    if data.synthetic_language:
        split = replace(split, train=pd.concat([split.train, synthetic_speech(data)]))
    if split.train.empty:
        raise InputError(f"protocol {data.protocol}: it trains on synthetic speech alone, and the config has none")
    non_digits = [clips.assign(label=NON_DIGIT) for clips in _non_digits(data, tables)]
    return replace(split, train=pd.concat([split.train, *non_digits]))


def _non_digits(data: DataConfig, tables: Mapping[str, pd.DataFrame]) -> list[pd.DataFrame]:
    """The clips to be rejected that an experiment trains on: words and noises, given its tables by name."""
    parts = [_part(tables[name], "TRAIN", name) for name in data.non_digits]
    if data.synthetic_non_digits:
        parts.append(_part(synthetic_non_digits(data.synthetic_non_digits), "TRAIN", "synthetic_non_digits"))
    if data.synthetic_music:
        parts.append(_part(synthetic_music(data.synthetic_music), "TRAIN", "synthetic_music"))
    if data.noises and data.learns_non_digits:
        parts.append(noise_clips(data.noises))
    return parts


def room_noises(experiment: Experiment) -> list[np.ndarray]:
    """The recordings of noise (samples,) that an experiment trains with, at its sample rate."""
    if not experiment.data.noises:
        return []
    return noises.load_noises(noises.read_noises(experiment.data.noises), experiment.features.sample_rate)


def noise_clips(sources: Sequence[str]) -> pd.DataFrame:
    """Recordings of noise of some sources, cut into clips of one second. Kept in `.cache/`."""
    folder = CACHE / f"noises-{'-'.join(sources)}-{sha256(noises.TABLE)[:12]}"
    return read_metadata(noises.cut_clips(noises.read_noises(sources), folder), digits=False)


def _part(clips: pd.DataFrame, split: str, name: str) -> pd.DataFrame:
    chosen = clips[clips["split"] == split]
    if chosen.empty:
        raise InputError(f"{name}: no clips in the split {split}")
    return chosen


def synthetic_speech(data: DataConfig) -> pd.DataFrame:
    """The archive of a language and the accented speakers of eSpeak NG, or the part of both that the config selects."""
    assert data.synthetic_language is not None
    clips = read_metadata(archive.unpack(data.synthetic_language))
    if data.synthetic_engines is not None:
        clips = selection.of_engines(clips, data.synthetic_engines)
    if data.synthetic_accents:
        accented = read_metadata(accents.accented_voices(data.synthetic_accents, data.synthetic_language))
        clips = pd.concat([clips, accented], ignore_index=True)
    if data.synthetic_voice_share < 1:
        clips = selection.share_of_voices(clips, data.synthetic_voice_share)
    if data.synthetic_speakers_per_voice is not None:
        clips = selection.first_speakers(clips, data.synthetic_speakers_per_voice)
    if data.synthetic_understood:
        clips = selection.understood(clips, archive.ARCHIVE / data.synthetic_language)
    return clips


def synthetic_voices(number: int) -> pd.DataFrame:
    """One clip of each digit by each of `number` synthetic voices. Synthesised once and kept in `.cache/`."""
    folder = CACHE / f"voices-{number}"
    return read_metadata(corpus.speak(folder, speakers=number, repetitions=1, progress=False)).assign(split="TRAIN")


def synthetic_speakers(data: DataConfig) -> set[str]:
    """The names of all speakers of digits who are not people."""
    tables = [synthetic_voices(data.synthetic_voices)] if data.synthetic_voices else []
    tables += [synthetic_speech(data)] if data.synthetic_language else []
    return {speaker for clips in tables for speaker in clips["speaker"]}


def synthetic_non_digits(number: int) -> pd.DataFrame:
    """Synthetic words other than digits, and noises (see `corpus.speak_non_digits`). Kept in `.cache/` as well."""
    folder = CACHE / f"others-{number}"  # the name that earlier versions gave it
    return read_metadata(corpus.speak_non_digits(folder, clips=number), digits=False)


def synthetic_music(number: int) -> pd.DataFrame:
    """Tones, chords and whistles (see `corpus.make_music_clips`). Kept in `.cache/` as well."""
    return read_metadata(corpus.make_music_clips(CACHE / f"music-{number}", clips=number), digits=False)


def word_clips(words: WordsConfig, data: DataConfig) -> pd.DataFrame:
    """The clips of a pre-training on words (see `WordsConfig`), with `label` numbering the words from 0.

    English digits in tables of words are left out, so that whoever has the digits of one speaker learns none of others.

    Raises:
        InputError: a table cannot be read or has no TRAIN clips, or its digits are those that the experiment learns.
    """
    parts = []
    for name in (*words.tables, *words.digits):
        if name in data.tables and name in words.digits:
            raise InputError(f"pre-training on words: {name} has the digits that are learned afterwards")
        clips = read_metadata(find_metadata(name), digits=name in words.digits)
        verify(clips)
        clips = _part(clips[~clips["label"].isin(DIGITS)], "TRAIN", name)
        parts.append(clips.assign(word=f"{name} " + clips["label"].astype(str)))
    for language in Progress(words.languages, "words of other languages", unit="language"):
        spoken = read_metadata(foreign_digits.speak_foreign_digits(language, words.voices))
        parts.append(spoken.assign(word=f"{language} " + spoken["label"].astype(str)))
    clips = pd.concat(parts, ignore_index=True)
    return clips.assign(label=np.unique(clips["word"], return_inverse=True)[1])
