"""Listening: which words make a string, when it has ended, and what the summary counts."""

from types import SimpleNamespace

import numpy as np
import pytest

from utils.inference.listening import DigitString, Listener, WordEvent
from utils.inference.recogniser import Prediction, Word

SAID = [
    (0.5, 0.9, None),
    (1.0, 1.4, 7),
    (1.5, 1.9, None),
    (2.8, 3.2, 4),
    (3.3, 3.6, None),
    (5.0, 5.4, 2),
    (8.0, 8.3, None),
]
BUSY = 7.0  # seconds; then another word begins, it seems


class Stream:
    """Gives each word of `SAID` at the end of the half second in which it ends."""

    MARGIN, UNNOTICED, seconds, in_word = 0.06, 0.5, 0.0, False

    def push(self, chunk: np.ndarray) -> list[Word]:
        before, self.seconds = self.seconds, self.seconds + len(chunk) / 8000
        self.in_word = self.seconds == BUSY
        return [Word(*times, Prediction(digit, 0.9, ())) for *times, digit in SAID if before < times[1] <= self.seconds]

    def flush(self) -> list[Word]:
        return []


@pytest.fixture
def listener() -> Listener:
    return Listener(SimpleNamespace(stream=Stream))


def test_strings_reach_from_their_first_digit_to_their_last_and_end_in_a_pause(listener):
    strings = []
    while listener.stream.seconds < 10:
        events = listener.push(np.zeros(4000, np.float32))
        strings += [(listener.stream.seconds, event) for event in events if isinstance(event, DigitString)]
    assert listener.end() == []
    # the second would be told at 7.0 s, a second and a half after its end, if no word seemed to begin then
    assert strings == [(5.5, DigitString(1.0, 3.2, (7, None, 4))), (7.5, DigitString(5.0, 5.4, (2,)))]
    assert str(strings[0][1]) == "7?4"


def test_a_string_ends_with_the_sound(listener):
    events = listener.push(np.zeros(3 * 8000, np.float32))
    assert [type(event) for event in events] == [WordEvent] * 3
    assert listener.end() == [DigitString(1.0, 1.4, (7,))]


def test_the_summary_counts_digits_other_words_strings_and_the_mean_delay(listener):
    delays = []
    while listener.stream.seconds < 10:
        events = listener.push(np.zeros(4000, np.float32))
        delays += [event.delay for event in events if isinstance(event, WordEvent)]
    to_the_end_of_the_half_second = [0.16, 0.16, 0.16, 0.36, 0.46, 0.16, 0.26]
    assert delays == pytest.approx(to_the_end_of_the_half_second, abs=0.05)
    summary = listener.summary()
    assert (summary.seconds, summary.digits, summary.rejected, summary.strings) == (10, 3, 4, 2)
    assert summary.delay == pytest.approx(np.mean(delays))
