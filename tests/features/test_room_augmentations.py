"""A word in a room: each effect changes what it says, by as much as it says, and nothing else."""

import numpy as np
import pytest
import torch
from augmentation_helpers import batch, seeded
from conftest import RATE, tone

from utils.features import room_augmentations as room


def tones(*seconds: float) -> tuple[torch.Tensor, torch.Tensor]:
    return batch(*(tone(440.0, each) for each in seconds))


def test_speech_power_counts_what_is_at_most_15_db_below_the_loudest():
    clip = np.concatenate([tone(440.0, 0.4, level=level) for level in (0.5, 0.25, 0.05)])
    waveforms, _ = batch(clip, np.pad(clip, 4000))
    expected = (0.5**2 + 0.25**2) / 2 / 2  # the mean of the first two sines
    assert room.speech_power(waveforms, RATE).tolist() == pytest.approx([expected] * 2, rel=0.05)


def test_surround_adds_silence_and_moves_the_clip():
    waveforms, lengths = tones(0.2, 0.3)
    before, after = torch.tensor([100, 0]), torch.tensor([50, 700])
    longer, new_lengths = room.surround(waveforms, lengths, before, after)
    assert new_lengths.tolist() == [1600 + 150, 2400 + 700]
    for row in range(2):
        start, length = int(before[row]), int(lengths[row])
        assert torch.equal(longer[row, start : start + length], waveforms[row, :length])
        assert longer[row].count_nonzero() == waveforms[row].count_nonzero()


def test_reverberation_is_a_convolution_with_a_decaying_response():
    """Of a click it is the response itself: the direct sound, and a tail that has lost 60 dB at its end."""
    click = torch.zeros(1, 4000)
    click[0, 10] = 1
    decay, level = torch.tensor([2000]), torch.tensor([0.2])
    reverberant, lengths = room.reverberate(click, torch.tensor([4000]), decay, level, seeded())
    tail = reverberant[0, 10:].numpy()
    assert tail[0] == pytest.approx(1, abs=1e-4) and lengths.tolist() == [4000]
    assert np.abs(tail[2001:]).max() < 1e-5 and reverberant[0, :10].abs().max() < 1e-5
    drop = 10 * np.log10(np.mean(tail[1:201] ** 2) / np.mean(tail[1001:1201] ** 2))
    assert drop == pytest.approx(30, abs=2.5)  # 60 dB within 2000 samples
    assert np.std(tail[1:201]) == pytest.approx(0.2 * 10 ** (-3 * 100 / 2000), rel=0.15)


def test_reverberation_after_the_end_of_a_clip_is_not_heard_at_its_beginning():
    click = torch.zeros(1, 4096)  # of a fast length: a transform that is no longer would wrap around
    click[0, -10] = 1
    reverberant, _ = room.reverberate(click, torch.tensor([4096]), torch.tensor([2000]), torch.tensor([0.2]), seeded())
    assert reverberant[0, :-10].abs().max() < 1e-5 and reverberant[0, -9:].abs().max() > 0.1


def test_no_reverberation_leaves_the_clip():
    waveforms, lengths = tones(0.2, 0.3)
    same, _ = room.reverberate(waveforms, lengths, torch.tensor([800, 900]), torch.zeros(2), seeded())
    torch.testing.assert_close(same, waveforms, atol=1e-5, rtol=0)


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0])
def test_noise_is_mixed_in_at_the_snr_over_speech(snr_db):
    waveforms, lengths = tones(0.5, 0.4)
    power = room.speech_power(waveforms, RATE)
    clips, lengths = room.surround(waveforms, lengths, torch.tensor([3000, 0]), torch.tensor([0, 3000]))
    noise = room.coloured_noise(2, clips.shape[1], seeded())
    noisy, _ = room.mix_in(clips, lengths, noise, torch.full((2,), snr_db), power)
    for row, length in enumerate(lengths.tolist()):
        added = (noisy - clips)[row, :length].square().mean()
        assert 10 * torch.log10(power[row] / added) == pytest.approx(snr_db, abs=0.1)
        assert not noisy[row, length:].any()


def test_coloured_noise_has_many_colours_and_half_of_it_swells():
    noise = room.coloured_noise(200, 8000, seeded())
    spectrum = torch.fft.rfft(noise).abs().square()
    tilt = 10 * torch.log10(spectrum[:, 50:500].mean(1) / spectrum[:, 2000:4000].mean(1))
    assert -7 < tilt.min() < -3 and 20 < tilt.max() < 27  # for slopes of -0.5 and 2 it is -5 and 25 dB
    parts = noise[tilt < 5].unflatten(1, (8, -1)).std(2)  # brown noise varies by itself
    assert 0.3 < (parts.amax(1) > 2 * parts.amin(1)).float().mean() < 0.7


def test_babble_is_two_to_five_clips_of_the_batch_at_once():
    hertz = torch.arange(300, 3300, 100)
    voices, _ = batch(*(tone(each, 0.5) for each in hertz.tolist()))
    talk = room.babble(voices, 6000, seeded())
    heard = torch.fft.rfft(talk).abs()[:, hertz * 6000 // RATE] > 100
    assert heard.sum(1).unique().tolist() == [1, 2, 3, 4, 5]  # 1, where a clip was drawn twice


def test_bursts_are_short_and_die_away():
    seconds, drops = [], []
    for clip in room.bursts(100, 16000, RATE, seeded(), most=1):
        sounding = clip.nonzero().squeeze(1)
        if sounding[-1] < 15990:  # not cut off by the end
            seconds.append(len(sounding) / RATE)
            early, late = clip[sounding].square().tensor_split(2)
            drops.append(10 * torch.log10(early.sum() / late.sum()).item())
    assert 0.009 < min(seconds) < 0.03 and 0.22 < max(seconds) < 0.251
    assert np.mean(drops) == pytest.approx(40 * np.log10(np.e), abs=1)  # the amplitude falls to exp(-4)


def test_the_same_generator_gives_the_same_room():
    waveforms, _ = tones(0.5, 0.4)
    for make in (
        lambda g: room.coloured_noise(2, 500, g),
        lambda g: room.babble(waveforms, 500, g),
        lambda g: room.bursts(2, 500, RATE, g),
    ):
        assert torch.equal(make(seeded(3)), make(seeded(3)))
        assert not torch.equal(make(seeded(3)), make(seeded(4)))


def test_pieces_of_recordings_start_anywhere_and_start_over_at_the_end():
    long, short = torch.arange(1.0, 10_001.0), -torch.arange(1.0, 101.0)
    pieces = room.recorded_noise([long, short], 50, 250, seeded())
    assert pieces.shape == (50, 250)
    starts = set()
    for piece in pieces:
        step = piece.diff().abs()
        assert (step == 1).sum() >= 249 - 3  # consecutive samples, but for where it starts over
        starts.add(float(piece[0]))
        assert (piece > 0).all() or (piece < 0).all()
    assert len(starts) > 40
