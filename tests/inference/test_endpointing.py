"""Endpointing finds the words of a recording between its pauses."""

import numpy as np

from utils.inference.endpointing import find_words

RATE = 8000


def bursts(*lengths: float, pause: float = 0.3, noise: float = 0.003) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Bursts of these lengths in seconds with pauses between, in noise; and their starts and ends in seconds."""
    generator, parts, where, now = np.random.default_rng(0), [np.zeros(int(pause * RATE))], [], pause
    for length in lengths:
        parts += [0.5 * np.sin(np.arange(int(length * RATE)) / 2), np.zeros(int(pause * RATE))]
        where.append((now, now + length))
        now += length + pause
    clip = np.concatenate(parts)
    return (clip + noise * generator.normal(size=len(clip))).astype(np.float32), where


def test_a_recording_is_split_at_its_pauses():
    clip, where = bursts(0.3, 0.5, 0.2)
    found = np.array(find_words(clip, RATE)) / RATE
    assert found.shape == (3, 2)
    np.testing.assert_allclose(found, where, atol=0.1)
    assert (found[:, 0] <= np.array(where)[:, 0]).all() and (found[:, 1] >= np.array(where)[:, 1]).all()


def test_a_short_gap_does_not_split_a_word():
    clip, _ = bursts(0.2, 0.2, pause=0.09)
    assert len(find_words(clip, RATE)) == 1


def test_clicks_and_recordings_shorter_than_a_frame_are_ignored():
    clip, _ = bursts(0.3, 0.02)
    assert len(find_words(clip, RATE)) == 1
    assert find_words(np.zeros(100, np.float32), RATE) == []


def test_a_steady_sound_is_one_word():
    clip = np.sin(np.arange(4000) / 2).astype(np.float32)
    assert find_words(clip, RATE) == [(0, 4000)]
