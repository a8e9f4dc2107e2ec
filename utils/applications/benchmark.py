"""Speed and memory on this machine, next to those of the straightforward code that a user would write instead."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import librosa
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from utils import InputError
from utils.data.metadata import read_metadata
from utils.experiments.checkpoints import DEFAULT, load_recogniser
from utils.experiments.config import load_experiment
from utils.experiments.exporting import export_checkpoint
from utils.features.batches import Spectrograms, SpokenDigits, training_batches
from utils.features.extraction import extract
from utils.features.log_mel import FeatureConfig
from utils.paths import CONFIGS, COURSE_METADATA, PROJECT
from utils.progress import Progress

ROUNDS = 5
PART = 5  # librosa, which takes clips one by one, gets one in so many
ANSWERS = 200  # clips that are recognised one by one


def measure() -> dict[str, float]:
    """Measure on the course's clips. Everything except the training runs on one core.

    Returns:
        A dictionary of

        - `features_over_librosa`: the speed of `extract` relative to librosa clip by clip. Both compute the same
          trimmed log-mel spectrograms; this is the median over alternating rounds. librosa has a fifth of the clips.
        - `epoch_over_plain_loader`: clips per second in an epoch of our batches of features, relative to PyTorch's
          default loader, which opens a file of librosa features for each clip. Neither includes training.
        - `onnx_over_librosa_torch`: the time per clip of librosa features and the model in PyTorch, relative to the
          exported model in onnxruntime.
        - `onnx_ms`: the median time from the waveform of a clip to the prediction of the exported model.
        - `int8_bytes`: the size of the exported model with 8-bit integers.
        - `features_seconds`: the time of `extract` for all clips.
        - `train_seconds_cnn1d`: the total time of `sdr train` for one seed of configs/cnn1d.yaml.
        - `train_peak_mb`: the peak memory of that process.

    Raises:
        InputError: the system is Windows, onnxruntime is not installed, or the training fails.
    """
    if sys.platform == "win32":
        raise InputError("the benchmark does not run on Windows, where Python cannot measure the memory of a training")
    torch.set_num_threads(1)
    experiment = load_experiment(CONFIGS / "cnn1d.yaml")
    waveforms = SpokenDigits(read_metadata(COURSE_METADATA), experiment.features.sample_rate).waveforms
    arrays = [waveform.numpy() for waveform in waveforms]
    ours, theirs = [], []
    sample = arrays[::PART]
    for turn in Progress(range(ROUNDS + 1), "features"):
        seconds = _time(lambda: extract(waveforms, experiment.features))
        librosa_seconds = _time(lambda: [librosa_features(waveform, experiment.features) for waveform in sample])
        if turn:  # the first round is a warm-up
            ours.append(seconds)
            theirs.append(librosa_seconds * sum(map(len, arrays)) / sum(map(len, sample)))
    train_seconds, train_peak_mb = _train("configs/cnn1d.yaml")
    return {
        "features_over_librosa": statistics.median(t / o for o, t in zip(ours, theirs, strict=True)),
        "epoch_over_plain_loader": _epochs(),
        **_answers(arrays[:: len(arrays) // ANSWERS]),
        "features_seconds": statistics.median(ours),
        "train_seconds_cnn1d": train_seconds,
        "train_peak_mb": train_peak_mb,
    }


class Files(Dataset):
    """The straightforward data set: one NumPy file per clip, opened when it is needed."""

    def __init__(self, paths: list[Path], labels: list[int]):
        self.paths, self.labels = paths, labels

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        return np.load(self.paths[index]), self.labels[index]


def _epochs() -> float:
    """`epoch_over_plain_loader`, on the features of configs/audiomnist_cnn.yaml."""
    config = load_experiment(CONFIGS / "audiomnist_cnn.yaml").features
    clips = read_metadata(COURSE_METADATA)
    waveforms = SpokenDigits(clips, config.sample_rate).waveforms
    ours = training_batches(Spectrograms(clips, config), 64, torch.Generator())
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{index}.npy" for index in range(len(clips))]
        bar = Progress(zip(paths, waveforms, strict=True), "features as files", len(clips))
        for path, waveform in bar:
            second = librosa.util.fix_length(waveform.numpy(), size=config.sample_rate)
            np.save(path, librosa_features(second, config).astype(np.float32))
        theirs = DataLoader(Files(paths, clips["label"].tolist()), batch_size=64, shuffle=True)
        ratios = [_time(lambda: list(theirs)) / _time(lambda: list(ours)) for _ in range(ROUNDS + 1)]
    return statistics.median(ratios[1:])  # the first round is a warm-up


def _answers(clips: list[np.ndarray]) -> dict[str, float]:
    """One clip at a time: the exported model, and librosa with PyTorch, in alternating rounds."""
    try:
        import onnxruntime
    except ImportError:
        raise InputError("measuring the exported model requires onnxruntime: `pip install onnxruntime`") from None
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
    for turn in Progress(range(ROUNDS + 1), "predictions"):
        seconds = [_time(partial(session.run, None, {"waveform": clip[None]})) for clip in clips]
        longer = [_time(partial(straightforward, clip)) for clip in clips]
        if turn:  # the first round is a warm-up
            ours += seconds
            theirs += longer
    onnx_ms, librosa_ms = 1000 * statistics.median(ours), 1000 * statistics.median(theirs)
    return {"onnx_over_librosa_torch": librosa_ms / onnx_ms, "onnx_ms": onnx_ms, "int8_bytes": int8_bytes}


def librosa_features(waveform: np.ndarray, config: FeatureConfig) -> np.ndarray:
    """The features of `utils.features.log_mel.LogMel` for one clip, computed with librosa: (frames, mels)."""
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
    """Seconds and peak memory (MB) of `sdr train` in a separate process."""
    import resource  # Windows does not have it

    with tempfile.TemporaryDirectory() as folder:  # so that no run of the user is resumed or replaced
        command = [sys.executable, "-c", "from utils.commands.main import main; main()", "train", config]
        started = time.perf_counter()
        # what it says on standard error is its progress, or why it failed
        done = subprocess.run([*command, "--store", folder, "--runs", folder], cwd=PROJECT, stdout=subprocess.DEVNULL)
        seconds = time.perf_counter() - started
    if done.returncode:
        raise InputError(f"training {config} failed")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return seconds, peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)  # macOS counts bytes, Linux kilobytes
