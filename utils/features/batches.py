"""Spoken digits as a PyTorch dataset, and the batches that a model learns from."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler
from tqdm.auto import tqdm

from utils.data.audio import read_audio
from utils.features.extraction import clip_features, label_tensor
from utils.features.log_mel import FeatureConfig, pad

Batch = tuple[tuple[Tensor, Tensor], Tensor, Tensor]  # (padded inputs, their lengths), labels, speakers


class SpokenDigits(Dataset):
    """The clips of a metadata table as waveforms in memory (3,000 clips of the course take 40 MB).

    Args:
        clips: rows of `utils.data.metadata.read_metadata`, all or some.
        sample_rate: of the waveforms, in Hz.
        progress: show a progress bar while reading.

    Attributes:
        waveforms: a list of (samples,).
        labels: (clips,) digits.
        speakers: (clips,) a number for each speaker, in the order of their names.
    """

    def __init__(self, clips: pd.DataFrame, sample_rate: int, progress: bool = False):
        # only a terminal shows the bar, and it is gone before a bad clip's one line of error comes
        hidden = None if progress else True
        with tqdm(clips["path"], "reading clips", unit=" clips", leave=False, disable=hidden) as paths:
            self.waveforms = [torch.from_numpy(read_audio(path, sample_rate)) for path in paths]
        self.labels, self.speakers = label_tensor(clips), _speakers(clips)

    def __len__(self) -> int:
        return len(self.waveforms)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        return self.waveforms[index], self.labels[index], self.speakers[index]

    def batch(self, examples: list[tuple[Tensor, Tensor, Tensor]]) -> Batch:
        """Some clips as one batch; behind a clip's end lies silence."""
        return _batch(examples, padding=0.0)


class Spectrograms(Dataset):
    """The clips of a metadata table as features, for training without augmentation: computed once, then read.

    They lie in the cache on disk (see `file_features`), of which only what a batch needs comes into memory.

    Args:
        clips: as for `SpokenDigits`.
        config: of the features.

    Attributes:
        features: a list of (frames, mels).
        labels, speakers: as for `SpokenDigits`.
    """

    def __init__(self, clips: pd.DataFrame, config: FeatureConfig):
        self.features, self.labels = clip_features(clips, config)
        self.speakers, self.floor = _speakers(clips), config.floor

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        return self.features[index], self.labels[index], self.speakers[index]

    def batch(self, examples: list[tuple[Tensor, Tensor, Tensor]]) -> Batch:
        """Some clips as one batch; behind a clip's end lies the floor."""
        return _batch(examples, self.floor)


class BucketSampler(Sampler[list[int]]):
    """Batches of clips of similar length, so that little of a batch is padding, in random order.

    Clips are shuffled, cut into buckets of so many batches, sorted by length within their bucket and cut into
    batches; then the batches are shuffled. An incomplete last batch is left out; the next epoch draws anew. With
    buckets of one batch, any clips come together.
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
    """Batches in an order from `generator`; see `BucketSampler`.

    A batch is ((inputs (batch, longest, ...), lengths (batch,)), labels (batch,), speakers (batch,)).
    """
    inputs = dataset.waveforms if isinstance(dataset, SpokenDigits) else dataset.features
    sampler = BucketSampler([len(clip) for clip in inputs], batch_size, generator, bucket)
    return DataLoader(dataset, batch_sampler=sampler, collate_fn=dataset.batch, generator=generator)


def _batch(examples: list[tuple[Tensor, Tensor, Tensor]], padding: float) -> Batch:
    inputs, labels, speakers = zip(*examples, strict=True)
    return pad(inputs, padding), torch.stack(labels), torch.stack(speakers)


def _speakers(clips: pd.DataFrame) -> Tensor:
    """A number for each clip's speaker, in the order of their names."""
    return torch.tensor(np.unique(clips["speaker"], return_inverse=True)[1])
