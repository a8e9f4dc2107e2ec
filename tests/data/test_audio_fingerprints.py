"""Audio fingerprints: copies are found whatever was done to them, and other utterances are not."""

import io

import numpy as np
import pytest
import soundfile
from conftest import RATE, speak

from utils.data.audio import convert_rate
from utils.data.audio_fingerprints import MAX_BIT_ERRORS, Fingerprint, bit_errors, fingerprint, near_duplicates


def utterance(seed: int, seconds: float = 0.5) -> np.ndarray:
    """Noise through resonances that move, so that the spectrum changes as in speech; different for each seed."""
    random = np.random.default_rng(seed)
    samples = round(seconds * RATE)
    time = np.arange(samples) / RATE
    clip = random.normal(0, 0.01, samples)
    for _ in range(5):
        hertz = random.uniform(400, 2800) + random.uniform(-600, 600) * np.sin(2 * np.pi * random.uniform(2, 6) * time)
        level = 0.1 * (1 + np.sin(2 * np.pi * (random.uniform(3, 9) * time + random.uniform())))
        clip += level * np.sin(2 * np.pi * np.cumsum(hertz) / RATE)
    return np.float32(clip * np.hanning(samples))


def encoded(waveform: np.ndarray, kind: str, subtype: str) -> np.ndarray:
    file = io.BytesIO()
    soundfile.write(file, waveform, RATE, format=kind, subtype=subtype)
    file.seek(0)
    return soundfile.read(file, dtype="float32")[0]


CHANGES = {
    "none": lambda clip: clip,
    "OGG": lambda clip: encoded(clip, "OGG", "VORBIS"),
    "MP3": lambda clip: encoded(clip, "MP3", "MPEG_LAYER_III"),
    "mu-law": lambda clip: encoded(clip, "WAV", "ULAW"),
    "another rate": lambda clip: convert_rate(convert_rate(clip, RATE, 11025), 11025, RATE),
    "padding": lambda clip: np.pad(clip, (777, 1999)),
    "shift of half a hop": lambda clip: np.pad(clip, (32, 0)),
    "gain": lambda clip: 0.1 * clip,
    "cut": lambda clip: clip[400:],
    "DC offset": lambda clip: clip + np.float32(0.05),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found(change):
    clips = [utterance(seed) for seed in range(20)]
    copy = CHANGES[change](clips[7])
    (pair,) = near_duplicates([fingerprint(clip) for clip in [*clips, copy]])
    assert (pair.first, pair.second) == (7, 20)
    assert pair.bit_errors <= MAX_BIT_ERRORS
    if change in ("none", "gain"):
        assert pair.bit_errors == 0


def test_frames_without_speech_are_not_compared():
    hiss = np.random.default_rng(0).normal(0, 1e-4, (2, 20_000))
    rooms = [fingerprint(np.pad(utterance(1), 8000) + own) for own in hiss]
    assert [pair.shift for pair in near_duplicates(rooms)] == [0]


def test_the_shift_is_that_of_the_second_clip():
    clip = utterance(1)
    later = fingerprint(np.pad(clip, (1600, 0)))
    (pair,) = near_duplicates([fingerprint(clip), later])
    assert pair.shift == pytest.approx(0.2, abs=0.008)
    (pair,) = near_duplicates([later, fingerprint(clip)])
    assert pair.shift == pytest.approx(-0.2, abs=0.008)


def test_all_copies_are_paired_most_alike_first():
    clip = utterance(2)
    clips = [clip, utterance(3), encoded(clip, "MP3", "MPEG_LAYER_III"), clip]
    pairs = near_duplicates([fingerprint(one) for one in clips])
    assert [(pair.first, pair.second) for pair in pairs][0] == (0, 3)
    assert {(pair.first, pair.second) for pair in pairs} == {(0, 2), (0, 3), (2, 3)}
    assert pairs == sorted(pairs, key=lambda pair: pair.bit_errors)


def test_different_clips_differ_in_about_half_of_the_bits():
    errors = [bit_errors(fingerprint(utterance(i)), fingerprint(utterance(i + 50)), 0) for i in range(30)]
    assert np.mean(errors) == pytest.approx(0.5, abs=0.06)


def test_a_clip_that_overlaps_little_is_no_copy():
    long = np.concatenate([utterance(seed) for seed in range(4)])
    first, second = fingerprint(long[:12000]), fingerprint(long[8000:])
    assert near_duplicates([first, second]) == []


@pytest.mark.parametrize("waveform", [np.zeros(0), np.zeros(4000), np.full(10, 0.5), speak(1, "ada", 0)[:100]])
def test_clips_without_enough_speech_are_no_copies(waveform):
    prints = [fingerprint(waveform.astype(np.float32))] * 2
    assert isinstance(prints[0], Fingerprint)
    assert near_duplicates(prints) == []


def test_no_clips_have_no_copies():
    assert near_duplicates([]) == []
