"""A corpus of the size of AudioMNIST, 30,000 clips by 60 speakers, is trained on in the promised time and memory."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from utils.data.corpora import audiomnist
from utils.data.synthesis.corpus import speak
from utils.paths import PROJECT

RATE = 48_000
SPEAKERS, REPETITIONS = 60, 50
SECONDS, MEGABYTES = 300, 4000  # limits: for all features on two cores; for the training process

# Trains one epoch of the published recipe, as `sdr train` does; all files go to the folder given as argument.
TRAINING = """
import json, resource, sys, time
from dataclasses import replace
from pathlib import Path

import torch

from utils.experiments import clips, runs
from utils.experiments.config import load_experiment
from utils.features.cache import MEMORY
from utils.features.extraction import clip_features

torch.set_num_threads(1)  # as a run does
folder = Path(sys.argv[1])
MEMORY.store_backend.location = str(folder / "cache")
experiment = load_experiment("configs/audiomnist_cnn.yaml")
experiment = replace(experiment, training=replace(experiment.training, epochs=1))
started = time.perf_counter()
split = clips.split_clips(experiment)
parts = (split.train, split.validation, *split.tests.values())
shapes = [clip_features(part, experiment.features)[0][-1].shape for part in parts]
seconds = time.perf_counter() - started
result = runs.run(experiment, 0, store=folder / "results", runs=folder / "runs")
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
measured = {"shapes": shapes, "seconds": seconds, "peak_mb": peak}
print(json.dumps(measured | {name: result[name] for name in ("train_clips", "train_seconds", "metrics")}))
"""


@pytest.fixture
def corpus(tmp_path):
    """The layout of AudioMNIST. Repetitions are one synthetic clip at different levels, lengths and noises."""
    voices, folder = tmp_path / "voices", tmp_path / "audiomnist"
    speak(voices, speakers=SPEAKERS, repetitions=1, sample_rate=RATE, progress=False)
    for index in range(SPEAKERS):
        speaker, random = f"{index + 1:02d}", np.random.default_rng(index)
        (folder / speaker).mkdir(parents=True)
        for digit in range(10):
            spoken, _ = soundfile.read(voices / f"{digit}_espeak{index:03d}_0.wav", dtype="float32")
            noise = random.standard_normal((REPETITIONS, len(spoken)), dtype=np.float32)
            clips = random.uniform(0.3, 0.9, (REPETITIONS, 1)).astype(np.float32) * spoken + 0.003 * noise
            for repetition, samples in enumerate(clips):
                end = len(samples) - random.integers(RATE // 50)
                soundfile.write(folder / speaker / f"{digit}_{speaker}_{repetition}.wav", samples[:end], RATE, "PCM_16")
    facts = {"accent": "none", "age": "30", "gender": "female", "native speaker": "no", "origin": "a computer"}
    particulars = {f"{index + 1:02d}": facts for index in range(SPEAKERS)}
    (folder / audiomnist.PARTICULARS).write_text(json.dumps(particulars))
    yield folder
    shutil.rmtree(tmp_path)  # 3 GB, which pytest would keep for three runs


@pytest.mark.slow
def test_training_on_thirty_thousand_clips(corpus, tmp_path):
    report = audiomnist.fetch(corpus)
    assert (report.clips, report.speakers, report.notes) == (30_000, 60, ())

    environment = os.environ | {"SDR_SPEECH_DATA": str(corpus.parent)}
    command = [sys.executable, "-c", TRAINING, tmp_path]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    print({name: value for name, value in measured.items() if name != "metrics"})  # shown with pytest -s
    assert measured["shapes"] == [[101, 64]] * 3
    assert measured["train_clips"] == 24_000 and measured["metrics"]["TEST"]["n"] == 3000
    assert measured["metrics"]["TEST"]["accuracy"] > 0.5  # chance is 0.1
    assert measured["seconds"] <= SECONDS
    assert measured["peak_mb"] <= MEGABYTES
