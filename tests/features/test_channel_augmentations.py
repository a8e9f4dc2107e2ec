"""What microphones and lines do to a clip: each effect changes what it says, by as much as it says."""

import numpy as np
import pytest
import torch
from augmentation_helpers import seeded
from conftest import RATE, tone

from utils.features import channel_augmentations as channel


def batch(*hertz: float, seconds: float = 0.3) -> tuple[torch.Tensor, torch.Tensor]:
    """Tones, each followed by 0.1 s of padding."""
    clips = torch.stack([torch.from_numpy(tone(each, seconds)) for each in hertz])
    return torch.nn.functional.pad(clips, (0, RATE // 10)), torch.full((len(hertz),), clips.shape[1])


def test_clicks_are_few_short_and_inside_the_clip():
    waveforms, lengths = batch(*[440.0] * 50)
    clicked, _ = channel.add_clicks(waveforms, lengths, seeded(), most=3)
    added = clicked - waveforms
    changed = (added.abs() > 1e-6).sum(1)
    assert changed.max() <= 3 * 4 and 0 < (changed > 0).float().mean() < 1
    assert not added[:, int(lengths[0]) :].any()


def test_a_click_is_up_or_down_and_as_high_as_the_peak_or_so():
    waveforms, lengths = batch(*[440.0] * 200)
    added = channel.add_clicks(waveforms, lengths, seeded(), most=1)[0] - waveforms
    assert (added.abs() > 1e-6).sum(1).unique().tolist() == [0, 1, 2, 3, 4]
    heights = added.sum(1)[added.any(1)] / (added.abs() > 1e-6).sum(1)[added.any(1)] / 0.5  # of a tone of that peak
    assert 0.3 <= heights.abs().min() < 0.4 and 1.4 < heights.abs().max() <= 1.5
    assert 0.3 < (heights > 0).float().mean() < 0.7


def test_the_offset_is_a_share_of_the_peak():
    waveforms, lengths = batch(440.0, 440.0)
    shifted, _ = channel.add_offset(waveforms, lengths, torch.tensor([0.3, -0.1]))
    difference = shifted - waveforms
    assert difference[0, : lengths[0]].numpy() == pytest.approx(0.3 * 0.5, abs=1e-3)
    assert difference[1, : lengths[1]].numpy() == pytest.approx(-0.1 * 0.5, abs=1e-3)
    assert not difference[:, int(lengths[0]) :].any()


def test_clipping_cuts_the_peaks_and_nothing_else():
    waveforms, lengths = batch(440.0, 440.0)
    clipped, _ = channel.clip_peaks(waveforms, lengths, torch.tensor([6.0, 12.0]))
    for row, decibels in enumerate((6.0, 12.0)):
        limit = float(waveforms[row].abs().max()) * 10 ** (-decibels / 20)
        assert clipped[row].abs().max() == pytest.approx(limit)
        quiet = waveforms[row].abs() < limit
        assert torch.equal(clipped[row][quiet], waveforms[row][quiet])


@pytest.mark.parametrize(("hertz", "passes"), [(100.0, False), (1000.0, True), (3000.0, True), (3700.0, False)])
def test_a_telephone_passes_its_band_alone(hertz, passes):
    waveforms, lengths = batch(hertz)
    called, _ = channel.telephone(waveforms + batch(1000.0)[0], lengths, RATE)
    spectrum = np.abs(np.fft.rfft(called[0].numpy()))
    frequency = np.fft.rfftfreq(called.shape[1], 1 / RATE)
    level = spectrum[np.abs(frequency - hertz) < 20].max() / spectrum[np.abs(frequency - 1000) < 20].max()
    assert (level > 0.4) == passes
    assert not called[:, int(lengths[0]) :].any()


def test_a_telephone_has_eight_bits():
    draw = torch.rand(1, 4000, generator=seeded()) - 0.5
    called, _ = channel.telephone(draw, torch.tensor([4000]), RATE)
    assert len(called.unique()) <= channel.MU_LAW_LEVELS
    softer, _ = channel.telephone(draw / 128, torch.tensor([4000]), RATE)
    assert torch.equal(128 * softer, called)  # the levels are those of the clip's peak
    silence, _ = channel.telephone(torch.zeros(1, 100), torch.tensor([100]), RATE)
    assert silence.isfinite().all()


def test_a_telephone_neither_cuts_the_end_of_a_clip_nor_moves_it_to_the_beginning():
    clip = torch.zeros(1, 4096)  # of a fast length: a transform that is no longer would wrap around
    clip[:, -500:] = torch.randn(500, generator=seeded())
    called, _ = channel.telephone(clip, torch.tensor([4096]), RATE)
    assert called[0, :3000].abs().max() < 0.02 and called[0, -50:].std() > 0.5


def test_a_moment_is_a_fricative_by_how_far_high_frequencies_exceed_low_ones():
    excess_db = torch.tensor([-3.0, 0.0, 6.0])
    gains = 10 ** (excess_db / 20).unsqueeze(1)
    sounds = torch.from_numpy(tone(500, 0.5)) + gains * torch.from_numpy(tone(3000, 0.5))
    weaker, _ = channel.weaken_fricatives(sounds, torch.full((3,), 4000), torch.full((3,), 10.0), RATE)
    loss_db = 20 * torch.log10(sounds[:, 500:3500].std(1) / weaker[:, 500:3500].std(1))
    torch.testing.assert_close(loss_db, 10 * torch.sigmoid(excess_db / 3), atol=0.05, rtol=0)


def test_fricatives_are_weakened_and_vowels_are_not():
    noise = torch.randn(4003, generator=torch.Generator().manual_seed(0))
    hiss = 0.1 * torch.diff(noise, 3)  # most of its energy is above 2 kHz
    waveforms = torch.cat([hiss, torch.from_numpy(tone(300.0, 0.5))]).expand(2, -1)
    lengths = torch.full((2,), waveforms.shape[1])
    weaker, same = channel.weaken_fricatives(waveforms, lengths, torch.tensor([20.0, 0.0]), RATE)
    assert torch.equal(same, lengths)
    torch.testing.assert_close(weaker[1], waveforms[1])
    loss_db = [
        20 * torch.log10(waveforms[0, part].std() / weaker[0, part].std())
        for part in (slice(200, 3800), slice(4200, 7800))
    ]
    assert 17 < loss_db[0] <= 20 and loss_db[1] < 0.5
