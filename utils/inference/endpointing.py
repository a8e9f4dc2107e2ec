"""Endpointing: where the words of a sound begin and end, found while the sound arrives.

A frame is speech if its spectrum rises above the noise floor. Each frequency band has a floor of its own, so that hum
fills a few bands only. The floor is a low percentile of the last second and a half, a form of minimum statistics
(Martin, IEEE Transactions on Speech and Audio Processing 9(5), 2001), so it follows a room that gets louder.
`tools/compare_endpointing.py` compares this with voice activity detectors; `demo/src/endpoint.js` is the same in the
browser, with the same constants.
"""

from dataclasses import dataclass

import numpy as np

from utils import InputError

HOP, WINDOW = 0.01, 0.032  # seconds; of the frames whose spectra are compared
SMOOTHING = 3  # frames whose levels are averaged
BANDS, LOWEST, HIGHEST = 12, 200.0, 3800.0  # bands, equally wide in mel, between these frequencies in Hz
BLOCK = 5  # frames between two measurements of the noise floor
HISTORY, WARM_UP = 150, 100  # frames that the floor is measured on, later and for the first frames
PERCENTILE = 20  # of the levels of these frames
SILENCE = -90.0  # dB, of a band without any sound
LEAST_FLOOR = -75.0  # dB; after digital silence, the noise of a sound card must not count as a word
RANGE = 20.0  # dB; a band further above its floor counts as this far, so that one band alone makes no word
BEGIN, END = 6.0, 4.0  # dB above the floor, root mean square over the bands: a word begins, and it may have ended
PAUSE = 0.16  # seconds of quiet that end a word; the stop closure within "eight" or "six" is shorter
WORD = 0.15  # seconds; shorter sounds, such as clicks, are ignored (spectra smear a sound by 50 ms)
LONGEST = 3.0  # seconds, after which a sound without a pause is cut
MARGIN = 0.06  # seconds kept on both sides of a word, for weak onsets and endings


@dataclass(frozen=True)
class Segment:
    """A sound between two pauses: its first sample, its end (exclusive), and its samples, with margins."""

    start: int
    end: int
    samples: np.ndarray


class Endpointer:
    """Samples in, in chunks of any size; words out, a fifth of a second after their end.

    The size of the chunks makes no difference but to a sound that is cut at its longest: its last margin is as long as
    what has arrived. Memory stays flat: only the last seconds of the sound are kept. A sample rate that is too low for
    the bands is an `InputError`.
    """

    def __init__(self, sample_rate: int):
        if sample_rate < 2 * HIGHEST:
            raise InputError(f"words are found at sample rates from {2 * HIGHEST:,.0f} Hz, not at {sample_rate:,} Hz")
        self.hop, self.margin = round(HOP * sample_rate), round(MARGIN * sample_rate)
        window = 2 ** round(np.log2(WINDOW * sample_rate))
        self.taper = np.hanning(window + 1)[:-1].astype(np.float32)
        self.bands = _bands(sample_rate, window)
        self.received = 0  # samples
        self.kept = np.zeros(0, np.float32)  # the last samples received
        self.levels = np.zeros((0, BANDS))  # dB, of the last `HISTORY` frames
        self.frames = 0  # processed so far
        self.begun: int | None = None  # the frame in which the present word began
        self.loud = 0  # the last frame of the word above `END`

    def push(self, samples: np.ndarray) -> list[Segment]:
        """Process further samples, float (samples,), and return the words that have ended."""
        self.kept = np.concatenate([self.kept, np.asarray(samples, np.float32)])
        self.received += len(samples)
        new = self.received // self.hop - self.frames
        if self.frames == 0 and new < WARM_UP:
            return []
        words = self._process(new // BLOCK * BLOCK)
        needed = self.frames if self.begun is None else self.begun  # and what lies before, for spectra and margins
        earliest = needed * self.hop - self.margin - len(self.taper) - SMOOTHING * self.hop
        self.kept = self.kept[max(0, earliest - self.received + len(self.kept)) :]
        return words

    def flush(self) -> list[Segment]:
        """The sound ends here, and with it a word that is still being spoken."""
        words = self._process(self.received // self.hop - self.frames)
        return words if self.begun is None else words + self._end()

    def _process(self, frames: int) -> list[Segment]:
        """Compare the next frames with their noise floor, block by block."""
        if frames == 0:
            return []
        before = len(self.levels)
        levels = np.concatenate([self.levels, self._spectra(frames)])
        words = []
        for start in range(before, len(levels), BLOCK):
            end = min(start + BLOCK, len(levels))
            known = levels[max(0, end - HISTORY) : max(end, WARM_UP)]
            lowest = len(known) * PERCENTILE // 100
            floor = np.maximum(np.partition(known, lowest, axis=0)[lowest], LEAST_FLOOR)
            excess = np.sqrt(np.square(np.clip(levels[start:end] - floor, 0, RANGE)).mean(1))
            for value in excess.tolist():
                words += self._step(value)
        self.levels = levels[-HISTORY:]
        return words

    def _step(self, excess: float) -> list[Segment]:
        """Decide about one frame by its level above the noise floor, in dB."""
        frame, words = self.frames, []
        self.frames += 1
        if self.begun is None:
            if excess >= BEGIN:
                self.begun = self.loud = frame
        else:
            if excess >= END:
                self.loud = frame
            if frame - self.loud >= PAUSE / HOP or frame - self.begun >= LONGEST / HOP:
                words = self._end()
        return words

    def _end(self) -> list[Segment]:
        """The present word has ended: it is returned unless it is too short."""
        assert self.begun is not None
        # a frame's smoothed level is that of about a hop earlier
        begin, end = (self.begun - 1) * self.hop, self.loud * self.hop
        short = self.loud + 1 - self.begun < WORD / HOP
        self.begun = None
        if short:
            return []
        start, end = max(0, begin - self.margin), min(self.received, end + self.margin)
        first = self.received - len(self.kept)
        return [Segment(start, end, self.kept[start - first : end - first].copy())]

    def _spectra(self, frames: int) -> np.ndarray:
        """The smoothed levels (frames, BANDS) of the next frames, in dB. The sound is preceded by silence."""
        window = len(self.taper)
        ahead = SMOOTHING - 1  # frames that are averaged with the first
        start = (self.frames - ahead + 1) * self.hop - window
        end = (self.frames + frames) * self.hop
        first = self.received - len(self.kept)
        samples = self.kept[max(0, start - first) : end - first]
        samples = np.pad(samples, (end - start - len(samples), 0))
        cut = np.lib.stride_tricks.sliding_window_view(samples, window)[:: self.hop]
        power = np.square(np.abs(np.fft.rfft(cut * self.taper)))
        sums = np.add.reduceat(power[:, : self.bands[-1]], self.bands[:-1], axis=1)
        levels = 10 * np.log10(sums / np.diff(self.bands) / window + 10 ** (SILENCE / 10))
        return np.lib.stride_tricks.sliding_window_view(levels, SMOOTHING, axis=0).mean(-1)


def find_words(waveform: np.ndarray, sample_rate: int) -> list[tuple[int, int]]:
    """First sample and end (exclusive) of each word of a recording (samples,), in order.

    A recording of up to three seconds without any pause is a single word.
    """
    pointer = Endpointer(sample_rate)
    words = [(word.start, word.end) for word in pointer.push(waveform) + pointer.flush()]
    if not words and round(WINDOW * sample_rate) <= len(waveform) <= LONGEST * sample_rate:
        return [(0, len(waveform))]
    return words


def _bands(sample_rate: int, window: int) -> np.ndarray:
    """The first bin of each band of the spectrum, and the end of the last band: (BANDS + 1,)."""
    lowest, highest = (2595 * np.log10(1 + hertz / 700) for hertz in (LOWEST, HIGHEST))
    mel = np.linspace(lowest, highest, BANDS + 1)
    return np.round(700 * (10 ** (mel / 2595) - 1) / sample_rate * window).astype(int)
