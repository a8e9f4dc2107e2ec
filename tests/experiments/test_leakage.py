"""Leakage by content: a test recording among the training clips is refused, however it was disguised."""

import time

import numpy as np
import pandas as pd
import pytest
import soundfile
from conftest import RATE, experiment_of, settings, speak, write_metadata

from utils import InputError
from utils.data.audio import convert_rate
from utils.experiments import leakage
from utils.experiments.clips import split_clips
from utils.experiments.config import parse_experiment
from utils.experiments.leakage import find_copies

DISGUISES = {  # of a waveform at RATE: the file's suffix, its rate, its subtype, its samples
    "another name": (".wav", RATE, "PCM_16", lambda clip: clip),
    "FLAC": (".flac", RATE, "PCM_16", lambda clip: clip),
    "OGG Vorbis": (".ogg", RATE, "VORBIS", lambda clip: clip),
    "MP3": (".mp3", RATE, "MPEG_LAYER_III", lambda clip: clip),
    "resampled": (".wav", 16000, "PCM_16", lambda clip: convert_rate(clip, RATE, 16000)),
    "padded": (".wav", RATE, "PCM_16", lambda clip: np.pad(clip, (1234, 777))),
    "louder": (".wav", RATE, "FLOAT", lambda clip: 1.7 * clip),
    "quieter": (".wav", RATE, "PCM_16", lambda clip: 0.3 * clip),
    "cut": (".wav", RATE, "PCM_16", lambda clip: clip[200:]),
    "cut, padded and quieter": (".flac", RATE, "PCM_16", lambda clip: 0.5 * np.pad(clip[150:], (0, 999))),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_disguised_test_clip_in_training_is_refused(corpus, tmp_path, disguise):
    suffix, rate, subtype, change = DISGUISES[disguise]
    soundfile.write(tmp_path / f"mine{suffix}", change(speak(4, "eve", 1)), rate, subtype=subtype)
    clips = corpus.clips
    clips["file"] = clips["path"]
    stolen = pd.DataFrame([["mine", "zoe", "TRAIN", 4, f"mine{suffix}"]], columns=clips.columns[:5])
    table = write_metadata(tmp_path / "clips.tsv", pd.concat([clips, stolen]))
    experiment = parse_experiment(settings(corpus, data={"metadata": str(table)}), "the test", "tiny")
    with pytest.raises(InputError, match="the same recording is on both sides") as caught:
        split_clips(experiment)
    message = str(caught.value)
    assert f"'mine{suffix}' (speaker zoe, training)" in message and "4_eve_1.wav' (speaker eve, TEST)" in message


def test_different_recordings_are_not_refused(corpus):
    assert len(split_clips(experiment_of(corpus)).train) == 80


def test_copies_within_training_are_not_refused(corpus, tmp_path):
    clips = corpus.clips
    clips["file"] = clips["path"]
    soundfile.write(tmp_path / "again.wav", 0.5 * speak(4, "ada", 1), RATE)
    again = pd.DataFrame([["again", "zoe", "TRAIN", 4, "again.wav"]], columns=clips.columns[:5])
    table = write_metadata(tmp_path / "clips.tsv", pd.concat([clips, again]))
    experiment = parse_experiment(settings(corpus, data={"metadata": str(table)}), "the test", "tiny")
    assert len(split_clips(experiment).train) == 81


def test_the_comparison_is_cached_whatever_the_division(corpus, monkeypatch):
    paths = corpus.clips["path"].tolist()
    assert find_copies(paths[:60], paths[60:]) == []
    monkeypatch.setattr(leakage, "fingerprint", None)  # calling it would raise another error
    began = time.perf_counter()
    assert find_copies(paths[100:], paths[:100]) == []
    assert time.perf_counter() - began < 5


def test_every_pair_is_found_most_alike_first(corpus, tmp_path):
    clip = speak(7, "finn", 0)
    soundfile.write(tmp_path / "mp3.mp3", clip, RATE, subtype="MPEG_LAYER_III")
    soundfile.write(tmp_path / "same.wav", clip, RATE)
    original = str(corpus.folder / "7_finn_0.wav")
    names = [str(tmp_path / name) for name in ("mp3.mp3", "same.wav")]
    copies = find_copies(names, [original, str(corpus.folder / "1_finn_0.wav")])
    assert [(copy.trained, copy.tested) for copy in copies] == [(names[1], original), (names[0], original)]
    assert copies[0].bit_errors == 0 < copies[1].bit_errors
