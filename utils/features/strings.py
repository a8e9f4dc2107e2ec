"""Strings of spoken digits for training, composed at random of clips of single words."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from utils.features.batches import SpokenDigits
from utils.features.log_mel import Padded, pad
from utils.settings import check_limits

RMS = 0.05  # of the speech, before the gain is changed
FADE = 0.005  # seconds of fading at both ends of a word that overlaps no other
LOOSE_DB, TIGHT_DB = 40.0, 25.0  # a word begins and ends where its level comes within about this of its peak


@dataclass(frozen=True)
class StringConfig:
    """How strings are composed. Durations are in seconds and, like the levels, drawn uniformly."""

    number: int = 8000  # of the strings in an epoch
    most_words: int = 8  # in a string; all strings of a batch have equally many, one at least
    around: tuple[float, float] = (0.05, 0.5)  # of silence before the first word and after the last
    long_around: tuple[float, float] = (0.5, 4.0)  # the same in some batches, as nothing may be said for seconds
    long_silences: float = 0.2  # share of these batches
    pause: tuple[float, float] = (0.0, 0.6)  # between two words
    connected: float = 0.33  # share of the strings without any pauses
    overlap: tuple[float, float] = (0.005, 0.05)  # of the words of such strings
    level_db: float = 4.0  # words are up to this much louder or softer than their string
    some_non_digits: float = 0.15  # share of the strings in which half of the words are non-digits
    only_non_digits: float = 0.07  # share of the strings of non-digits alone

    def __post_init__(self):
        for name in ("around", "long_around", "pause", "overlap"):
            low, high = getattr(self, name)
            if not 0 <= low <= high <= 10:
                raise ValueError(f"{name} must be a range of seconds between 0 and 10, not {(low, high)}")
        check_limits(self, number=(1, 10**7), most_words=(1, 100), level_db=(0, 60))
        check_limits(self, long_silences=(0, 1), connected=(0, 1), some_non_digits=(0, 1), only_non_digits=(0, 1))
        if self.some_non_digits + self.only_non_digits > 1:
            raise ValueError("some_non_digits and only_non_digits must be at most 1 together")


@dataclass(frozen=True)
class DigitStrings:
    """A batch of strings: waveforms, and where in them which digit is spoken."""

    waveforms: Padded  # (batch, samples), lengths (batch,)
    labels: Tensor  # (batch, most digits), -1 after the last digit of a string
    starts: Tensor  # (batch, most digits) in samples
    ends: Tensor  # (batch, most digits) in samples


class StringComposer:
    """Composes batches of strings, each of one speaker's digits.

    All digits are equally likely. Those of which there is no clip of the speaker, and non-digits, may be anybody's. A
    clip is as likely as any other to decide who is the speaker of a string.

    Args:
        words: the clips; those with a negative label are non-digits.
        sample_rate: of the clips, in Hz.
        config: see `StringConfig`.
        batch_size: in strings.
        generator: of all random numbers.
    """

    def __init__(
        self, words: SpokenDigits, sample_rate: int, config: StringConfig, batch_size: int, generator: torch.Generator
    ):
        self.config, self.rate, self.batch_size, self.generator = config, sample_rate, batch_size, generator
        sounding = [index for index, clip in enumerate(words.waveforms) if clip.any()]
        self.words = {index: _word(words.waveforms[index].numpy(), sample_rate) for index in sounding}
        self.labels = words.labels.numpy()
        digits = [index for index in sounding if self.labels[index] >= 0]
        self.non_digits = np.array([index for index in sounding if self.labels[index] < 0])
        self.digits, self.speakers = np.array(digits), words.speakers.numpy()
        self.by_label: dict[int, list[int]] = defaultdict(list)
        self.by_speaker: dict[tuple[int, int], list[int]] = defaultdict(list)  # and label
        for index in digits:
            self.by_label[self.labels[index]].append(index)
            self.by_speaker[self.speakers[index], self.labels[index]].append(index)

    def __len__(self) -> int:
        return max(1, self.config.number // self.batch_size)

    def __iter__(self) -> Iterator[DigitStrings]:
        for _ in range(len(self)):
            draw = np.random.default_rng(int(torch.randint(2**62, (), generator=self.generator)))
            number = int(draw.integers(1, self.config.most_words + 1))
            around = self.config.long_around if draw.random() < self.config.long_silences else self.config.around
            yield collate([self.compose(self.choose(number, draw), draw, around) for _ in range(self.batch_size)])

    def choose(self, number: int, draw: np.random.Generator) -> np.ndarray:
        """The clips (number,) of a string."""
        speaker = self.speakers[draw.choice(self.digits)]
        labels = draw.choice(sorted(self.by_label), number)
        candidates = [self.by_speaker.get((speaker, label)) or self.by_label[label] for label in labels]
        chosen = np.array([draw.choice(clips) for clips in candidates])
        kind = draw.random() if len(self.non_digits) else 1.0
        if kind < self.config.only_non_digits:
            return draw.choice(self.non_digits, number)
        if kind < self.config.only_non_digits + self.config.some_non_digits:
            return np.where(draw.random(number) < 0.5, draw.choice(self.non_digits, number), chosen)
        return chosen

    def compose(
        self, chosen: Sequence[int] | np.ndarray, draw: np.random.Generator, around: tuple[float, float]
    ) -> DigitStrings:
        """A string of the chosen clips in their order, between silences of such lengths, as a batch of one."""
        config, words = self.config, [self.words[int(index)] for index in chosen]
        cut = [word[round(a * draw.random()) : len(word) - round(b * draw.random())] for word, a, b in words]
        levels = RMS * 10 ** (draw.uniform(-config.level_db, config.level_db, len(cut)) / 20)
        before, after = (round(self.rate * seconds) for seconds in draw.uniform(*around, 2))
        overlap = round(self.rate * FADE)
        if draw.random() < config.connected:
            overlap = round(self.rate * draw.uniform(*config.overlap))
            gaps = np.full(len(cut), -overlap)
        else:
            gaps = np.round(self.rate * draw.uniform(*config.pause, len(cut))).astype(int)
        # a word never begins before the one before it has reached its second half
        gaps[1:] = np.maximum(gaps[1:], [-(len(word) // 2) for word in cut[:-1]])
        gaps[0] = before
        lengths = np.array([len(word) for word in cut])
        ends = np.cumsum(gaps + lengths)
        starts = ends - lengths
        string = np.zeros(ends[-1] + after, np.float32)
        for word, start, end, level in zip(cut, starts, ends, levels, strict=True):
            string[start:end] += level * _faded(word, overlap)
        spoken = self.labels[np.asarray(chosen)] >= 0
        found = [torch.from_numpy(values[spoken]).unsqueeze(0) for values in (self.labels[chosen], starts, ends)]
        return DigitStrings(pad([torch.from_numpy(string)]), *found)


def collate(strings: Sequence[DigitStrings]) -> DigitStrings:
    """Batches of one string each to one batch."""
    waveforms = pad([string.waveforms[0][0] for string in strings])
    labels = pad([string.labels[0] for string in strings], -1)[0]
    starts, ends = (pad([getattr(string, name)[0] for string in strings])[0] for name in ("starts", "ends"))
    return DigitStrings(waveforms, labels, starts, ends)


def _word(clip: np.ndarray, rate: int) -> tuple[np.ndarray, int, int]:
    """A clip (samples,) at an RMS of 1 without the silence around the word, and what may be cut further.

    Returns:
        The word by `LOOSE_DB`, and the samples before and after the word by `TIGHT_DB` in it. Recordings differ in how
        much noise and breath they leave around a word, so both are as good as anything between.
    """
    hop = round(0.008 * rate)
    power = np.square(clip[: max(1, len(clip) // hop) * hop]).reshape(-1, min(hop, len(clip))).mean(1)
    smooth = np.convolve(np.pad(power, 1, mode="edge"), np.ones(3) / 3, "valid")
    (loose_start, loose_end), (tight_start, tight_end) = (
        (loud[0] * hop, min(len(clip), (loud[-1] + 1) * hop))
        for loud in (np.flatnonzero(smooth >= smooth.max() * 10 ** (-db / 10)) for db in (LOOSE_DB, TIGHT_DB))
    )
    word = clip[loose_start:loose_end]
    active = power[power >= power.max() * 10**-1.5].mean()
    return (word / np.sqrt(active)).astype(np.float32), tight_start - loose_start, loose_end - tight_end


def _faded(word: np.ndarray, samples: int) -> np.ndarray:
    """A word that rises over its first samples and falls over its last."""
    samples = min(samples, len(word) // 2)
    ramp = np.ones(len(word), np.float32)
    ramp[:samples] = np.linspace(0, 1, samples)
    ramp[len(word) - samples :] = np.linspace(1, 0, samples)
    return word * ramp
