"""Strings of digits composed for training: what is said in them, where, by whom."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from augmentation_helpers import seeded
from conftest import RATE, pitch_of, tone

from utils import InputError
from utils.features.batches import SpokenDigits
from utils.features.strings import StringComposer, StringConfig, collate
from utils.settings import build

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
            heard = [pitch_of(waveforms[string, start:end]) for start, end in spans]
            off = [
                hertz - 300 - 400 * label for hertz, label in zip(heard, labels[string][present].tolist(), strict=True)
            ]
            speakers = {round(each / 200) for each in off}
            assert len(speakers) == 1 and np.allclose(off, 200 * speakers.pop(), atol=20)
            gaps = [(later[0] - earlier[1]).item() / RATE for earlier, later in zip(spans, spans[1:], strict=False)]
            low, high = (-0.051, -0.004) if connected else (0.0, 0.601)
            assert all(low <= gap <= high for gap in gaps)
            outside = torch.cat([waveforms[string, : spans[0][0]], waveforms[string, spans[-1][1] :]])
            assert not outside.any()


def test_the_same_state_of_the_generator_gives_the_same_strings():
    first, again, other = (next(iter(composer(seed=seed))) for seed in (0, 0, 1))
    assert torch.equal(first.waveforms[0], again.waveforms[0]) and torch.equal(first.ends, again.ends)
    assert not torch.equal(first.labels, other.labels) or not torch.equal(first.starts, other.starts)


def test_all_digits_are_equally_likely_and_of_other_speakers_where_their_own_has_none():
    unequal, kept = words(), [0, 1, 3]  # zero and one by the first speaker, zero by the second
    unequal.waveforms = [unequal.waveforms[index] for index in kept]
    unequal.labels, unequal.speakers = unequal.labels[kept], unequal.speakers[kept]
    made, draw = StringComposer(unequal, RATE, CONFIG, 8, seeded()), np.random.default_rng(0)
    strings = [made.choose(8, draw).tolist() for _ in range(200)]
    assert np.mean([clip == 1 for string in strings for clip in string]) == pytest.approx(0.5, abs=0.05)
    assert {frozenset(string) for string in strings if len(set(string)) > 1} == {frozenset({0, 1}), frozenset({1, 2})}


@pytest.mark.parametrize("level_db", [0.0, 6.0])
def test_words_are_as_loud_as_the_levels_say_and_fade_at_both_ends(level_db):
    dataset, draw = words(), np.random.default_rng(0)
    dataset.waveforms[0] = torch.from_numpy(np.roll(tone(500, 0.3), 4))  # no silence around it
    made = StringComposer(dataset, RATE, replace(CONFIG, level_db=level_db, connected=0.0), 8, seeded())
    levels = []
    for _ in range(40):
        string = made.compose([0, 0], draw, CONFIG.around)
        for start, end in zip(string.starts[0], string.ends[0], strict=True):
            word = string.waveforms[0][0, start:end]
            levels.append(20 * word[400:-400].square().mean().sqrt().log10().item())
            assert word[0] == word[-1] == 0 and word[:20].abs().max() < 0.6 * word.abs().max()
    quiet = 20 * np.log10(0.05)
    assert min(levels) == pytest.approx(quiet - level_db, abs=0.7)
    assert max(levels) == pytest.approx(quiet + level_db, abs=0.7)


def test_a_word_is_cut_anywhere_between_two_levels():
    """A breath before it, 32 dB below its peak, is a part of it or not."""
    dataset, quiet = words(), np.zeros(800, np.float32)
    breath = tone(200, 0.2, level=0.5 * 10 ** (-32 / 20))
    dataset.waveforms[0] = torch.from_numpy(np.concatenate([quiet, breath, tone(500, 0.3), quiet]))
    made, draw = StringComposer(dataset, RATE, CONFIG, 8, seeded()), np.random.default_rng(0)
    strings = [made.compose([0], draw, CONFIG.around) for _ in range(100)]
    seconds = [(string.ends - string.starts).item() / RATE for string in strings]
    assert 0.29 < min(seconds) < 0.34 and 0.46 < max(seconds) < 0.53


def test_non_digits_are_heard_but_not_labelled():
    alone = next(iter(composer(replace(CONFIG, only_non_digits=1.0), non_digits=3)))
    assert alone.labels.shape[1] == 0 and (alone.waveforms[0].square().mean(1) > 0).all()
    some, draw = composer(replace(CONFIG, some_non_digits=1.0), non_digits=3), np.random.default_rng(0)
    shares = [(some.labels[some.choose(8, draw)] >= 0).mean() for _ in range(50)]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.1) and np.std(shares) < 0.25  # each word by itself


def test_a_word_begins_in_the_second_half_of_the_one_before_at_the_earliest():
    made = composer(replace(CONFIG, connected=1.0, overlap=(9.0, 9.0)))
    string = made.compose([0, 1, 2], np.random.default_rng(0), CONFIG.around)
    starts, ends = string.starts[0], string.ends[0]
    assert (starts[1:] >= (starts + ends)[:-1] // 2).all()


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
