"""One word in a recording: where it is, and what is wrong with it."""

import numpy as np
import pytest
from conftest import speak

from utils.inference.utterance import find_utterance

RATE = 8000


def recording(*words: np.ndarray, pause: float = 0.6, noise: float = 0.0005) -> np.ndarray:
    """Words with pauses before, between and after them, in noise."""
    gap = np.zeros(round(pause * RATE))
    waveform = np.concatenate([gap, *(part for word in words for part in (word, gap))])
    return np.float32(waveform + np.random.default_rng(0).normal(0, noise, len(waveform)))


def word(level: float = 0.3) -> np.ndarray:
    return level * speak(7, "ada", 0)


@pytest.mark.parametrize("offset", [0, 0.1])
@pytest.mark.parametrize("wanted", [RATE, 16000])
def test_a_word_is_cut_out(offset, wanted):
    found = find_utterance(recording(word()) + np.float32(offset), RATE, wanted)
    assert (found.problem, found.advice) == ("", "")
    assert found.start == pytest.approx(0.6, abs=0.1) and found.end == pytest.approx(0.6 + len(word()) / RATE, abs=0.1)
    assert len(found.clip) / wanted == pytest.approx(found.end - found.start)
    assert found.clipped == 0 and found.noise == pytest.approx(-66, abs=4)


@pytest.mark.parametrize(
    ("samples", "problem"),
    [
        (recording(), "hardly any sound"),
        (recording(noise=0.02), "No word"),
        (recording(word(0.003), noise=0), "hardly any sound"),
        (recording(word(), word()), "2 words"),
        (recording(word())[round(0.65 * RATE) :], "beginning is missing"),
        (recording(word())[: round(0.8 * RATE)], "end is missing"),
        (recording(np.tile(0.3 * speak(7, "ada", 0)[500:1500], 20)), "lasts 2.6 seconds"),
    ],
)
def test_what_makes_a_recording_useless(samples, problem):
    assert problem in find_utterance(samples, RATE, 16000).problem


@pytest.mark.parametrize(
    ("samples", "advice"),
    [
        (recording(word(12)).clip(-1, 1), "Too loud"),
        (recording(word(0.04)), "Rather quiet"),
        (recording(word(), noise=0.012), "noise"),
    ],
)
def test_what_could_be_better(samples, advice):
    found = find_utterance(samples, RATE, 16000)
    assert found.problem == "" and advice in found.advice


def test_clipping_is_counted_before_the_rate_is_converted():
    samples = recording(word(12)).clip(-1, 1)
    assert find_utterance(samples, RATE, 16000).clipped == (np.abs(samples) == 1).sum() > 100
