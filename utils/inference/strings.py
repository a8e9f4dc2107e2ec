"""Strings of digits by a model that follows the sound: digits with their times, without any pauses between them."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from utils.features.log_mel import FeatureConfig, LogMel
from utils.inference.recogniser import Prediction, Recogniser, Stream, Word

BLOCK = 10.0  # seconds that are processed at once, at most
BEAM = 8  # prefixes kept
UNLIKELY = 1e-4  # labels and prefixes below this share of the best are dropped
LEAST = 0.22  # a digit less probable than this is not reported: in noise, all digits can be a little probable
CERTAIN = 0.99  # a digit more probable than this is final
PATIENCE = 2  # steps after which it is final in any case
SHORTEST = 0.05  # seconds of a digit

Probabilities = dict[int, float]


class Named(NamedTuple):
    """A step that names a digit: how probable it is there, and when the digit starts and ends (seconds)."""

    step: int
    chance: float
    start: float
    end: float

    def same_word(self, other: "Named") -> bool:
        """Whether both lie upon one another for more than half of the shorter."""
        shared = min(self.end, other.end) - max(self.start, other.start)
        return shared > min(self.end - self.start, other.end - other.start) / 2


@dataclass(frozen=True)
class Digit:
    """A digit of a string: where it is named, and the probabilities of the digits there."""

    label: int
    named: Named
    probabilities: Probabilities  # what is missing to 1 is the probability that there is none


@dataclass
class Prefix:
    """A string that may have been said since the last final digit."""

    blank: float = 0.0  # probability of all paths that end with the blank
    named: float = 0.0  # and of those that end with the last digit
    digits: tuple[Named, ...] = ()  # each where it is the most probable

    @property
    def total(self) -> float:
        return self.blank + self.named


class PrefixBeam:
    """CTC prefix beam search (Hannun et al., arXiv:1408.2873, 2014) that decides about each digit as it goes.

    Networks tend to name a digit twice in noise. Where both times claim the same stretch of the sound, it is reported
    once, although the blank between them makes two of them. A digit's probability is that of all strings in the beam
    that continue with it.
    """

    def __init__(self) -> None:
        self.step = 0
        self.last: int | None = None  # the last final digit
        self.reported: Digit | None = None
        self.prefixes: dict[tuple[int, ...], Prefix] = {(): Prefix(blank=1.0)}

    def push(self, probabilities: np.ndarray, spans: np.ndarray) -> list[Digit]:
        """The next steps to the digits that are final now.

        Args:
            probabilities: (steps, 11) of the digits and the blank.
            spans: (steps, 2) of the digit that may be named at each step, its start and end in seconds.
        """
        found = []
        for row, (start, end) in zip(probabilities.tolist(), spans.tolist(), strict=True):
            self._extend(row, start, end)
            self.step += 1
            found += self._final_digits(CERTAIN, PATIENCE)
        return found

    def flush(self) -> list[Digit]:
        """The digits that remain at the end."""
        return self._final_digits(0.0, 0)

    @property
    def pending(self) -> bool:
        """Whether a digit has probably been said that is not final yet."""
        return bool(max(self.prefixes, key=lambda prefix: self.prefixes[prefix].total))

    def _extend(self, row: list[float], start: float, end: float) -> None:
        """One step further: every prefix goes on with the blank, its own last digit, or another digit."""
        *digits, blank = row
        likely = [label for label, chance in enumerate(digits) if chance >= UNLIKELY]
        extended: dict[tuple[int, ...], Prefix] = {}

        def add(prefix: tuple[int, ...], where: tuple[Named, ...], blank: float = 0.0, named: float = 0.0) -> None:
            known = extended.setdefault(prefix, Prefix())
            if blank + named > known.total or len(known.digits) != len(prefix):
                known.digits = where
            known.blank, known.named = known.blank + blank, known.named + named

        for prefix, path in sorted(self.prefixes.items(), key=lambda item: -item[1].total):
            ends_with = prefix[-1] if prefix else self.last
            add(prefix, path.digits, blank=path.total * blank)
            for label in likely:
                named = Named(self.step, digits[label], start, end)
                longer = (*path.digits, named)
                if label != ends_with:
                    add((*prefix, label), longer, named=path.total * named.chance)
                    continue
                add((*prefix, label), longer, named=path.blank * named.chance)
                clearer = prefix and named.chance > path.digits[-1].chance
                add(prefix, (*path.digits[:-1], named) if clearer else path.digits, named=path.named * named.chance)
        best = sorted(extended.items(), key=lambda item: -item[1].total)[:BEAM]
        self._keep({prefix: path for prefix, path in best if path.total >= UNLIKELY * best[0][1].total})

    def _final_digits(self, certain: float, patience: int) -> list[Digit]:
        """All digits that are final now."""
        found = []
        while (digit := self._final(certain, patience)) is not None:
            before = self.reported
            again = before is not None and before.label == digit.label and digit.named.same_word(before.named)
            if digit.probabilities[digit.label] >= LEAST and not again:
                found.append(digit)
                self.reported = digit
        return found

    def _final(self, certain: float, patience: int) -> Digit | None:
        """The next digit of the most probable string, if it is certain or old enough."""
        best = max(self.prefixes, key=lambda prefix: self.prefixes[prefix].total)
        if not best:
            return None
        named = self.prefixes[best].digits[0]
        chances: Probabilities = {}
        for prefix, path in self.prefixes.items():
            if prefix:
                chances[prefix[0]] = chances.get(prefix[0], 0.0) + path.total
        if chances[best[0]] < certain and self.step - named.step <= patience:
            return None
        going_on = {prefix: path for prefix, path in self.prefixes.items() if prefix[:1] == best[:1]}
        self.last = best[0]
        self._keep({p[1:]: Prefix(path.blank, path.named, path.digits[1:]) for p, path in going_on.items()})
        return Digit(best[0], named, chances)

    def _keep(self, prefixes: dict[tuple[int, ...], Prefix]) -> None:
        total = sum(path.total for path in prefixes.values())
        for path in prefixes.values():
            path.blank, path.named = path.blank / total, path.named / total
        self.prefixes = prefixes


class StepLabeller:
    """Samples in, in chunks of any size; the labels of the model's steps out. Memory stays flat."""

    def __init__(self, model: Any, features: FeatureConfig):
        self.model, self.front_end = model.eval(), LogMel(features)
        self.hop = features.hop_length
        self.margin = -(-features.n_fft // (2 * self.hop))  # frames whose windows reach beyond the end of a piece
        self.received = 0  # samples
        self.kept = np.zeros(0, np.float32)  # the last of them
        self.steps = 0  # labelled so far
        self.state: Tensor | None = None  # of the recurrent layer

    def push(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The probabilities (steps, 11) and times (steps, 2) of the steps that further samples (samples,) complete."""
        return self._label(samples, end=False)

    def flush(self) -> tuple[np.ndarray, np.ndarray]:
        """Those of the last steps: the sound ends here."""
        return self._label(np.zeros(0, np.float32), end=True)

    @torch.inference_mode()
    def _label(self, samples: np.ndarray, end: bool) -> tuple[np.ndarray, np.ndarray]:
        stride, context = self.model.STRIDE, self.model.CONTEXT
        self.kept = np.concatenate([self.kept, samples])
        self.received += len(samples)
        first = max(0, stride * self.steps - context)  # the first frame needed, and before it those of the windows
        before = self.margin if first else 0
        start = (first - before) * self.hop
        self.kept = self.kept[start - (self.received - len(self.kept)) :]
        frames = 1 + self.received // self.hop - (0 if end else self.margin)
        ready = -(-frames // stride) if end else (frames - context - 1) // stride + 1
        if ready <= self.steps or not self.received:
            return np.zeros((0, 11), np.float32), np.zeros((0, 2), np.float32)
        features, _ = self.front_end(torch.from_numpy(self.kept).unsqueeze(0), torch.tensor([len(self.kept)]))
        features = features[:, before : before + frames - first]
        encoded, _ = self.model.encode(features, torch.tensor([features.shape[1]]))
        own = encoded[:, self.steps - first // stride : ready - first // stride]
        labels, passed, self.state = self.model.label(own, self.state)
        self.steps = ready
        return labels[0].exp().numpy(), passed[0].numpy()


class StringStream(Stream):
    """Sound in, in chunks of any size; digits out, each about a quarter of a second after its end.

    What is no digit is passed over. Memory stays flat.
    """

    MARGIN = 0.0
    UNNOTICED = 1.0  # a digit is named near its end

    def __init__(self, recogniser: Recogniser):
        self.recogniser = recogniser
        self.labeller = StepLabeller(recogniser.model, recogniser.features)
        self.beam = PrefixBeam()
        self.end = 0.0  # of the last digit

    @property
    def seconds(self) -> float:
        return self.labeller.received / self.recogniser.features.sample_rate

    @property
    def in_word(self) -> bool:
        return self.beam.pending

    def push(self, waveform: np.ndarray) -> list[Word]:
        size = round(BLOCK * self.recogniser.features.sample_rate)
        pieces = [waveform[start : start + size] for start in range(0, len(waveform), size)]
        return [word for piece in pieces for word in self._words(*self.labeller.push(piece))]

    def flush(self) -> list[Word]:
        rest = self._words(*self.labeller.flush())
        return rest + [self._word(digit) for digit in self.beam.flush()]

    def _words(self, probabilities: np.ndarray, passed: np.ndarray) -> list[Word]:
        time = self._seconds(self.beam.step + np.arange(len(passed)))
        return [self._word(digit) for digit in self.beam.push(probabilities, time[:, None] - passed)]

    def _word(self, digit: Digit) -> Word:
        model = self.labeller.model  # which had heard the sound up to:
        heard = min(self._seconds(digit.named.step + model.CONTEXT / model.STRIDE), self.seconds)
        start = min(max(digit.named.start, self.end), heard)
        self.end = max(start, min(max(digit.named.end, start + SHORTEST), heard))
        chances = [(label, digit.probabilities.get(label, 0.0)) for label in range(10)]
        ranking = sorted(chances, key=lambda pair: -pair[1])
        rounded = tuple((label, round(chance, 4)) for label, chance in ranking)
        probability = round(digit.probabilities[digit.label], 4)
        return Word(start, self.end, Prediction(digit.label, probability, rounded))

    def _seconds(self, steps):
        """The time of steps."""
        features = self.recogniser.features
        return steps * self.labeller.model.STRIDE * features.hop_length / features.sample_rate


class StringRecogniser(Recogniser):
    """A recogniser whose model labels each step of a sound, so that a recording is not cut into words."""

    def stream(self) -> StringStream:
        return StringStream(self)

    def _words_of(self, clip: np.ndarray) -> list[np.ndarray]:
        return [clip]  # the model searches all of it
