"""CTC prefix beam search: the labels of steps become digits, each final as soon as possible.

`demo/src/prefix_beam.js` is the same in the browser, with the same constants; a test compares them.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

BEAM = 8  # prefixes kept
UNLIKELY = 1e-4  # labels and prefixes below this share of the best are dropped
LEAST = 0.22  # a digit less probable than this is not reported: in noise, all digits can be a little probable
CERTAIN = 0.99  # a digit more probable than this is final
PATIENCE = 2  # steps after which it is final in any case

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
