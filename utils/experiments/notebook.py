"""Clips and experiments for the notebooks, full or small.

With the environment variable `SDR_SMALL`, which the tests set, the same cells take seconds.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import soundfile
from IPython.display import HTML

from utils import InputError
from utils.data.audio import read_audio
from utils.data.config import FIELD_WORDS
from utils.data.corpora import audiomnist, noises
from utils.data.metadata import read_metadata
from utils.data.synthesis import accents, archive, corpus
from utils.evaluation import speech_figures
from utils.experiments.clips import noise_clips, synthetic_non_digits
from utils.experiments.config import Experiment
from utils.experiments.mixtures import NOISE, STRINGS, cached_mixtures
from utils.paths import CACHE, COURSE_METADATA, PROJECT, RUNS, find_metadata

SMALL = os.environ.get("SDR_SMALL") == "1"
REPETITIONS = 3  # in a small run, of each digit by each speaker
EPOCHS = 2  # in a small run
ACCENTED = 120  # speakers of eSpeak NG, as many as in configs/synthesis.yaml
ACCENTED_IN_SMALL = 8
UNSEEN_NOISE = noises.FOLDS["a"][1]  # the sources of noise that no checkpoint has been trained on
NON_DIGITS = 20 if SMALL else 1200  # clips by synthetic voices, as many as in configs/digits.yaml
SOUNDS = RUNS / "sounds"  # waveforms that notebooks play
STAND_IN = CACHE / "stand-in"  # synthetic clips in place of the recordings, in a small run


def course_clips() -> pd.DataFrame:
    """The course's clips (see `read_metadata`). In a small run: a few of each digit, speaker and split.

    Without the recordings, a small run uses clips by eSpeak NG with the course's speakers and splits.
    """
    try:
        clips = read_metadata(COURSE_METADATA)
    except InputError:
        if not SMALL:
            raise
        return _stand_in()
    return clips.groupby(["speaker", "label", "split"]).head(REPETITIONS) if SMALL else clips


def audiomnist_clips() -> pd.DataFrame:
    """The clips of speaker 02 of AudioMNIST, at 48 kHz. Without them, a small run uses clips by eSpeak NG."""
    try:
        return read_metadata(audiomnist.SPEAKER_02)
    except InputError:
        if not SMALL:
            raise
    stand_in = STAND_IN.with_name("stand-in-48-khz")
    return read_metadata(corpus.speak(stand_in, speakers=3, repetitions=1, sample_rate=48_000, progress=False))


def synthetic_clips(language: str = "en") -> pd.DataFrame:
    """The archive of a language, and eSpeak NG's accented speakers. In a small run: a few of each engine and digit."""
    accented = accents.accented_voices(ACCENTED_IN_SMALL if SMALL else ACCENTED, language)
    tables = [read_metadata(table) for table in (archive.unpack(language), accented)]
    clips = pd.concat(tables, ignore_index=True)
    return clips.groupby(["engine", "label"]).head(REPETITIONS) if SMALL else clips


def mixtures_of(clips: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Clips in unseen noise, and strings made of them, by condition (see `utils.experiments.mixtures`).

    Without the recordings of noise, a small run uses the clips themselves in each condition.
    """
    try:
        folder = cached_mixtures(clips, UNSEEN_NOISE)
    except InputError:
        if not SMALL:
            raise
        return dict.fromkeys(NOISE, clips) | dict.fromkeys(STRINGS, clips.astype({"label": str}))
    tables = {name: folder / name / "metadata.tsv" for name in (*NOISE, *STRINGS)}
    return {name: read_metadata(table, digits=name in NOISE) for name, table in tables.items()}


def unseen_noises(sample_rate: int) -> dict[str, np.ndarray]:
    """A recording (samples,) of each kind of unseen noise. Without them, a small run uses white noise."""
    try:
        listed = noises.read_noises(UNSEEN_NOISE)
    except InputError:
        if not SMALL:
            raise
        return {"white": np.random.default_rng(0).normal(size=sample_rate).astype(np.float32)}
    first = listed.groupby("kind").head(1)
    return {row.kind: read_audio(row.path, sample_rate) for row in first.itertuples()}


def non_digit_clips() -> dict[str, pd.DataFrame]:
    """Clips without a digit by kind: words by unseen speakers, of the corpora that are here, and unseen noise.

    Without the recordings of noise, a small run uses synthetic noise.
    """
    synthetic = synthetic_non_digits(NON_DIGITS)
    synthetic = synthetic[synthetic["split"] == "TEST"]
    is_noise = synthetic["label"] == "noise"
    kinds = {}
    for name, (table, split) in FIELD_WORDS.items():
        try:
            words = read_metadata(find_metadata(table), digits=False)
        except InputError:
            continue
        kinds[name] = words[words["split"] == split]
    kinds["synthetic words"] = synthetic[~is_noise]
    try:
        kinds["noises"] = noise_clips(UNSEEN_NOISE)
    except InputError:
        if not SMALL:
            raise
        kinds["noises"] = synthetic[is_noise]
    return kinds


def sound_players(sounds: Mapping[str, np.ndarray], sample_rate: int) -> HTML:
    """Audio players of waveforms (samples,), each below its caption.

    They link to files in `runs/`, so that no sound is stored in the notebook. Jupyter plays nothing from the cache,
    which is a hidden folder.
    """
    SOUNDS.mkdir(parents=True, exist_ok=True)
    files = []
    for samples in sounds.values():
        path = SOUNDS / f"{hashlib.sha256(np.ascontiguousarray(samples).tobytes()).hexdigest()[:12]}.wav"
        soundfile.write(path, samples, sample_rate, subtype="PCM_16")
        files.append(path.relative_to(PROJECT).as_posix())
    return speech_figures.players(pd.DataFrame({"file": files}), list(sounds))


def small(experiment: Experiment) -> Experiment:
    """The experiment itself. In a small run: one that trains for a few seconds."""
    if not SMALL or experiment.training is None:
        return experiment
    training = replace(experiment.training, epochs=EPOCHS, batch_size=32, min_steps=0)
    pretraining = experiment.pretraining and replace(experiment.pretraining, epochs=EPOCHS, batch_size=32, min_steps=0)
    return replace(experiment, training=training, pretraining=pretraining)


def _stand_in() -> pd.DataFrame:
    """Synthetic clips with the names of the course's speakers, two of whom are in both DEV and TEST."""
    course = read_metadata(COURSE_METADATA, complete=False)
    train = sorted(course.loc[course["split"] == "TRAIN", "speaker"].unique())
    held_out = sorted(set(course["speaker"]) - set(train))
    speakers = [*train, *held_out]
    clips = read_metadata(corpus.speak(STAND_IN, speakers=len(speakers), repetitions=2 * REPETITIONS, progress=False))
    names = dict(zip(sorted(clips["speaker"].unique()), speakers, strict=True))
    clips["speaker"] = clips["speaker"].map(names)
    half = clips.groupby(["speaker", "label"]).cumcount() < REPETITIONS
    clips["split"] = half.map({True: "DEV", False: "TEST"}).where(clips["speaker"].isin(held_out), "TRAIN")
    return clips.groupby(["speaker", "label", "split"]).head(REPETITIONS)
