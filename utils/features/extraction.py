"""Features of many clips: computed in batches, cached on disk."""

from collections.abc import Sequence
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import torch
from torch import Tensor

from utils.data import audio
from utils.data.audio import read_audio
from utils.features import log_mel
from utils.features.cache import cached
from utils.features.log_mel import FeatureConfig, LogMel, pad, valid_frames
from utils.files import sha256
from utils.progress import Progress

CHUNK = 3000  # clips that one job computes


@torch.inference_mode()
def extract(waveforms: Sequence[np.ndarray | Tensor], config: FeatureConfig, batch_size: int = 96) -> list[Tensor]:
    """Features of waveforms (samples,): a list of (frames, mels), in the same order.

    Clips of similar length go through the front end together, so that little of a batch is padding.
    """
    front_end = LogMel(config)
    order = np.argsort([len(waveform) for waveform in waveforms], kind="stable")
    features: list[Tensor] = [torch.empty(0)] * len(waveforms)
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        batch, frames = front_end(*pad([torch.as_tensor(waveforms[i]) for i in chosen]))
        clips = batch[valid_frames(frames, batch.shape[1])].split(frames.tolist())
        for i, clip in zip(chosen, clips, strict=True):
            features[i] = clip
    return features


def file_features(paths: Sequence[str | Path], config: FeatureConfig) -> list[Tensor]:
    """Features of audio files: a list of (frames, mels), in the same order.

    They are cached in `.cache/` by the contents of the files, the config and the code that computes them: after a
    change to any of these they are computed again. Raises `InputError` for a file that cannot be read (see
    `read_audio`).
    """
    code = [sha256(file) for file in (log_mel.__file__, audio.__file__, __file__)]
    frames, lengths = _compute(config, [sha256(path) for path in paths], code, paths)
    return list(torch.from_numpy(frames).split(lengths))


@cached(ignore="paths")
def _compute(
    config: FeatureConfig, contents: list[str], code: list[str], paths: Sequence[str | Path]
) -> tuple[np.ndarray, list[int]]:
    """The frames of all clips, concatenated (frames, mels), and the number of frames of each clip.

    The chunks are computed in parallel. Their size is fixed, so the result does not depend on the number of cores.
    """
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    parallel = joblib.Parallel(n_jobs=min(joblib.cpu_count(), len(chunks)), return_as="generator")
    computed = parallel(joblib.delayed(_compute_chunk)(config, chunk) for chunk in chunks)
    bar = Progress(computed, "features", len(chunks), unit_scale=CHUNK, unit="clip", shown=len(chunks) > 1)
    frames, lengths = zip(*bar, strict=True)
    return np.concatenate(frames), [length for chunk in lengths for length in chunk]


def _compute_chunk(config: FeatureConfig, paths: Sequence[str | Path]) -> tuple[np.ndarray, list[int]]:
    clips = extract([read_audio(path, config.sample_rate) for path in paths], config)
    return torch.cat(clips).numpy(), [len(clip) for clip in clips]


def clip_features(clips: pd.DataFrame, config: FeatureConfig) -> tuple[list[Tensor], Tensor]:
    """The features of a metadata table's clips, a list of (frames, mels), and their labels (clips,)."""
    return file_features(clips["path"].tolist(), config), label_tensor(clips)


def label_tensor(clips: pd.DataFrame) -> Tensor:
    """The labels of a metadata table's clips (clips,)."""
    return torch.tensor(clips["label"].to_numpy())
