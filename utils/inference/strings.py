"""Strings of digits by a model that follows the sound: digits with their times, without any pauses between them."""

import math
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.inference.endpointing import find_words
from utils.inference.prefix_beam import Digit, PrefixBeam, Probabilities
from utils.inference.recogniser import Prediction, Recogniser, Stream, Word, checked

if TYPE_CHECKING:  # PyTorch is imported where it is used: an exported model (`exported`) answers before it is loaded
    from torch import nn

    from utils.features.log_mel import FeatureConfig, LogMel
    from utils.inference.calibration import Calibration

BLOCK = 10.0  # seconds that are processed at once, at most
SHORTEST = 0.05  # seconds of a digit
RENEWED = 25  # steps: after so many, the state may be made anew, from the same number
SILENT = 38  # steps that must have named no digit for that, 1.5 s
SILENCE = 0.3  # seconds added where a recording begins or ends with a word


@dataclass(frozen=True)
class PlattScaling:
    """How the probability of a digit in a string becomes a confidence (Platt 1999). The defaults change nothing.

    The log odds are multiplied by `slope` and raised by `shift`. `demo/src/strings.js` does the same.
    """

    slope: float = 1.0
    shift: float = 0.0

    def __post_init__(self):
        if not (0.001 <= self.slope <= 100 and -100 <= self.shift <= 100):
            raise ValueError("need slope within [0.001, 100] and shift within [-100, 100]")

    def __call__(self, label: int, probabilities: Probabilities) -> Probabilities:
        """Scale the probability of the digit that was recognised; the others share the remainder as before."""
        chance = min(probabilities[label], 1.0)  # a sum, which rounding can take beyond 1
        right, wrong = math.exp(self.shift) * chance**self.slope, (1 - chance) ** self.slope
        remainder = wrong / (right + wrong) / (1 - chance) if chance < 1 else 0.0
        others = {digit: remainder * other for digit, other in probabilities.items()}
        return others | {label: right / (right + wrong)}


@dataclass(frozen=True)
class Steps:
    """How a model of strings divides a sound."""

    hop: int  # samples from frame to frame
    margin: int  # frames whose windows reach beyond the end of a piece
    stride: int  # frames of a step
    context: int  # frames before and after a step's own, its first, that the model sees


# (samples of a piece, its frames that count, the steps among these that are wanted, the state after the steps before)
# to probabilities (steps, 11), seconds passed (steps, 2), and the state after these steps
Label = Callable[[np.ndarray, range, range, Any], tuple[np.ndarray, np.ndarray, Any]]


class StepLabeller:
    """Samples in, in chunks of any size; the labels of the model's steps out. Memory stays flat.

    Models have learned from strings with silence before and after them, but not from one after the other: after words
    and a long silence, the state of the recurrent layer is none that they know, and they miss words. So in silence the
    state is made anew, as if the sound had begun a moment ago.
    """

    def __init__(self, label: Label, divided: Steps):
        self.label, self.divided = label, divided
        self.received = 0  # samples
        self.kept = np.zeros(0, np.float32)  # the last of them
        self.steps = 0  # labelled so far
        self.silent = 0  # the last of these, which name no digit
        self.state: Any = None  # of the recurrent layer

    def push(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The probabilities (steps, 11) and times (steps, 2) of the steps that further samples (samples,) complete."""
        return self._label(samples, end=False)

    def flush(self) -> tuple[np.ndarray, np.ndarray]:
        """Those of the last steps: the sound ends here."""
        return self._label(np.zeros(0, np.float32), end=True)

    def _label(self, samples: np.ndarray, end: bool) -> tuple[np.ndarray, np.ndarray]:
        hop, margin, stride, context = astuple(self.divided)
        self.received += len(samples)
        first = max(0, stride * (self.steps - RENEWED) - context)  # the first frame needed
        start = (first - (margin if first else 0)) * hop
        self.kept = np.concatenate([self.kept, samples])[start - (self.received - len(samples) - len(self.kept)) :]
        frames = 1 + self.received // hop - (0 if end else margin)
        ready = -(-frames // stride) if end else (frames - context - 1) // stride + 1
        parts = [(np.zeros((0, 11), np.float32), np.zeros((0, 2), np.float32))]
        while self.received and self.steps < ready:
            until = min(ready, (self.steps // RENEWED + 1) * RENEWED)
            probabilities, passed = self._run(range(self.steps, until), frames)
            parts.append((probabilities, passed))
            named = np.flatnonzero(probabilities[:, -1] < 0.5)
            self.silent = len(passed) - 1 - named[-1] if len(named) else self.silent + len(passed)
            self.steps = until
            if until % RENEWED == 0 and self.silent >= SILENT:
                self.state = None
                self._run(range(until - RENEWED, until), frames)
        probabilities, passed = (np.concatenate(each) for each in zip(*parts, strict=True))
        return probabilities, passed

    def _run(self, steps: range, frames: int) -> tuple[np.ndarray, np.ndarray]:
        """Label some steps of the sound, which has so many frames that count. The state becomes that after them."""
        hop, margin, stride, context = astuple(self.divided)
        first, last = max(0, stride * steps.start - context), min(frames, stride * (steps.stop - 1) + 1 + context)
        before = margin if first else 0  # frames of windows that reach beyond the beginning of the piece
        dropped = self.received - len(self.kept)
        piece = self.kept[(first - before) * hop - dropped : (last - 1 + margin) * hop - dropped]
        wanted = range(steps.start - first // stride, steps.stop - first // stride)
        probabilities, passed, self.state = self.label(piece, range(before, before + last - first), wanted, self.state)
        return probabilities, passed


class StringStream(Stream):
    """Sound in, in chunks of any size; digits out, each about a quarter of a second after its end.

    What is no digit is passed over. Memory stays flat.
    """

    MARGIN = 0.0
    UNNOTICED = 1.0  # a digit is named near its end
    recogniser: "StringRecogniser"

    def __init__(self, recogniser: "StringRecogniser"):
        self.recogniser = recogniser
        self.labeller = StepLabeller(recogniser.label, recogniser.divided)
        self.beam = PrefixBeam()
        self.end = 0.0  # of the last digit

    @property
    def seconds(self) -> float:
        return self.labeller.received / self.recogniser.sample_rate

    @property
    def in_word(self) -> bool:
        return self.beam.pending

    def push(self, waveform: np.ndarray) -> list[Word]:
        size = round(BLOCK * self.recogniser.sample_rate)
        pieces = [waveform[start : start + size] for start in range(0, len(waveform), size)]
        return [word for piece in pieces for word in self._words(*self.labeller.push(piece))]

    def flush(self) -> list[Word]:
        rest = self._words(*self.labeller.flush())
        return rest + [self._word(digit) for digit in self.beam.flush()]

    def _words(self, probabilities: np.ndarray, passed: np.ndarray) -> list[Word]:
        time = self._seconds(self.beam.step + np.arange(len(passed)))
        return [self._word(digit) for digit in self.beam.push(probabilities, time[:, None] - passed)]

    def _word(self, digit: Digit) -> Word:
        divided = self.recogniser.divided
        # the seconds that the model had seen when it named the digit, which cannot end later
        seen = min(self._seconds(digit.named.step + divided.context / divided.stride), self.seconds)
        start = min(max(digit.named.start, self.end), seen)
        self.end = max(start, min(max(digit.named.end, start + SHORTEST), seen))
        scaled = self.recogniser.scaling(digit.label, digit.probabilities)
        chances = [(label, scaled.get(label, 0.0)) for label in range(10)]
        ranking = sorted(chances, key=lambda pair: -pair[1])
        rounded = tuple((label, round(chance, 4)) for label, chance in ranking)
        probability = round(scaled[digit.label], 4)
        return Word(start, self.end, Prediction(digit.label, probability, rounded))

    def _seconds(self, steps):
        """The time of steps."""
        return steps * self.recogniser.divided.stride * self.recogniser.divided.hop / self.recogniser.sample_rate


def with_silence(recording: np.ndarray, sample_rate: int) -> tuple[np.ndarray, int]:
    """A recording (samples,) with silence at the ends at which a word lies, and the samples of that before it.

    Models have learned from words with sound around them, and miss those that a recording cuts off tightly.
    """
    words, silence = find_words(recording, sample_rate), round(SILENCE * sample_rate)
    before = silence if words and words[0][0] == 0 else 0
    after = silence if words and words[-1][1] == len(recording) else 0
    return np.pad(recording, (before, after)), before


class StringRecogniser(Recogniser):
    """A recogniser whose model labels each step of a sound, so that a recording is not cut into words."""

    model: Any  # a network with `encode` and `label`, such as `model_neural.crnn.CRNN`

    def __init__(self, name: str, model: "nn.Module", features: "FeatureConfig", calibration: "Calibration"):
        super().__init__(name, model.eval(), features, calibration)

    @cached_property
    def front_end(self) -> "LogMel":
        from utils.features.log_mel import LogMel

        return LogMel(self.features)

    @property
    def divided(self) -> Steps:
        """How the model divides a sound."""
        hop = self.features.hop_length
        return Steps(hop, -(-self.features.n_fft // (2 * hop)), self.model.STRIDE, self.model.CONTEXT)

    @property
    def scaling(self) -> PlattScaling:
        """Of the probabilities of digits in strings."""
        return self.calibration.strings

    def label(self, samples: np.ndarray, frames: range, steps: range, state: Any) -> tuple[np.ndarray, np.ndarray, Any]:
        """What is said at some steps of a piece of sound, as a `Label`."""
        import torch

        with torch.inference_mode():
            waveform = torch.from_numpy(samples).unsqueeze(0)
            features, _ = self.front_end(waveform, torch.tensor([len(samples)]))
            features = features[:, frames.start : frames.stop]
            encoded, _ = self.model.encode(features, torch.tensor([len(frames)]))
            labels, passed, state = self.model.label(encoded[:, steps.start : steps.stop], state)
        return labels[0].exp().numpy(), passed[0].numpy(), state

    def recognise_words(self, waveform: np.ndarray) -> list[Word]:
        clip = checked(waveform)
        padded, before = with_silence(clip, self.sample_rate)
        lead, seconds = before / self.sample_rate, len(clip) / self.sample_rate
        return [
            replace(word, start=min(max(0.0, word.start - lead), seconds), end=min(max(0.0, word.end - lead), seconds))
            for word in super().recognise_words(padded)
        ]

    def stream(self) -> StringStream:
        return StringStream(self)

    def _words_of(self, clip: np.ndarray) -> list[np.ndarray]:
        return [clip]  # the model searches all of it
