"""Batches hold the right clips, in random order and with little padding."""

import numpy as np
import pytest
import torch

from utils.features.augmentation import AugmentationConfig
from utils.features.batches import BucketSampler, Spectrograms, SpokenDigits, training_batches
from utils.features.log_mel import FeatureConfig
from utils.training.objectives import Supervised, TrainingConfig

FEATURES = FeatureConfig(n_mels=20)


@pytest.fixture(scope="module")
def dataset(corpus) -> SpokenDigits:
    return SpokenDigits(corpus.clips.query("split == 'TRAIN'"), FEATURES.sample_rate)


def test_batches_are_full_have_no_clip_twice_and_little_padding(dataset):
    lengths = [len(waveform) for waveform in dataset.waveforms]
    sampler = BucketSampler(lengths, 7, torch.Generator().manual_seed(0), bucket=8)
    epochs = [list(sampler) for _ in range(2)]
    for batches in epochs:
        assert len(batches) == len(sampler) == 80 // 7
        assert all(len(batch) == 7 for batch in batches)
        drawn = [i for batch in batches for i in batch]
        assert len(set(drawn)) == 77
    assert epochs[0] != epochs[1]

    def spread(batches):
        return np.mean([np.ptp([lengths[i] for i in batch]) for batch in batches])

    assert spread(epochs[0]) < 0.5 * np.ptp(lengths)


def test_a_batch_has_the_waveform_and_the_label_of_each_clip(dataset):
    found = 0
    for (waveforms, lengths), labels, _ in training_batches(dataset, 16, torch.Generator().manual_seed(0)):
        for waveform, length, label in zip(waveforms, lengths, labels, strict=True):
            matching = [i for i, clip in enumerate(dataset.waveforms) if torch.equal(clip, waveform[:length])]
            assert [dataset.labels[i].item() for i in matching] == [label.item()]
            assert not waveform[length:].any()
            found += 1
    assert found == 80


def test_fewer_clips_than_the_batch_size_make_one_batch(corpus, dataset):
    few = SpokenDigits(corpus.clips.head(5), FEATURES.sample_rate)
    ((waveforms, _), labels, _) = next(iter(training_batches(few, 64, torch.Generator())))
    assert len(waveforms) == len(labels) == 5


def test_cached_spectrograms_equal_those_computed_in_batches(corpus):
    """Training without augmentation reads the features that an augmenter with nothing turned on computes."""
    clips = corpus.clips.query("split == 'TRAIN'")
    waveforms, spectrograms = SpokenDigits(clips, FEATURES.sample_rate), Spectrograms(clips, FEATURES)
    both = [
        Supervised(kind, FEATURES, AugmentationConfig(), TrainingConfig(batch_size=16))
        for kind in (waveforms, spectrograms)
    ]
    by_label = []
    for objective in both:
        objective.generator.manual_seed(0)
        seen = {}
        for inputs, labels, speakers in objective.batches:
            features, frames = objective.augment(*inputs)
            for clip, n, *key in zip(features, frames, labels.tolist(), speakers.tolist(), strict=True):
                seen.setdefault(tuple(key), []).append(clip[:n])
        by_label.append({key: sorted(own, key=lambda clip: (len(clip), clip.sum())) for key, own in seen.items()})
    assert by_label[0].keys() == by_label[1].keys()
    for key, own in by_label[0].items():
        for ours, theirs in zip(own, by_label[1][key], strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
