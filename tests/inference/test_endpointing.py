"""Endpointing finds the words of a recording between its pauses."""

import json
import shutil
import subprocess

import numpy as np
import pytest

from utils import InputError
from utils.inference.endpointing import MARGIN, Endpointer, find_words
from utils.paths import PROJECT

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


def room(seconds: float, level: float = 0.002) -> np.ndarray:
    return level * np.random.default_rng(1).normal(size=round(seconds * RATE))


def voice(seconds: float = 0.4, level: float = 0.1) -> np.ndarray:
    """A voiced sound: harmonics of 120 Hz, which swell and fade."""
    time = np.arange(round(seconds * RATE)) / RATE
    harmonics = sum(np.sin(2 * np.pi * 120 * k * time + k * k) for k in range(1, 30))
    return level * harmonics / 4 * np.hanning(len(time)) ** 0.25


def one_word(sound: np.ndarray, start: float, seconds: float = 0.4) -> None:
    """The word at `start` is found, and nothing else."""
    found = np.array(find_words(sound.astype(np.float32), RATE)) / RATE
    np.testing.assert_allclose(found, [[start, start + seconds]], atol=0.12)


def test_a_click_long_before_the_word_is_ignored():
    sound = room(4)
    sound[round(0.6 * RATE) : round(0.6 * RATE) + 40] += 0.5
    sound[2 * RATE : 2 * RATE + round(0.4 * RATE)] += voice()
    one_word(sound, 2)


def test_hum_is_no_word():
    sound = room(5)
    sound += 0.05 * np.sin(2 * np.pi * 50 * np.arange(len(sound)) / RATE)
    assert find_words(sound, RATE) == []
    sound[3 * RATE : 3 * RATE + round(0.4 * RATE)] += voice()
    one_word(sound, 3)


def test_words_within_digital_silence_and_nothing_else():
    sound = np.zeros(5 * RATE)
    assert find_words(sound, RATE) == []
    sound[3 * RATE : 3 * RATE + round(0.4 * RATE)] += voice()
    one_word(sound, 3)


def test_the_noise_of_a_sound_card_after_digital_silence_is_no_word():
    sound = np.concatenate([np.zeros(3 * RATE), room(2, 1e-4)])
    assert find_words(sound, RATE) == []


def test_a_room_that_gets_louder_is_a_sound_once():
    sound = np.concatenate([room(3), room(20, 0.05)])
    sound[20 * RATE : 20 * RATE + round(0.4 * RATE)] += 5 * voice()
    found = np.array(find_words(sound, RATE)) / RATE
    assert len(found) == 2 and found[0][1] < 6
    np.testing.assert_allclose(found[1], [20, 20.4], atol=0.12)


@pytest.mark.parametrize("size", [37, 80, 4001])
def test_the_size_of_the_chunks_makes_no_difference_and_memory_stays_flat(size):
    sound = np.concatenate([room(1), voice(), room(0.7), voice(0.3), room(2)]).astype(np.float32)
    pointer, found = Endpointer(RATE), []
    for start in range(0, len(sound), size):
        found += pointer.push(sound[start : start + size])
    found += pointer.flush()
    assert [(word.start, word.end) for word in found] == find_words(sound, RATE) and len(found) == 2
    for word in found:
        np.testing.assert_array_equal(word.samples, sound[word.start : word.end])
    assert len(pointer.kept) < RATE


def test_a_word_is_found_within_a_quarter_of_a_second_of_its_end():
    sound = np.concatenate([room(1), voice(), room(1)])
    pointer, received = Endpointer(RATE), 0
    while not pointer.push(sound[received : received + 80]):
        received += 80
    assert received / RATE - 1.4 < 0.26


def test_a_recording_may_begin_with_speech():
    sound = np.concatenate([voice(), room(0.5), voice(), room(0.5)]).astype(np.float32)
    found = np.array(find_words(sound, RATE)) / RATE
    np.testing.assert_allclose(found, [[0, 0.4], [0.9, 1.3]], atol=0.12)


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed")
def test_the_page_finds_the_same_words(tmp_path):
    lengths = [0.4, 0.3, 0.5, *np.arange(0.06, 0.12, 0.003)]  # the last ones are around the shortest word
    words = [part for length in lengths for part in (voice(length), room(0.7))]
    sound = np.concatenate([room(1), *words, voice(0.5, 0.03), room(2)])
    sound.astype("<f4").tofile(tmp_path / "sound")
    script = f"""
        import fs from "node:fs";
        import {{ cut }} from {json.dumps((PROJECT / "demo/src/endpoint.js").as_uri())};
        const bytes = fs.readFileSync({json.dumps(str(tmp_path / "sound"))});
        const words = cut(new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4), {RATE});
        console.log(JSON.stringify(words.map((word) => [word.start, word.end])));
    """
    shown = subprocess.run(["node", "--input-type=module", "-e", script], capture_output=True, text=True, check=True)
    margins = np.array([MARGIN, -MARGIN])
    found = np.array(find_words(sound.astype(np.float32), RATE)) / RATE + margins
    assert 4 < len(found) < 4 + 20
    np.testing.assert_allclose(json.loads(shown.stdout), found, atol=1e-9)


@pytest.mark.parametrize("rate", [1, 50, 1000, 7500])
def test_a_sample_rate_below_that_of_the_bands_is_refused(rate):
    with pytest.raises(InputError, match=f"not at {rate:,} Hz"):
        Endpointer(rate)
