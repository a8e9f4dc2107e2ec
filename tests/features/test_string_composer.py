"""Strings of digits composed for training: what is said in them, where, by whom."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from augmentation_helpers import seeded
from conftest import tone

from utils import InputError
from utils.features.batches import SpokenDigits
from utils.features.strings import StringComposer, StringConfig, collate
from utils.settings import build

RATE = 8000
CONFIG = StringConfig(number=40, most_words=4, level_db=0.0, some_non_digits=0.0, only_non_digits=0.0)


def words(non_digits: int = 0) -> SpokenDigits:
    """Three clips of each of two speakers, tones of their own pitch amid silence, and noises that are no digits."""
    dataset = SpokenDigits.__new__(SpokenDigits)
    quiet = np.zeros(800, np.float32)
    clips = [tone(300 + 400 * digit + 200 * speaker, 0.3) for speaker in range(2) for digit in range(3)]
    clips += [np.random.default_rng(index).normal(0, 0.1, 2400).astype(np.float32) for index in range(non_digits)]
    dataset.waveforms = [torch.from_numpy(np.concatenate([quiet, clip, quiet])) for clip in clips]
    dataset.labels = torch.tensor([0, 1, 2] * 2 + [-1] * non_digits)
    dataset.speakers = torch.tensor([0] * 3 + [1] * 3 + [2] * non_digits)
    dataset.noises = []
    return dataset


def composer(config: StringConfig = CONFIG, seed: int = 0, non_digits: int = 0) -> StringComposer:
    return StringComposer(words(non_digits), RATE, config, 8, seeded(seed))


def pitch(samples: torch.Tensor) -> float:
    spectrum = np.abs(np.fft.rfft(samples.numpy() * np.hanning(len(samples)), 8 * RATE))
    return float(spectrum.argmax()) / 8


def test_a_share_of_the_batches_has_long_silences_around_the_words():
    made = composer(replace(CONFIG, long_silences=0.5, number=320))
    before = [batch.starts[:, 0] / RATE for batch in made]
    long = [(seconds >= 0.5).all().item() for seconds in before]
    assert 0.2 < np.mean(long) < 0.8
    for seconds, much in zip(before, long, strict=True):
        low, high = made.config.long_around if much else made.config.around
        assert (seconds >= low - 0.001).all() and (seconds <= high + 0.05).all()


@pytest.mark.parametrize("connected", [0.0, 1.0])
def test_each_digit_is_where_the_string_says_and_of_one_speaker(connected):
    made = composer(replace(CONFIG, connected=connected))
    for batch in made:
        (waveforms, lengths), labels = batch.waveforms, batch.labels
        assert (labels[:, 0] >= 0).all() and waveforms.shape[1] == lengths.max()
        for string in range(len(labels)):
            present = labels[string] >= 0
            spans = list(zip(batch.starts[string][present], batch.ends[string][present], strict=True))
            heard = [pitch(waveforms[string, start:end]) for start, end in spans]
            off = [
                hertz - 300 - 400 * label for hertz, label in zip(heard, labels[string][present].tolist(), strict=True)
            ]
            speakers = {round(each / 200) for each in off}
            assert len(speakers) == 1 and np.allclose(off, 200 * speakers.pop(), atol=20)
            gaps = [(later[0] - earlier[1]).item() / RATE for earlier, later in zip(spans, spans[1:], strict=False)]
            low, high = (-0.051, 0.0) if connected else (0.0, 0.601)
            assert all(low <= gap <= high for gap in gaps)
            outside = torch.cat([waveforms[string, : spans[0][0]], waveforms[string, spans[-1][1] :]])
            assert not outside.any()


def test_the_same_state_of_the_generator_gives_the_same_strings():
    first, again, other = (next(iter(composer(seed=seed))) for seed in (0, 0, 1))
    assert torch.equal(first.waveforms[0], again.waveforms[0]) and torch.equal(first.ends, again.ends)
    assert not torch.equal(first.labels, other.labels) or not torch.equal(first.starts, other.starts)


def test_non_digits_are_heard_but_not_labelled():
    alone = next(iter(composer(replace(CONFIG, only_non_digits=1.0), non_digits=3)))
    assert alone.labels.shape[1] == 0 and (alone.waveforms[0].square().mean(1) > 0).all()
    batches = list(composer(replace(CONFIG, some_non_digits=1.0, number=80), non_digits=3))
    share = np.mean([(batch.labels >= 0).float().sum(1).mean().item() for batch in batches])
    assert 0.5 < share < 2.0  # half of 2.5 words on average


def test_a_batch_is_padded_after_each_strings_end_and_last_digit():
    made, draw = composer(), np.random.default_rng(0)
    short, long = (made.compose(chosen, draw, CONFIG.around) for chosen in ([0], [3, 4, 5]))
    both = collate([short, long])
    assert both.labels.tolist() == [[0, -1, -1], [0, 1, 2]]
    assert both.waveforms[1].tolist() == [short.waveforms[1].item(), long.waveforms[1].item()]
    assert not both.waveforms[0][0, short.waveforms[1].item() :].any()


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ({"pause": [0.5, 0.1]}, "pause must be a range of seconds"),
        ({"connected": 1.5}, "connected is 1.5; it must be from 0 to 1"),
        ({"some_non_digits": 0.6, "only_non_digits": 0.6}, "at most 1"),
        ({"most_word": 3}, "most_words"),
    ],
)
def test_settings_that_make_no_sense_are_refused(setting, why):
    with pytest.raises(InputError, match=why):
        build(StringConfig, setting, "the test")
