"""A word in a room: each effect changes what it says, by as much as it says, and nothing else."""

import numpy as np
import pytest
import torch
from conftest import RATE, level_of, pitch_of, tone

from utils.features import room_augmentations as room


def batch(*seconds: float, hertz: float = 440.0) -> tuple[torch.Tensor, torch.Tensor]:
    clips = [torch.from_numpy(tone(hertz, each)) for each in seconds]
    lengths = torch.tensor([len(clip) for clip in clips])
    return torch.nn.utils.rnn.pad_sequence(clips, batch_first=True), lengths


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_speech_power_does_not_count_pauses_and_padding():
    waveforms, lengths = batch(0.4, 0.4)
    padded, _ = room.surround(waveforms, lengths, torch.tensor([0, 4000]), torch.tensor([0, 8000]))
    assert room.speech_power(padded, RATE)[1] == pytest.approx(0.5**2 / 2, rel=0.05)  # of a sine of amplitude 0.5
    assert room.speech_power(padded, RATE)[0] == pytest.approx(0.5**2 / 2, rel=0.05)


def test_surround_adds_silence_and_moves_the_clip():
    waveforms, lengths = batch(0.2, 0.3)
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


def test_no_reverberation_leaves_the_clip():
    waveforms, lengths = batch(0.2, 0.3)
    same, _ = room.reverberate(waveforms, lengths, torch.tensor([800, 900]), torch.zeros(2), seeded())
    torch.testing.assert_close(same, waveforms, atol=1e-5, rtol=0)


@pytest.mark.parametrize("snr_db", [-5.0, 0.0, 20.0])
def test_noise_is_mixed_in_at_the_snr_over_speech(snr_db):
    waveforms, lengths = batch(0.5, 0.4)
    power = room.speech_power(waveforms, RATE)
    clips, lengths = room.surround(waveforms, lengths, torch.tensor([3000, 0]), torch.tensor([0, 3000]))
    noise = room.coloured_noise(2, clips.shape[1], seeded())
    noisy, _ = room.mix_in(clips, lengths, noise, torch.full((2,), snr_db), power)
    for row, length in enumerate(lengths.tolist()):
        added = (noisy - clips)[row, :length].square().mean()
        assert 10 * torch.log10(power[row] / added) == pytest.approx(snr_db, abs=0.1)
        assert not noisy[row, length:].any()


def test_coloured_noise_has_many_colours_and_swells():
    noise = room.coloured_noise(200, 8000, seeded())
    assert noise.isfinite().all() and (noise.std(1) > 0).all()
    spectrum = torch.fft.rfft(noise).abs().square()
    tilt = 10 * torch.log10(spectrum[:, 50:500].mean(1) / spectrum[:, 2000:4000].mean(1))
    assert tilt.min() < 0 and tilt.max() > 15


def test_babble_is_made_of_the_other_clips():
    tones = torch.stack([torch.from_numpy(tone(hertz, 0.5)) for hertz in (300.0, 500.0, 700.0, 900.0)])
    talk = room.babble(tones, 6000, seeded())
    assert talk.shape == (4, 6000)
    strongest = {round(pitch_of(clip.numpy()), -2) for clip in talk}
    assert strongest <= {300.0, 500.0, 700.0, 900.0}


def test_bursts_are_short_and_die_away():
    knocks = room.bursts(20, 16000, RATE, seeded(), most=1)
    for clip in knocks:
        sounding = clip.nonzero().squeeze(1)
        assert 0.005 * RATE < len(sounding) <= 0.26 * RATE
        half = len(sounding) // 2
        if sounding[-1] < 15990:  # not cut off by the end
            assert level_of(clip[sounding[0] : sounding[half]].numpy()) > level_of(
                clip[sounding[half] : sounding[-1]].numpy()
            )


def test_the_same_generator_gives_the_same_room():
    waveforms, _ = batch(0.5, 0.4)
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
