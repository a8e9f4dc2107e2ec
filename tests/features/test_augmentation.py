"""Each augmentation does to a sound what it says, measured as one would measure it in a laboratory."""

import math

import numpy as np
import pytest
import torch
from conftest import RATE, level_of, pitch_of, speak, tone
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.features import augmentation as aug
from utils.features.augmentation import AugmentationConfig, Augmenter
from utils.features.extraction import extract
from utils.features.log_mel import FeatureConfig, LogMel, pad

FLOOR = -3.0


def batch(*clips: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    return pad([torch.from_numpy(clip) for clip in clips])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def own(clips: tuple[torch.Tensor, torch.Tensor], i: int) -> torch.Tensor:
    """Clip i of a batch without its padding."""
    return clips[0][i, : int(clips[1][i])]


def sketch(frames: list[int], mels: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Made features whose values all differ, the floor behind each clip's end."""
    clips = [torch.arange(n * mels).view(n, mels) / 7 + i for i, n in enumerate(frames)]
    return pad(clips, FLOOR)


# Waveforms


def test_gain_is_in_decibels():
    before = batch(tone(500, 0.3), tone(500, 0.2))
    after = aug.change_gain(*before, torch.tensor([6.0, -13.0]))
    for i, gain in enumerate((6.0, -13.0)):
        assert level_of(own(after, i)) - level_of(own(before, i)) == pytest.approx(gain, abs=0.01)


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
def test_noise_has_the_stated_ratio_over_each_clip(slope):
    before = batch(tone(500, 0.6), 0.01 * tone(500, 0.3), speak(3, "ada", 0))
    ratios = torch.tensor([20.0, 0.0, -5.0])
    after = aug.add_noise(*before, ratios, torch.full((3,), slope), seeded())
    for i, ratio in enumerate(ratios.tolist()):
        signal, noise = own(before, i), own(after, i) - own(before, i)
        measured = 10 * math.log10(signal.square().sum() / noise.square().sum())
        assert measured == pytest.approx(ratio, abs=0.5)
    assert torch.equal(after[1], before[1])
    assert not after[0][1, before[1][1] :].any()  # nothing behind a clip's end


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
def test_noise_has_the_stated_colour(slope):
    """Its power falls by 3 dB an octave for each unit of `slope`."""
    silence = batch(*[np.full(16000, 1e-3, np.float32)] * 8)
    noise = aug.add_noise(*silence, torch.zeros(8), torch.full((8,), slope), seeded())[0] - 1e-3
    power = torch.fft.rfft(noise).abs().square().mean(0)
    hertz = torch.arange(len(power)) * RATE / 16000
    octave = [power[(hertz >= low) & (hertz < 1.2 * low)].mean().log10().item() * 10 for low in (200, 400, 800, 1600)]
    np.testing.assert_allclose(np.diff(octave), -10 * math.log10(2) * slope, atol=0.7)


def test_equalise_gives_each_frequency_its_bands_gain():
    """Six bands at 0, 800, 1600, 2400, 3200 and 4000 Hz, linear in between."""
    bands = torch.tensor([0.0, 0.0, -9.0, 0.0, 6.0, 0.0])
    for hertz, gain in ((400, 0.0), (800, 0.0), (1600, -9.0), (1200, -4.5), (3200, 6.0), (2800, 3.0)):
        before = batch(tone(hertz, 0.5), tone(hertz, 0.3))
        after = aug.equalise(*before, torch.stack([bands, -bands]))
        for i, sign in enumerate((1, -1)):
            change = level_of(own(after, i)) - level_of(own(before, i))
            assert change == pytest.approx(sign * gain, abs=0.2), hertz
        assert not after[0][1, before[1][1] :].any()


@pytest.mark.parametrize("factor", [0.75, 0.9, 1.0, 1.2, 1.4])
def test_speed_divides_duration_and_multiplies_pitch(factor):
    before = batch(tone(500, 0.4), tone(800, 0.3))
    after = aug.change_speed(*before, torch.tensor([factor, 1.1]))
    for i, (hertz, seconds, speed) in enumerate([(500, 0.4, factor), (800, 0.3, 1.1)]):
        assert after[1][i].item() == pytest.approx(seconds * RATE / speed, abs=2)
        assert pitch_of(own(after, i)) == pytest.approx(hertz * speed, rel=0.01)
        assert level_of(own(after, i)) == pytest.approx(level_of(own(before, i)), abs=0.1)
    assert after[0].shape[1] == after[1].max()


@pytest.mark.parametrize("factor", [0.8, 0.9, 1.0, 1.2])
def test_pitch_keeps_duration_and_moves_a_tone(factor):
    before = batch(tone(500, 0.4), tone(800, 0.3))
    after = aug.shift_pitch(*before, torch.tensor([factor, 1.1]))
    assert torch.equal(after[1], before[1]) and after[0].shape == before[0].shape
    for i, expected in enumerate((500 * factor, 800 * 1.1)):
        assert pitch_of(own(after, i)) == pytest.approx(expected, rel=0.01)
        assert level_of(own(after, i)) == pytest.approx(level_of(own(before, i)), abs=1.0)
    assert not after[0][1, before[1][1] :].any()


# Spectrograms


@pytest.mark.parametrize("factor", [0.6, 0.8, 1.0, 1.25, 1.9])
def test_stretch_multiplies_duration_and_keeps_a_frames_place(factor):
    before = sketch([20, 11])
    after = aug.stretch_time(*before, torch.tensor([factor, 1.5]), FLOOR)
    for i, (frames, stretch) in enumerate(((20, factor), (11, 1.5))):
        assert after[1][i].item() == pytest.approx(frames * stretch, abs=0.51)
        clip, longer = own(before, i), own(after, i)
        position = (torch.arange(len(longer)) / stretch).clamp_max(frames - 1)
        # the clip is a ramp in time, so its value at a fractional frame lies on the ramp
        expected = clip[:1] + position.unsqueeze(1) * (clip[1] - clip[0])
        torch.testing.assert_close(longer, expected, atol=1e-4, rtol=0)
        assert (after[0][i, int(after[1][i]) :] == FLOOR).all()


WIDE = FeatureConfig(
    sample_rate=8000, n_fft=512, win_length=400, hop_length=80, n_mels=40, f_min=60.0, f_max=4000.0, trim_db=None
)


@given(hertz=st.floats(500, 2400), factor=st.floats(0.8, 1.25))
@settings(max_examples=40)
def test_warp_moves_a_tone_to_where_the_warped_frequency_lies(hertz, factor):
    """2,400 Hz times 1.25 is still below the knee, where the warp is linear."""
    here, there = extract([tone(hertz, 0.2), tone(hertz * factor, 0.2)], WIDE)
    warped, frames = aug.warp_frequency(here.unsqueeze(0), torch.tensor([len(here)]), torch.tensor([factor]), WIDE)
    assert warped.shape == (1, *here.shape) and frames.item() == len(here)
    band = warped[0, 10].argmax().item()
    assert abs(band - there[10].argmax().item()) <= 1
    assert warped[0, 10].max() == pytest.approx(here[10].max(), abs=1.0)


def test_warp_by_one_changes_nothing_and_keeps_the_highest_band():
    clips = [speak(digit, "ada", 0) for digit in (2, 7)]
    features, frames = pad(extract(clips, WIDE), WIDE.floor)
    same, _ = aug.warp_frequency(features, frames, torch.ones(2), WIDE)
    torch.testing.assert_close(same, features, atol=2e-3, rtol=0)
    ramp = torch.arange(40.0).expand(1, 5, 40)
    for factor in (0.8, 1.2):
        warped, _ = aug.warp_frequency(ramp, torch.tensor([5]), torch.tensor([factor]), WIDE)
        assert warped[0, 0, -1] == pytest.approx(39, abs=1)  # without the bend it were 34 by a factor of 1.2
        assert (warped[0, 0].diff() > -1e-3).all()  # bands keep their order


def test_time_warp_keeps_the_ends_and_the_order_and_hurries_where_it_is_told_to():
    features, frames = sketch([33])
    warped, after = aug.warp_time(features, frames, torch.tensor([[2.0, 2, 1, 1, 1]]))
    assert torch.equal(after, frames)
    torch.testing.assert_close(warped[0, [0, -1]], features[0, [0, -1]])
    assert (warped[0].diff(dim=0) > 0).all()  # the sketch rises from frame to frame
    assert warped[0, 8, 0] > features[0, 8, 0] + 1  # further on than at an even speed
    even, _ = aug.warp_time(features, frames, torch.full((1, 5), 0.7))
    torch.testing.assert_close(even, features)


def test_band_shift_moves_each_region_by_its_own_number_of_bands():
    mels = 21
    features = torch.arange(float(mels)).expand(1, 4, mels)  # a band's value is its number
    shifted, _ = aug.shift_bands(features, torch.tensor([4]), torch.tensor([[2.0, -1.0, 0.0]]))
    torch.testing.assert_close(shifted[0, 0, [0, 10, 20]], torch.tensor([0.0, 11, 20]))  # at the edge, the edge
    torch.testing.assert_close(shifted[0, 0, 5], torch.tensor(4.5))  # between the first two knots
    unmoved, _ = aug.shift_bands(features, torch.tensor([4]), torch.zeros(1, 3))
    assert torch.equal(unmoved, features)


def test_tint_adds_its_gain_and_leaves_silence_alone():
    features = torch.full((1, 9, 5), 2.0)
    features[0, 4] = FLOOR
    gains = torch.tensor([[[0.0, 1.0, 2.0], [4.0, 5.0, 6.0]]])  # rises over bands, and by 4 over the clip
    tinted, _ = aug.tint(features, torch.tensor([9]), gains, FLOOR)
    torch.testing.assert_close(tinted[0, 0], torch.tensor([2.0, 2.5, 3, 3.5, 4]))
    torch.testing.assert_close(tinted[0, 8], torch.tensor([6.0, 6.5, 7, 7.5, 8]))
    torch.testing.assert_close(tinted[0, 2], tinted[0, 0] + 1)
    assert (tinted[0, 4] == FLOOR).all()
    lowered, _ = aug.tint(features, torch.tensor([9]), -10 * torch.ones(1, 2, 2), FLOOR)
    assert (lowered == FLOOR).all()


def test_gate_mutes_what_is_not_above_a_bands_own_noise_by_the_margin():
    features = torch.full((2, 30, 3), -1.0)  # a room's noise
    features[:, 10:20] = 2.0  # a word
    features[:, 20:25, 0] = -0.4  # a weak consonant, in one band
    gated, frames = aug.gate(features, torch.tensor([30, 30]), torch.tensor([0.5, 0.7]), FLOOR)
    assert frames.tolist() == [30, 30]
    assert torch.equal(gated[:, 10:20], features[:, 10:20])
    assert (gated[:, :10] == FLOOR).all() and (gated[:, 25:] == FLOOR).all()
    assert (gated[0, 20:25, 0] == features[0, 20:25, 0]).all()  # 0.6 above the noise
    assert (gated[1, 20:25, 0] == FLOOR).all()


def test_noise_comes_to_its_share_of_the_clips():
    waveforms, lengths = batch(*[tone(500, 0.2)] * 400)
    config = AugmentationConfig(noise_snr_db=(0.0, 0.0), noise_probability=0.25)
    features, frames = Augmenter(config, FEATURES, seeded())(waveforms, lengths)
    clean, _ = LogMel(FEATURES)(waveforms, lengths)
    same_as_clean = sum(torch.equal(clip, other) for clip, other in zip(features, clean, strict=True))
    assert 0.68 < same_as_clean / 400 < 0.82


def test_jitter_cuts_frames_off_or_adds_silence():
    before = sketch([20, 12, 9])
    start, end = torch.tensor([2, -3, 0]), torch.tensor([1, 2, -4])
    features, frames = aug.jitter_ends(*before, start, end, FLOOR)
    silence = torch.full((4, 6), FLOOR)
    expected = [
        own(before, 0)[2:19],
        torch.cat([silence[:3], own(before, 1)[:10]]),
        torch.cat([own(before, 2), silence]),
    ]
    assert frames.tolist() == [17, 13, 13]
    for i, clip in enumerate(expected):
        assert torch.equal(own((features, frames), i), clip)
        assert (features[i, len(clip) :] == FLOOR).all()


def test_jitter_never_cuts_more_than_half_a_clip():
    before = sketch([8])
    features, frames = aug.jitter_ends(*before, torch.tensor([50]), torch.tensor([50]), FLOOR)
    assert frames.item() >= 4
    assert torch.equal(own((features, frames), 0), own(before, 0)[2:6])


def test_masks_set_exactly_the_stated_part_to_the_floor():
    before = sketch([20, 12])
    start, width = torch.tensor([2.0, 0.0]), torch.tensor([3.0, 1.0])
    expected = before[0].clone()
    expected[0, :, 2:5] = FLOOR
    expected[1, :, 0] = FLOOR
    features, frames = aug.mask_bands(*before, start, width, FLOOR)
    assert torch.equal(features, expected) and torch.equal(frames, before[1])

    expected = before[0].clone()
    expected[0, 2:5] = FLOOR
    expected[1, 0] = FLOOR
    features, frames = aug.mask_frames(*before, start, width, FLOOR)
    assert torch.equal(features, expected) and torch.equal(frames, before[1])


def test_a_mask_of_no_width_changes_nothing():
    before = sketch([5])
    for mask in (aug.mask_bands, aug.mask_frames):
        assert torch.equal(mask(*before, torch.tensor([2.0]), torch.tensor([0.0]), FLOOR)[0], before[0])


OF_ONE_CLIP = {
    "gain": lambda w, n: aug.change_gain(w, n, torch.full((len(w),), -7.0)),
    "equalise": lambda w, n: aug.equalise(w, n, torch.tensor([[6.0, -6, 3, 0, -4, 6]]).expand(len(w), -1)),
    "speed": lambda w, n: aug.change_speed(w, n, torch.full((len(w),), 1.2)),
    "pitch": lambda w, n: aug.shift_pitch(w, n, torch.full((len(w),), 0.9)),
}
# of the clip's largest sample; the filter's bands, and the vocoder's phases at a clip's end, see the batch's length
ALLOWED = {"gain": 0.0, "equalise": 0.02, "speed": 1e-5, "pitch": 0.05}


@pytest.mark.parametrize("name", OF_ONE_CLIP)
def test_a_waveforms_change_does_not_depend_on_its_batch(name):
    change, clip = OF_ONE_CLIP[name], speak(5, "ada", 0)
    alone = own(change(*batch(clip)), 0)
    together = own(change(*batch(clip, tone(700, 1.1))), 0)
    assert len(alone) == len(together)
    assert (alone - together).abs().max() <= ALLOWED[name] * alone.abs().max()


SPECTRAL = {
    "stretch": lambda x, n: aug.stretch_time(x, n, torch.full((len(x),), 1.3), FLOOR),
    "warp": lambda x, n: aug.warp_frequency(x, n, torch.full((len(x),), 0.9), FeatureConfig(n_mels=6)),
    "warp time": lambda x, n: aug.warp_time(x, n, torch.tensor([[0.5, 1.5, 1, 0.7, 1]]).expand(len(x), -1)),
    "shift bands": lambda x, n: aug.shift_bands(x, n, torch.tensor([[1.0, -0.5, 2]]).expand(len(x), -1)),
    "gate": lambda x, n: aug.gate(x, n, torch.full((len(x),), 0.5), FLOOR),
    "tint": lambda x, n: aug.tint(x, n, torch.arange(6.0).view(1, 2, 3).expand(len(x), -1, -1), FLOOR),
    "jitter": lambda x, n: aug.jitter_ends(x, n, torch.full((len(x),), -2), torch.full((len(x),), 1), FLOOR),
}


@pytest.mark.parametrize("name", SPECTRAL)
def test_a_spectrograms_change_does_not_depend_on_its_batch(name):
    change, (features, frames) = SPECTRAL[name], sketch([9, 25])
    alone = own(change(features[:1, :9], frames[:1]), 0)
    together = change(features, frames)
    torch.testing.assert_close(own(together, 0), alone, atol=1e-6, rtol=0)
    torch.testing.assert_close(together[0][0, len(alone) :], torch.full_like(together[0][0, len(alone) :], FLOOR))


# All of them

FEATURES = FeatureConfig(n_mels=20, range_db=45.0, mean_db=-30.0, std_db=15.0)  # the floor is -1
CLIPS = batch(*(speak(digit, "ada", 0) for digit in range(6)))
EACH = {
    "gain_db": (-10.0, -3.0),
    "noise_snr_db": (0.0, 10.0),
    "equaliser_db": 12.0,
    "speed": (0.8, 1.3),
    "pitch": (0.8, 1.3),
    "stretch": (0.7, 1.4),
    "warp": (0.8, 1.2),
    "warp_time": 0.6,
    "shift_bands": 3.0,
    "spectral_tilt_db": 8.0,
    "noise_gate_db": 12.0,
    "jitter_frames": 4,
    "mask_bands": 6,
    "mask_frames": 6,
}


def augmented(seed: int, features: FeatureConfig = FEATURES, **used) -> tuple[torch.Tensor, torch.Tensor]:
    return Augmenter(AugmentationConfig(**used), features, seeded(seed))(*CLIPS)


def same(one, other) -> bool:
    return torch.equal(one[0], other[0]) and torch.equal(one[1], other[1])


NOTHING = dict.fromkeys(EACH)  # every one off, whatever the defaults


def test_without_augmentations_the_augmenter_is_the_front_end():
    assert same(augmented(0, **NOTHING), LogMel(FEATURES)(*CLIPS))


@pytest.mark.parametrize("name", EACH)
def test_each_augmentation_is_used_seeded_and_leaves_the_floor_behind_a_clip(name):
    features = FeatureConfig(n_mels=20, range_db=45.0, mean_db=-30.0, std_db=15.0, level="none")  # or gain is undone
    used = NOTHING | {name: EACH[name]}
    first = augmented(0, features, **used)
    assert not same(first, augmented(0, features, **NOTHING))
    assert same(first, augmented(0, features, **used))
    assert not same(first, augmented(1, features, **used))
    for clip, frames in zip(*first, strict=True):
        assert (clip[frames:] == features.floor).all()
        assert clip.min() >= features.floor - 1e-5 and clip.isfinite().all()
    assert first[1].min() >= 1 and first[1].max() == first[0].shape[1]


def test_all_together_are_seeded_and_leave_the_floor_behind_a_clip():
    first = augmented(3, **EACH)
    assert same(first, augmented(3, **EACH)) and not same(first, augmented(4, **EACH))
    for clip, frames in zip(*first, strict=True):
        assert (clip[frames:] == FEATURES.floor).all() and clip.isfinite().all()


def test_strengths_stay_within_their_range_and_differ_from_clip_to_clip():
    features = FeatureConfig(n_mels=20, level="none", range_db=150.0, mean_db=0.0, std_db=1.0, trim_db=None)
    plain = augmented(0, features, **NOTHING)
    louder = augmented(0, features, **NOTHING | {"gain_db": (-10.0, -3.0)})
    gains = torch.tensor([(own(louder, i) - own(plain, i)).median() for i in range(len(CLIPS[0]))])
    assert (gains > -10.01).all() and (gains < -2.99).all()
    assert gains.std() > 0.5


def test_the_augmenter_draws_from_its_own_generator_alone():
    torch.manual_seed(1)
    first = augmented(0, **EACH)
    torch.manual_seed(2)
    assert same(first, augmented(0, **EACH))


def test_frame_masks_leave_most_of_a_clip():
    masked = augmented(0, **NOTHING | {"mask_frames": 100})
    plain = augmented(0, **NOTHING)
    for i in range(len(CLIPS[0])):
        lost = ((own(masked, i) == FEATURES.floor).all(1) & ~(own(plain, i) == FEATURES.floor).all(1)).sum()
        assert lost <= 2 * (len(own(plain, i)) // 5)


@pytest.mark.parametrize("name", ["speed", "pitch", "stretch", "warp"])
@pytest.mark.parametrize("wrong", [(0.1, 1.0), (1.2, 0.9), (1.0, 3.0)])
def test_a_range_that_makes_no_sense_is_refused(name, wrong):
    with pytest.raises(ValueError, match=name):
        AugmentationConfig(**{name: wrong})
