"""The augmenter draws a strength for each clip and applies every augmentation, reproducibly."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from augmentation_helpers import batch, seeded, unpadded
from conftest import speak

from utils.features import augmentation
from utils.features.augmentation import AugmentationConfig, Augmenter
from utils.features.log_mel import FeatureConfig, LogMel

FEATURES = FeatureConfig(n_mels=20, range_db=45.0, mean_db=-30.0, std_db=15.0)  # the floor is -1
CLIPS = batch(*(speak(digit, "ada", 0) for digit in range(6)))
EVERY = {
    "gain_db": (-10.0, -3.0),
    "noise_snr_db": (0.0, 10.0),
    "equaliser_db": 12.0,
    "speed": (0.8, 1.3),
    "pitch": (0.8, 1.3),
    "stretch": (0.7, 1.4),
    "vtlp": (0.8, 1.2),
    "warp_time": 0.6,
    "shift_bands": 3.0,
    "spectral_tilt_db": 8.0,
    "noise_gate_db": 12.0,
    "fricatives_db": 30.0,
    "jitter_frames": 4,
    "mask_bands": 6,
    "mask_frames": 6,
    "room": 1.0,
    "clicks": 1.0,
    "offset": 1.0,
    "clipping": 1.0,
    "telephone": 1.0,
}


def augmented(seed: int, features: FeatureConfig = FEATURES, **used) -> tuple[torch.Tensor, torch.Tensor]:
    return Augmenter(AugmentationConfig(**used), features, seeded(seed))(*CLIPS)


def same(one, other) -> bool:
    return torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])


PROBABILITIES = ("room", "clicks", "offset", "clipping", "telephone")
NOTHING = {name: 0.0 if name in PROBABILITIES else None for name in EVERY}  # all turned off, whatever the defaults


def test_without_augmentation_the_augmenter_is_the_front_end():
    assert same(augmented(0, **NOTHING), LogMel(FEATURES)(*CLIPS))


@pytest.mark.parametrize("name", EVERY)
def test_each_augmentation_changes_the_clips_is_seeded_and_keeps_the_padding_at_the_floor(name):
    features = replace(FEATURES, level="none")  # "clip_max" would undo the gain
    used = NOTHING | {name: EVERY[name]}
    first = augmented(0, features, **used)
    assert not same(first, augmented(0, features, **NOTHING))
    assert same(first, augmented(0, features, **used))
    if name != "telephone":  # all telephone lines are the same
        assert not same(first, augmented(1, features, **used))
    for clip, frames in zip(*first, strict=True):
        assert (clip[frames:] == features.floor).all()
        assert clip.min() >= features.floor - 1e-5 and clip.isfinite().all()
    assert first[1].min() >= 1 and first[1].max() == first[0].shape[1]


def test_all_augmentations_together_are_seeded_and_keep_the_padding_at_the_floor():
    first = augmented(3, **EVERY)
    assert same(first, augmented(3, **EVERY)) and not same(first, augmented(4, **EVERY))
    for clip, frames in zip(*first, strict=True):
        assert (clip[frames:] == FEATURES.floor).all() and clip.isfinite().all()


def test_strengths_stay_within_their_range_and_differ_between_clips():
    features = FeatureConfig(n_mels=20, level="none", range_db=150.0, mean_db=0.0, std_db=1.0, trim_db=None)
    plain = augmented(0, features, **NOTHING)
    louder = augmented(0, features, **NOTHING | {"gain_db": (-10.0, -3.0)})
    gains = torch.tensor([(unpadded(louder, i) - unpadded(plain, i)).median() for i in range(len(CLIPS[0]))])
    assert (gains > -10.01).all() and (gains < -2.99).all()
    assert gains.std() > 0.5


def test_the_augmenter_uses_its_own_generator_only():
    torch.manual_seed(1)
    first = augmented(0, **EVERY)
    torch.manual_seed(2)
    assert same(first, augmented(0, **EVERY))


def test_frame_masks_cover_at_most_a_fifth_of_a_clip_each():
    masked = augmented(0, **NOTHING | {"mask_frames": 100})
    plain = augmented(0, **NOTHING)
    for i in range(len(CLIPS[0])):
        silent, silent_before = ((unpadded(clips, i) == FEATURES.floor).all(1) for clips in (masked, plain))
        assert (silent & ~silent_before).sum() <= 2 * (len(unpadded(plain, i)) // 5)


def test_rooms_are_seeded_replace_the_noise_and_keep_the_padding_at_the_floor():
    for seed in range(6):  # the kind of noise differs
        first = augmented(seed, **NOTHING | {"room": 1.0})
        assert not same(first, augmented(seed, **NOTHING))
        assert same(first, augmented(seed, **NOTHING | {"room": 1.0, "noise_snr_db": (0.0, 10.0)}))
        assert not same(first, augmented(seed + 1, **NOTHING | {"room": 1.0}))
        for clip, frames in zip(*first, strict=True):
            assert (clip[frames:] == FEATURES.floor).all() and clip.isfinite().all()


@pytest.mark.parametrize("name", ["speed", "pitch", "stretch", "vtlp"])
@pytest.mark.parametrize("invalid", [(0.1, 1.0), (1.2, 0.9), (1.0, 3.0)])
def test_an_invalid_range_is_rejected(name, invalid):
    with pytest.raises(ValueError, match=name):
        AugmentationConfig(**{name: invalid})


@pytest.mark.parametrize(
    ("used", "share"),
    [
        ({"noise_snr_db": (0.0, 0.0), "noise_probability": 0.25}, 0.25),
        ({"clicks": 0.25}, 0.25 * 7 / 8),  # of three clicks, each with a probability of one half
        ({"offset": 0.25}, 0.25),
        ({"clipping": 0.25}, 0.25),
        ({"telephone": 0.25}, 0.25),
        ({"noise_gate_db": 12.0}, 0.5),
        ({"fricatives_db": 30.0}, 0.5),
    ],
    ids=str,
)
def test_a_share_of_the_clips_is_changed(used, share):
    waveforms, lengths = batch(*[speak(3, "ada", 0)] * 400)
    untrimmed = replace(FEATURES, trim_db=None)  # so that all have equally many frames
    features, _ = Augmenter(AugmentationConfig(**used), untrimmed, seeded())(waveforms, lengths)
    clean, _ = LogMel(untrimmed)(waveforms, lengths)
    changed = [not torch.equal(clip, other) for clip, other in zip(features, clean, strict=True)]
    assert np.mean(changed) == pytest.approx(share, abs=0.07)


@pytest.mark.parametrize("name", ["spectral_tilt_db", "noise_gate_db"])
def test_strengths_in_decibels_do_not_depend_on_the_scale_of_the_features(name):
    scaled = replace(FEATURES, mean_db=-45.0, std_db=5.0)
    levels_db = [
        augmented(0, config, **NOTHING | {name: EVERY[name]})[0] * config.std_db + config.mean_db
        for config in (FEATURES, scaled)
    ]
    torch.testing.assert_close(*levels_db, atol=1e-3, rtol=0)


def test_a_room_surrounds_the_clips_of_a_batch_by_silence_of_equal_length():
    config = AugmentationConfig(room=1.0, room_seconds=0.5, room_snr_db=(100.0, 100.0))
    rooms, (clips, lengths) = Augmenter(config, FEATURES, seeded()), CLIPS
    silences = []
    for _ in range(30):
        placed, longer = rooms.change_waveforms(clips, lengths)
        (silence,) = (longer - lengths).unique().tolist()
        silences.append(silence)
        before = (placed.abs() > 0.1).int().argmax(1) - (clips.abs() > 0.1).int().argmax(1)
        assert (before <= silence).all() and (silence < 100 or before.float().std() > 10)
    assert min(silences) < 400 and 3600 < max(silences) <= 4000


NOISES = {"recorded_noise": 0.5, "coloured_noise": 0.25, "babble": 0.15, "bursts": 0.1}


def test_rooms_have_recorded_or_synthetic_noise_and_some_clips_reverberation(monkeypatch):
    made, levels = Counter(), []

    def spy(name):
        change = getattr(augmentation, name)
        monkeypatch.setattr(augmentation, name, lambda *given: made.update([name]) or change(*given))

    def reverberate(waveforms, lengths, decay, level, generator):
        levels.append(level)
        return waveforms, lengths

    for name in NOISES:
        spy(name)
    monkeypatch.setattr(augmentation, "reverberate", reverberate)
    rooms = Augmenter(AugmentationConfig(room=1.0), FEATURES, seeded(), [torch.randn(8000)])
    for _ in range(300):
        rooms.change_waveforms(*CLIPS)
    assert {name: made[name] / 300 for name in NOISES} == pytest.approx(NOISES, abs=0.07)
    level = torch.cat(levels)
    assert (level > 0).float().mean().item() == pytest.approx(rooms.REVERBERANT, abs=0.05)
    assert level[level > 0].min() >= rooms.LEVEL[0] and level.max() <= rooms.LEVEL[1]


@pytest.mark.parametrize(
    ("name", "value"),
    [("noise_probability", 0.0), ("noise_probability", 1.2), ("warp_time", 1.0), ("room", 1.5), ("room_seconds", -1.0)],
)
def test_an_invalid_strength_is_rejected(name, value):
    with pytest.raises(ValueError, match=name):
        AugmentationConfig(**{name: value})
