"""Waveform augmentations do what their names say, measured on tones and noise."""

import math

import numpy as np
import pytest
import torch
from augmentation_helpers import batch, seeded, unpadded
from conftest import RATE, level_of, pitch_of, speak, tone

from utils.features.waveform_augmentations import add_noise, change_gain, change_speed, equalise, shift_pitch


def test_gain_is_in_decibels():
    before = batch(tone(500, 0.3), tone(500, 0.2))
    after = change_gain(*before, torch.tensor([6.0, -13.0]))
    for i, gain in enumerate((6.0, -13.0)):
        assert level_of(unpadded(after, i)) - level_of(unpadded(before, i)) == pytest.approx(gain, abs=0.01)


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
def test_noise_has_the_requested_snr_over_each_clip(slope):
    before = batch(tone(500, 0.6), 0.01 * tone(500, 0.3), speak(3, "ada", 0))
    snrs = torch.tensor([20.0, 0.0, -5.0])
    after = add_noise(*before, snrs, torch.full((3,), slope), seeded())
    for i, snr in enumerate(snrs.tolist()):
        signal, noise = unpadded(before, i), unpadded(after, i) - unpadded(before, i)
        measured = 10 * math.log10(signal.square().sum() / noise.square().sum())
        assert measured == pytest.approx(snr, abs=0.5)
    assert torch.equal(after[1], before[1])
    assert not after[0][1, before[1][1] :].any()  # no noise in the padding


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
def test_noise_has_the_requested_colour(slope):
    """Its power falls by 3 dB per octave for each unit of `slope`."""
    silence = batch(*[np.full(16000, 1e-3, np.float32)] * 8)
    noise = add_noise(*silence, torch.zeros(8), torch.full((8,), slope), seeded())[0] - 1e-3
    power = torch.fft.rfft(noise).abs().square().mean(0)
    hertz = torch.arange(len(power)) * RATE / 16000
    octave = [power[(hertz >= low) & (hertz < 1.2 * low)].mean().log10().item() * 10 for low in (200, 400, 800, 1600)]
    np.testing.assert_allclose(np.diff(octave), -10 * math.log10(2) * slope, atol=0.7)


def test_equaliser_applies_the_gain_of_each_band():
    """Six bands at 0, 800, 1600, 2400, 3200 and 4000 Hz; gains are linear in between."""
    bands = torch.tensor([0.0, 0.0, -9.0, 0.0, 6.0, 0.0])
    for hertz, gain in ((400, 0.0), (800, 0.0), (1600, -9.0), (1200, -4.5), (3200, 6.0), (2800, 3.0)):
        before = batch(tone(hertz, 0.5), tone(hertz, 0.3))
        after = equalise(*before, torch.stack([bands, -bands]))
        for i, sign in enumerate((1, -1)):
            change = level_of(unpadded(after, i)) - level_of(unpadded(before, i))
            assert change == pytest.approx(sign * gain, abs=0.2), hertz
        assert not after[0][1, before[1][1] :].any()


def test_an_equaliser_does_not_move_the_end_of_a_clip_to_its_beginning():
    clip = torch.zeros(1, 4096)  # of a fast length: a transform that is no longer would wrap around
    clip[0, -1] = 1.0
    filtered, _ = equalise(clip, torch.tensor([4096]), torch.tensor([[9.0, -9.0, 9.0, -9.0, 9.0, -9.0]]))
    assert filtered[0, :3000].abs().max() < 0.01 < filtered[0, -1].abs()


@pytest.mark.parametrize("factor", [0.75, 0.9, 1.0, 1.2, 1.4])
def test_change_speed_divides_the_duration_and_multiplies_the_pitch(factor):
    before = batch(tone(500, 0.4), tone(800, 0.3))
    after = change_speed(*before, torch.tensor([factor, 1.1]))
    for i, (hertz, seconds, speed) in enumerate([(500, 0.4, factor), (800, 0.3, 1.1)]):
        assert after[1][i].item() == pytest.approx(seconds * RATE / speed, abs=2)
        assert pitch_of(unpadded(after, i)) == pytest.approx(hertz * speed, rel=0.01)
        assert level_of(unpadded(after, i)) == pytest.approx(level_of(unpadded(before, i)), abs=0.1)
    assert after[0].shape[1] == after[1].max()


@pytest.mark.parametrize("factor", [0.8, 0.9, 1.0, 1.2])
def test_shift_pitch_multiplies_the_pitch_and_keeps_the_duration(factor):
    before = batch(tone(500, 0.4), tone(800, 0.3))
    after = shift_pitch(*before, torch.tensor([factor, 1.1]))
    assert torch.equal(after[1], before[1]) and after[0].shape == before[0].shape
    for i, expected in enumerate((500 * factor, 800 * 1.1)):
        assert pitch_of(unpadded(after, i)) == pytest.approx(expected, rel=0.01)
        assert level_of(unpadded(after, i)) == pytest.approx(level_of(unpadded(before, i)), abs=1.0)
    assert not after[0][1, before[1][1] :].any()


CHANGES = {
    "gain": lambda w, n: change_gain(w, n, torch.full((len(w),), -7.0)),
    "equalise": lambda w, n: equalise(w, n, torch.tensor([[6.0, -6, 3, 0, -4, 6]]).expand(len(w), -1)),
    "speed": lambda w, n: change_speed(w, n, torch.full((len(w),), 1.2)),
    "pitch": lambda w, n: shift_pitch(w, n, torch.full((len(w),), 0.9)),
}
# relative to the clip's largest sample: the filter's resolution and the vocoder's phases depend on the padded length
TOLERANCES = {"gain": 0.0, "equalise": 0.02, "speed": 1e-5, "pitch": 0.05}


@pytest.mark.parametrize("name", CHANGES)
def test_a_waveform_is_changed_in_the_same_way_in_any_batch(name):
    change, clip = CHANGES[name], speak(5, "ada", 0)
    alone = unpadded(change(*batch(clip)), 0)
    together = unpadded(change(*batch(clip, tone(700, 1.1))), 0)
    assert len(alone) == len(together)
    assert (alone - together).abs().max() <= TOLERANCES[name] * alone.abs().max()
