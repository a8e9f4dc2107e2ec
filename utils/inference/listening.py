"""Listening for a long time: words, strings of digits and the loudness as events, and a summary at the end."""

import time
from dataclasses import dataclass

import numpy as np

from utils.inference.recogniser import Recogniser, Word

STRING_PAUSE = 1.0  # seconds; digits closer to one another are one string


@dataclass(frozen=True)
class WordEvent:
    """A word, and `delay`: the seconds from its end to this answer, computing included."""

    word: Word
    delay: float


@dataclass(frozen=True)
class DigitString:
    """Digits with short pauses between them: start and end in seconds. None is a word that is no digit."""

    start: float
    end: float
    digits: tuple[int | None, ...]

    def __str__(self) -> str:
        return "".join("?" if digit is None else str(digit) for digit in self.digits)


@dataclass(frozen=True)
class Summary:
    """What was heard: seconds of sound, the numbers of digits, other words and strings, and the mean delay if any."""

    seconds: float
    digits: int
    rejected: int
    strings: int
    delay: float | None


class Listener:
    """Chunks of sound in, events out as they happen. Memory stays flat, however long it listens."""

    def __init__(self, recogniser: Recogniser):
        self.stream = recogniser.stream()
        self.level = -100.0  # dB of full scale, of the last chunk
        self.words: list[Word] = []  # since the last pause between strings
        self.digits = self.rejected = self.strings = 0
        self.delays = 0.0

    def push(self, chunk: np.ndarray) -> list[WordEvent | DigitString]:
        """What is known after a further chunk, float32 (samples,) at the front end's sample rate."""
        begin = time.perf_counter()
        if len(chunk):
            self.level = float(10 * np.log10(np.square(chunk).mean() + 1e-10))
        return self._events(self.stream.push(chunk), begin)

    def end(self) -> list[WordEvent | DigitString]:
        """What remains at the end of the sound."""
        return [*self._events(self.stream.flush(), time.perf_counter()), *self._end_string()]

    def summary(self) -> Summary:
        """Counts of what was recognised and rejected so far."""
        answers = self.digits + self.rejected
        return Summary(
            self.stream.seconds, self.digits, self.rejected, self.strings, self.delays / answers if answers else None
        )

    def _events(self, words: list[Word], begin: float) -> list[WordEvent | DigitString]:
        events: list[WordEvent | DigitString] = []
        for word in words:
            if self.words and word.start - self.words[-1].end > STRING_PAUSE:
                events += self._end_string()
            self.words.append(word)
            delay = self.stream.seconds - (word.end - self.stream.MARGIN) + time.perf_counter() - begin
            self.delays += delay
            self.digits += word.prediction.digit is not None
            self.rejected += word.prediction.digit is None
            events.append(WordEvent(word, delay))
        ended = STRING_PAUSE + self.stream.UNNOTICED
        if self.words and not self.stream.in_word and self.stream.seconds - self.words[-1].end > ended:
            events += self._end_string()
        return events

    def _end_string(self) -> list[DigitString]:
        """The string of the words so far, from its first digit to its last; none if there is no digit."""
        words, self.words = self.words, []
        spoken = [index for index, word in enumerate(words) if word.prediction.digit is not None]
        if not spoken:
            return []
        words = words[spoken[0] : spoken[-1] + 1]
        self.strings += 1
        return [DigitString(words[0].start, words[-1].end, tuple(word.prediction.digit for word in words))]
