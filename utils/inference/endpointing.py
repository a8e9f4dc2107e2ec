"""Endpointing by energy: a recording is split into words at its pauses."""

import numpy as np

HOP, WINDOW = 0.01, 0.025  # seconds; of the frames whose levels are compared
PAUSE = 0.16  # seconds of silence between two words; the stop closure within "eight" or "six" is shorter
WORD = 0.08  # seconds; shorter sounds, such as clicks, are ignored
MARGIN = 0.06  # seconds kept on both sides of a word, for weak onsets and endings


def find_words(waveform: np.ndarray, sample_rate: int) -> list[tuple[int, int]]:
    """Find the words of a recording; one without any pause is a single word.

    A frame is speech if its level is above a threshold between the levels of the quiet and the loud frames.

    Args:
        waveform: (samples,).
        sample_rate: in Hz.

    Returns:
        First sample and end (exclusive) of each word, in order.
    """
    hop, window = round(HOP * sample_rate), round(WINDOW * sample_rate)
    if len(waveform) < window:
        return []
    frames = np.lib.stride_tricks.sliding_window_view(waveform, window)[::hop]
    level = 10 * np.log10(np.square(frames).mean(1) + 1e-10)
    quiet, loud = np.quantile(level, 0.1), level.max()
    if loud - quiet < 6:  # a steady level, for example of a tightly cut clip: all of it is one word
        return [(0, len(waveform))]
    speech = level > max(quiet + 0.3 * (loud - quiet), loud - 40)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], speech, [False]]).astype(int)))
    words: list[list[int]] = []
    for start, end in edges.reshape(-1, 2).tolist():
        if words and start - words[-1][1] < PAUSE / HOP:
            words[-1][1] = end
        else:
            words.append([start, end])
    margin = round(MARGIN * sample_rate)
    return [
        (max(0, start * hop - margin), min(len(waveform), end * hop + window + margin))
        for start, end in words
        if end - start >= WORD / HOP
    ]
