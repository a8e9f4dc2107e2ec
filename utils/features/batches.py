"""Spoken digits as PyTorch datasets, and the batches that a model is trained on."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from utils.data.audio import read_audio
from utils.features.extraction import clip_features, label_tensor
from utils.features.log_mel import FeatureConfig, Padded, pad
from utils.progress import Progress

Batch = tuple[Padded, Tensor, Tensor]  # inputs, labels (batch,), speakers (batch,)


class SpokenDigits(Dataset):
    """The clips of a metadata table as waveforms in memory (the 3,000 clips of the course take 40 MB).

    Args:
        clips: rows of the table that `utils.data.metadata.read_metadata` returns.
        sample_rate: of the waveforms, in Hz.
        progress: whether to show a progress bar while reading.
        noises: recordings of background noise (samples,) at that rate, for the augmentation `room`.

    Attributes:
        waveforms: a list of (samples,).
        noises: a list of (samples,).
        labels: (clips,) digits.
        speakers: (clips,) speakers, numbered in alphabetical order.
    """

    def __init__(
        self, clips: pd.DataFrame, sample_rate: int, progress: bool = False, noises: Sequence[np.ndarray] = ()
    ):
        # the bar is cleared before an error message about a bad clip is printed
        with Progress(clips["path"], "reading clips", unit="clip", shown=progress) as paths:
            self.waveforms = [torch.from_numpy(read_audio(path, sample_rate)) for path in paths]
        self.noises = [torch.from_numpy(noise) for noise in noises]
        self.labels, self.speakers = label_tensor(clips), _speaker_numbers(clips)

    def __len__(self) -> int:
        return len(self.waveforms)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        return self.waveforms[index], self.labels[index], self.speakers[index]

    def batch(self, examples: list[tuple[Tensor, Tensor, Tensor]]) -> Batch:
        """Collate clips into one batch, padded with silence."""
        return _collate(examples, padding=0.0)


class Spectrograms(Dataset):
    """The clips of a metadata table as features, for training without augmentation.

    They are computed once and then read from the cache on disk (see `file_features`); only the clips of the current
    batch are loaded into memory.

    Args:
        clips: as for `SpokenDigits`.
        config: the settings of the front end.

    Attributes:
        features: a list of (frames, mels).
        labels, speakers: as for `SpokenDigits`.
    """

    def __init__(self, clips: pd.DataFrame, config: FeatureConfig):
        self.features, self.labels = clip_features(clips, config)
        self.speakers, self.floor = _speaker_numbers(clips), config.floor

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        return self.features[index], self.labels[index], self.speakers[index]

    def batch(self, examples: list[tuple[Tensor, Tensor, Tensor]]) -> Batch:
        """Collate clips into one batch, padded with the floor."""
        return _collate(examples, self.floor)


class BucketSampler(Sampler[list[int]]):
    """Batches of clips of similar length, in random order: little of a batch is padding.

    The clips are shuffled and split into buckets of `bucket` batches each. Within a bucket they are sorted by length
    and split into batches; then the batches are shuffled. An incomplete last batch is dropped, and the next epoch
    shuffles again. With `bucket=1`, a batch is a random sample, whatever the lengths.
    """

    def __init__(self, lengths: list[int], batch_size: int, generator: torch.Generator, bucket: int):
        self.lengths, self.generator, self.bucket = torch.tensor(lengths), generator, bucket
        self.batch_size = min(batch_size, len(lengths))

    def __len__(self) -> int:
        return len(self.lengths) // self.batch_size

    def __iter__(self) -> Iterator[list[int]]:
        shuffled = torch.randperm(len(self.lengths), generator=self.generator)
        buckets = shuffled[: len(self) * self.batch_size].split(self.bucket * self.batch_size)
        by_length = torch.cat([bucket[self.lengths[bucket].argsort(stable=True)] for bucket in buckets])
        batches = by_length.split(self.batch_size)
        for i in torch.randperm(len(batches), generator=self.generator):
            yield batches[i].tolist()


def training_batches(
    dataset: SpokenDigits | Spectrograms, batch_size: int, generator: torch.Generator, bucket: int = 8
) -> DataLoader:
    """Batches in a random order drawn from `generator` (see `BucketSampler`).

    A batch is ((inputs (batch, longest, ...), lengths (batch,)), labels (batch,), speakers (batch,)).
    """
    inputs = dataset.waveforms if isinstance(dataset, SpokenDigits) else dataset.features
    sampler = BucketSampler([len(clip) for clip in inputs], batch_size, generator, bucket)
    return DataLoader(dataset, batch_sampler=sampler, collate_fn=dataset.batch, generator=generator)


def _collate(examples: list[tuple[Tensor, Tensor, Tensor]], padding: float) -> Batch:
    inputs, labels, speakers = zip(*examples, strict=True)
    return pad(inputs, padding), torch.stack(labels), torch.stack(speakers)


def _speaker_numbers(clips: pd.DataFrame) -> Tensor:
    """The speaker of each clip (clips,), numbered in alphabetical order."""
    return torch.tensor(np.unique(clips["speaker"], return_inverse=True)[1])
