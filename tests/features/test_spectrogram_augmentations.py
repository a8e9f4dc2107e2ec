"""Spectrogram augmentations do what their names say, measured on tones, ramps and synthetic spectrograms."""

import librosa
import numpy as np
import pytest
import torch
from augmentation_helpers import FLOOR, ramps, unpadded
from conftest import speak, tone
from hypothesis import given, settings
from hypothesis import strategies as st

from utils.features.extraction import extract
from utils.features.log_mel import FeatureConfig, pad
from utils.features.spectrogram_augmentations import (
    jitter_ends,
    mask_bands,
    mask_frames,
    noise_gate,
    shift_bands,
    stretch_time,
    tilt_spectrum,
    warp_frequency,
    warp_time,
)


@pytest.mark.parametrize("factor", [0.6, 0.8, 1.0, 1.25, 1.9])
def test_stretch_multiplies_the_duration_and_interpolates_between_frames(factor):
    before = ramps([20, 11])
    after = stretch_time(*before, torch.tensor([factor, 1.5]), FLOOR)
    for i, (frames, stretch) in enumerate(((20, factor), (11, 1.5))):
        assert after[1][i].item() == pytest.approx(frames * stretch, abs=0.51)
        clip, longer = unpadded(before, i), unpadded(after, i)
        position = (torch.arange(len(longer)) / stretch).clamp_max(frames - 1)
        # the clip is a ramp over time, so its values between frames lie on the ramp
        expected = clip[:1] + position.unsqueeze(1) * (clip[1] - clip[0])
        torch.testing.assert_close(longer, expected, atol=1e-4, rtol=0)
        assert (after[0][i, int(after[1][i]) :] == FLOOR).all()


WIDE = FeatureConfig(
    sample_rate=8000, n_fft=512, win_length=400, hop_length=80, n_mels=40, f_min=60.0, f_max=4000.0, trim_db=None
)


@given(hertz=st.floats(500, 2400), factor=st.floats(0.8, 1.25))
@settings(max_examples=40)
def test_warp_frequency_moves_a_tone_to_the_warped_frequency(hertz, factor):
    """All frequencies here are below the knee, where the warp is linear."""
    here, there = extract([tone(hertz, 0.2), tone(hertz * factor, 0.2)], WIDE)
    warped, frames = warp_frequency(here.unsqueeze(0), torch.tensor([len(here)]), torch.tensor([factor]), WIDE)
    assert warped.shape == (1, *here.shape) and frames.item() == len(here)
    band = warped[0, 10].argmax().item()
    assert abs(band - there[10].argmax().item()) <= 1
    assert warped[0, 10].max() == pytest.approx(here[10].max(), abs=1.0)


def test_warp_frequency_by_one_changes_nothing():
    clips = [speak(digit, "ada", 0) for digit in (2, 7)]
    features, frames = pad(extract(clips, WIDE), WIDE.floor)
    same, _ = warp_frequency(features, frames, torch.ones(2), WIDE)
    torch.testing.assert_close(same, features, atol=2e-3, rtol=0)


@pytest.mark.parametrize("factor", [0.8, 1.2])
def test_warp_frequency_follows_the_formula_of_its_paper(factor):
    """Jaitly and Hinton 2013, eq. 1, with an F_hi of four fifths of the highest frequency."""
    hertz = librosa.mel_frequencies(42, fmin=60, fmax=4000)[1:-1]
    knee = 0.8 * 4000 * min(factor, 1)
    bent = 4000 - (4000 - knee) / (4000 - knee / factor) * (4000 - hertz)
    expected = np.where(hertz <= knee / factor, factor * hertz, bent)
    bands = torch.arange(40.0)  # the value of a band is its number
    warped, _ = warp_frequency(bands.expand(1, 5, 40), torch.tensor([5]), torch.tensor([factor]), WIDE)
    inside = (expected > hertz[1]) & (expected < hertz[-1])  # below, there is no band to interpolate from
    np.testing.assert_allclose(np.interp(expected, hertz, warped[0, 0])[inside], bands[inside], atol=0.1)


def test_warp_time_keeps_the_ends_and_the_order_and_is_faster_where_the_rate_is_higher():
    features, frames = ramps([33])
    warped, after = warp_time(features, frames, torch.tensor([[2.0, 2, 1, 1, 1]]))
    assert torch.equal(after, frames)
    torch.testing.assert_close(warped[0, [0, -1]], features[0, [0, -1]])
    assert (warped[0].diff(dim=0) > 0).all()  # the ramp rises from frame to frame
    assert warped[0, 8, 0] > features[0, 8, 0] + 1  # further along than at a constant rate
    even, _ = warp_time(features, frames, torch.full((1, 5), 0.7))
    torch.testing.assert_close(even, features)


def test_shift_bands_moves_each_region_by_its_own_shift():
    mels = 21
    features = torch.arange(float(mels)).expand(1, 4, mels)  # the value of a band is its number
    shifted, _ = shift_bands(features, torch.tensor([4]), torch.tensor([[2.0, -1.0, 0.0]]))
    torch.testing.assert_close(shifted[0, 0, [0, 10, 20]], torch.tensor([0.0, 11, 20]))  # the lowest band repeats
    torch.testing.assert_close(shifted[0, 0, 5], torch.tensor(4.5))  # between the first two knots
    unmoved, _ = shift_bands(features, torch.tensor([4]), torch.zeros(1, 3))
    assert torch.equal(unmoved, features)


def test_spectral_tilt_adds_its_gain_and_leaves_silence_alone():
    features = torch.full((1, 9, 5), 2.0)
    features[0, 4] = FLOOR
    gains = torch.tensor([[[0.0, 1.0, 2.0], [4.0, 5.0, 6.0]]])  # rises over the bands, and by 4 over the clip
    tilted, _ = tilt_spectrum(features, torch.tensor([9]), gains, FLOOR)
    torch.testing.assert_close(tilted[0, 0], torch.tensor([2.0, 2.5, 3, 3.5, 4]))
    torch.testing.assert_close(tilted[0, 8], torch.tensor([6.0, 6.5, 7, 7.5, 8]))
    torch.testing.assert_close(tilted[0, 2], tilted[0, 0] + 1)
    assert (tilted[0, 4] == FLOOR).all()
    lowered, _ = tilt_spectrum(features, torch.tensor([9]), -10 * torch.ones(1, 2, 2), FLOOR)
    assert (lowered == FLOOR).all()


def test_noise_gate_removes_what_is_not_above_the_noise_of_its_band_by_the_margin():
    features = torch.full((2, 30, 3), -1.0)  # room noise
    features[:, :2] = -2.0  # fewer frames than a tenth are quieter
    features[:, 5:20] = 2.0  # a word
    features[:, 20:28] = -0.4  # a weak consonant
    gated, frames = noise_gate(features, torch.tensor([30, 30]), torch.tensor([0.5, 0.7]), FLOOR)
    assert frames.tolist() == [30, 30]
    assert torch.equal(gated[:, 5:20], features[:, 5:20])
    assert (gated[:, :5] == FLOOR).all() and (gated[:, 28:] == FLOOR).all()
    assert (gated[0, 20:28] == features[0, 20:28]).all()  # 0.6 above the noise
    assert (gated[1, 20:28] == FLOOR).all()


def test_jitter_cuts_frames_or_adds_silence():
    before = ramps([20, 12, 9])
    start, end = torch.tensor([2, -3, 0]), torch.tensor([1, 2, -4])
    features, frames = jitter_ends(*before, start, end, FLOOR)
    silence = torch.full((4, 6), FLOOR)
    expected = [
        unpadded(before, 0)[2:19],
        torch.cat([silence[:3], unpadded(before, 1)[:10]]),
        torch.cat([unpadded(before, 2), silence]),
    ]
    assert frames.tolist() == [17, 13, 13]
    for i, clip in enumerate(expected):
        assert torch.equal(unpadded((features, frames), i), clip)
        assert (features[i, len(clip) :] == FLOOR).all()


def test_jitter_never_cuts_more_than_half_a_clip():
    before = ramps([8])
    features, frames = jitter_ends(*before, torch.tensor([50]), torch.tensor([50]), FLOOR)
    assert frames.item() >= 4
    assert torch.equal(unpadded((features, frames), 0), unpadded(before, 0)[2:6])


def test_masks_set_exactly_the_requested_part_to_the_floor():
    before = ramps([20, 12])
    start, width = torch.tensor([2.0, 0.0]), torch.tensor([3.0, 1.0])
    expected = before[0].clone()
    expected[0, :, 2:5] = FLOOR
    expected[1, :, 0] = FLOOR
    features, frames = mask_bands(*before, start, width, FLOOR)
    assert torch.equal(features, expected) and torch.equal(frames, before[1])

    expected = before[0].clone()
    expected[0, 2:5] = FLOOR
    expected[1, 0] = FLOOR
    features, frames = mask_frames(*before, start, width, FLOOR)
    assert torch.equal(features, expected) and torch.equal(frames, before[1])


def test_a_mask_of_width_zero_changes_nothing():
    before = ramps([5])
    for mask in (mask_bands, mask_frames):
        assert torch.equal(mask(*before, torch.tensor([2.0]), torch.tensor([0.0]), FLOOR)[0], before[0])


CHANGES = {
    "stretch": lambda x, n: stretch_time(x, n, torch.full((len(x),), 1.3), FLOOR),
    "warp frequency": lambda x, n: warp_frequency(x, n, torch.full((len(x),), 0.9), FeatureConfig(n_mels=6)),
    "warp time": lambda x, n: warp_time(x, n, torch.tensor([[0.5, 1.5, 1, 0.7, 1]]).expand(len(x), -1)),
    "shift bands": lambda x, n: shift_bands(x, n, torch.tensor([[1.0, -0.5, 2]]).expand(len(x), -1)),
    "noise gate": lambda x, n: noise_gate(x, n, torch.full((len(x),), 0.5), FLOOR),
    "spectral tilt": lambda x, n: tilt_spectrum(x, n, torch.arange(6.0).view(1, 2, 3).expand(len(x), -1, -1), FLOOR),
    "jitter": lambda x, n: jitter_ends(x, n, torch.full((len(x),), -2), torch.full((len(x),), 1), FLOOR),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_spectrogram_is_changed_in_the_same_way_in_any_batch(name):
    change, (features, frames) = CHANGES[name], ramps([9, 25])
    alone = unpadded(change(features[:1, :9], frames[:1]), 0)
    together = change(features, frames)
    torch.testing.assert_close(unpadded(together, 0), alone, atol=1e-6, rtol=0)
    torch.testing.assert_close(together[0][0, len(alone) :], torch.full_like(together[0][0, len(alone) :], FLOOR))
