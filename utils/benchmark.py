"""Speed and memory, measured on this machine: ours beside what a user would write instead, in one run."""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import librosa
import numpy as np
import torch
from tqdm.auto import tqdm

from utils.config import load_experiment
from utils.dataset import SpokenDigits
from utils.features import FeatureConfig, extract
from utils.metadata import COURSE_METADATA, PROJECT, read_metadata

ROUNDS = 5


def measure(progress: bool = True) -> dict[str, float]:
    """Measure on the course's clips, on one core but for the training.

    Returns:
        `features_over_librosa`: how many times as fast `extract` is as librosa clip by clip, both from the same
        waveforms to the same trimmed log-mel spectrograms, the median of rounds that take turns;
        `features_seconds` for all clips; `train_seconds_cnn1d` for one seed of configs/cnn1d.yaml on the course's
        split, as the command `sdr train` takes them in all, and `train_peak_mb`, that process' largest memory.
    """
    torch.set_num_threads(1)
    experiment = load_experiment(PROJECT / "configs" / "cnn1d.yaml")
    waveforms = SpokenDigits(read_metadata(COURSE_METADATA), experiment.features.sample_rate).waveforms
    arrays = [waveform.numpy() for waveform in waveforms]
    ours, theirs = [], []
    for turn in tqdm(range(ROUNDS + 1), "features", leave=False, disable=not progress):
        seconds = _time(lambda: extract(waveforms, experiment.features))
        librosa_seconds = _time(lambda: [librosa_features(waveform, experiment.features) for waveform in arrays])
        if turn:  # the first round warms up
            ours.append(seconds)
            theirs.append(librosa_seconds)
    train_seconds, train_peak_mb = _train("configs/cnn1d.yaml")
    return {
        "features_over_librosa": statistics.median(t / o for o, t in zip(ours, theirs, strict=True)),
        "features_seconds": statistics.median(ours),
        "train_seconds_cnn1d": train_seconds,
        "train_peak_mb": train_peak_mb,
    }


def librosa_features(waveform: np.ndarray, config: FeatureConfig) -> np.ndarray:
    """What `utils.features.LogMel` computes, as one writes it with librosa for one clip: (frames, mels)."""
    mel = librosa.feature.melspectrogram(
        y=waveform,
        sr=config.sample_rate,
        n_fft=config.n_fft,
        hop_length=config.hop_length,
        win_length=config.win_length,
        n_mels=config.n_mels,
        fmin=config.f_min,
        fmax=config.f_max,
        pad_mode="constant",
    )
    if config.trim_db is not None:
        energy_db = librosa.power_to_db(mel.sum(0), ref=np.max, top_db=None)
        loud = np.flatnonzero(energy_db > -config.trim_db)
        mel = mel[:, loud[0] : loud[-1] + 1]
    level_db = librosa.power_to_db(mel, ref=np.max if config.level == "clip_max" else 1.0, amin=1e-20, top_db=None)
    return (np.maximum(level_db, -config.range_db).T - config.mean_db) / config.std_db


def _time(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _train(config: str) -> tuple[float, float]:
    """Seconds and peak memory (MB) of `sdr train` in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-c", "from utils.cli import main; main()", "train", config, "--store", folder]
        started = time.perf_counter()
        subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)
        seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return seconds, peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)  # macOS counts bytes, Linux kilobytes
