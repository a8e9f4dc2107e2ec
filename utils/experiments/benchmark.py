"""Speed and memory, measured on this machine: ours beside what a user would write instead, in one run."""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from utils import InputError
from utils.data.metadata import read_metadata
from utils.experiments.checkpoints import DEFAULT, load_recogniser
from utils.experiments.config import load_experiment
from utils.experiments.exporting import export_checkpoint
from utils.features.batches import Spectrograms, SpokenDigits, training_batches
from utils.features.extraction import extract
from utils.features.log_mel import FeatureConfig
from utils.paths import COURSE_METADATA, PROJECT

ROUNDS = 5
ANSWERS = 200  # clips that are answered one by one


def measure(progress: bool = True) -> dict[str, float]:
    """Measure on the course's clips, on one core but for the training.

    Returns:
        `features_over_librosa`: how many times as fast `extract` is as librosa clip by clip, both from the same
        waveforms to the same trimmed log-mel spectrograms, the median of rounds that take turns;
        `features_seconds` for all clips; `train_seconds_cnn1d` for one seed of configs/cnn1d.yaml on the course's
        split, as the command `sdr train` takes them in all, and `train_peak_mb`, that process' largest memory;
        `epoch_over_plain_loader`: how many times as many clips a second our batches of features give in an epoch as
        PyTorch's default loader, which opens a file of librosa's features for each clip; without any training;
        `onnx_ms`, the median from a clip's waveform to the answer of the project's own model by onnxruntime, and
        `onnx_over_librosa_torch`, how many times as long librosa's features and the model in PyTorch take, clip by
        clip; `int8_bytes`, the size of the model's file in 8-bit integers.
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
        "epoch_over_plain_loader": _epochs(progress),
        **_answers(arrays[:: len(arrays) // ANSWERS], progress),
        "features_seconds": statistics.median(ours),
        "train_seconds_cnn1d": train_seconds,
        "train_peak_mb": train_peak_mb,
    }


class Files(Dataset):
    """What one writes first: a NumPy file a clip, opened when its turn comes."""

    def __init__(self, paths: list[Path], labels: list[int]):
        self.paths, self.labels = paths, labels

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return np.load(self.paths[index]), self.labels[index]


def _epochs(progress: bool) -> float:
    """The median over rounds of our clips a second over theirs, on the features of configs/audiomnist_cnn.yaml."""
    config = load_experiment(PROJECT / "configs" / "audiomnist_cnn.yaml").features
    clips = read_metadata(COURSE_METADATA)
    waveforms = SpokenDigits(clips, config.sample_rate).waveforms
    ours = training_batches(Spectrograms(clips, config), 64, torch.Generator())
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{index}.npy" for index in range(len(clips))]
        bar = tqdm(zip(paths, waveforms, strict=True), "features as files", len(clips), False, disable=not progress)
        for path, waveform in bar:
            second = librosa.util.fix_length(waveform.numpy(), size=config.sample_rate)
            np.save(path, librosa_features(second, config).astype(np.float32))
        theirs = DataLoader(Files(paths, clips["label"].tolist()), batch_size=64, shuffle=True)
        ratios = [_time(lambda: list(theirs)) / _time(lambda: list(ours)) for _ in range(ROUNDS + 1)]
    return statistics.median(ratios[1:])  # the first round warms up


def _answers(clips: list[np.ndarray], progress: bool) -> dict[str, float]:
    """One clip at a time: the exported model, and librosa with PyTorch, in rounds that take turns."""
    try:
        import onnxruntime
    except ImportError:
        raise InputError("measuring the exported model needs onnxruntime: `pip install onnxruntime`") from None
    recogniser = load_recogniser()
    model, config = recogniser.model.eval(), recogniser.features
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        path = export_checkpoint(DEFAULT, Path(folder) / "model.onnx")
        session = onnxruntime.InferenceSession(path, options)
        int8_bytes = export_checkpoint(DEFAULT, Path(folder) / "int8.onnx", int8=True).stat().st_size

    @torch.inference_mode()
    def straightforward(clip: np.ndarray) -> Tensor:
        features = torch.from_numpy(librosa_features(clip, config).astype(np.float32)).unsqueeze(0)
        return model(features, torch.tensor([features.shape[1]])).softmax(1)

    ours, theirs = [], []
    for turn in tqdm(range(ROUNDS + 1), "answers", leave=False, disable=not progress):
        seconds = [_time(lambda clip=clip: session.run(None, {"waveform": clip[None]})) for clip in clips]
        longer = [_time(lambda clip=clip: straightforward(clip)) for clip in clips]
        if turn:  # the first round warms up
            ours += seconds
            theirs += longer
    ours, theirs = 1000 * statistics.median(ours), 1000 * statistics.median(theirs)
    return {"onnx_over_librosa_torch": theirs / ours, "onnx_ms": ours, "int8_bytes": int8_bytes}


def librosa_features(waveform: np.ndarray, config: FeatureConfig) -> np.ndarray:
    """What `utils.features.log_mel.LogMel` computes, as one writes it with librosa for one clip: (frames, mels)."""
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
    with tempfile.TemporaryDirectory() as folder:  # nothing of the user's own runs is resumed, or replaced
        command = [sys.executable, "-c", "from utils.commands.main import main; main()", "train", config]
        started = time.perf_counter()
        done = subprocess.run(
            [*command, "--store", folder, "--runs", folder], cwd=PROJECT, capture_output=True, text=True
        )
        seconds = time.perf_counter() - started
    if done.returncode:
        raise InputError(f"training {config} failed: {done.stderr.strip().splitlines()[-1]}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return seconds, peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)  # macOS counts bytes, Linux kilobytes
