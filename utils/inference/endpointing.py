"""Where the words of a recording are: it is cut at its pauses."""

import numpy as np

HOP, WINDOW = 0.01, 0.025  # seconds, of the frames whose levels are looked at
PAUSE = 0.16  # seconds of quiet that part two words; the closure within "eight" or "six" is shorter
WORD = 0.08  # seconds of sound that a word has at least; a click has less
MARGIN = 0.06  # seconds kept on either side of a word, for its weak beginning and end


def find_words(waveform: np.ndarray, sample_rate: int) -> list[tuple[int, int]]:
    """The words of a recording, as first sample and end, in order; a recording without any pause is one word.

    A frame is sound where its level lies above a line that is drawn between the quiet frames' and the loud ones'.

    Args:
        waveform: (samples,).
        sample_rate: in Hz.
    """
    hop, window = round(HOP * sample_rate), round(WINDOW * sample_rate)
    if len(waveform) < window:
        return []
    frames = np.lib.stride_tricks.sliding_window_view(waveform, window)[::hop]
    level = 10 * np.log10(np.square(frames).mean(1) + 1e-10)
    quiet, loud = np.quantile(level, 0.1), level.max()
    if loud - quiet < 6:  # nothing but one even sound, as that of a word without any pause: it is the word
        return [(0, len(waveform))]
    sound = level > max(quiet + 0.3 * (loud - quiet), loud - 40)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], sound, [False]]).astype(int)))
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
