"""Progress of long work: a bar on a terminal, and a plain line a minute in a log."""

import io
import sys
from contextlib import suppress
from time import monotonic
from typing import Any

from tqdm import tqdm

INTERVAL = 60.0  # seconds between two lines of a log


class Progress(tqdm):
    """tqdm's progress bar on standard error, which is cleared at the end.

    Where standard error is no terminal, there is a line a minute instead, and a last one after work that took longer
    than that. Quicker work leaves no trace in a log.

    Args:
        iterable, desc, total: as for tqdm.
        shown: whether to show anything.
        unit: what is counted, in the singular.
        settings: of tqdm.
    """

    def __init__(
        self,
        iterable: Any = None,
        desc: str | None = None,
        total: float | None = None,
        *,
        shown: bool = True,
        unit: str = "it",
        **settings: Any,
    ):
        self.in_log = not sys.stderr.isatty()
        self.started = monotonic()
        self.next_line = self.started + INTERVAL
        if self.in_log:  # what tqdm itself writes goes nowhere, and every step looks at the clock
            settings |= {"file": io.StringIO(), "mininterval": 0, "miniters": 1}
        super().__init__(iterable, desc, total, disable=not shown, unit=unit, leave=False, **settings)

    def display(self, msg: str | None = None, pos: int | None = None) -> Any:
        """Show the present state: called by tqdm after every step."""
        if not self.in_log:
            return super().display(msg, pos)
        if msg is None and monotonic() >= self.next_line and self.n != self.total:  # the last line follows anyway
            self.next_line = monotonic() + INTERVAL
            self._print(self._remaining())
        return True

    def close(self) -> None:
        """Clear the bar, or print the last line of a log."""
        if self.in_log and not self.disable and monotonic() >= self.started + INTERVAL:
            self._print("")
        super().close()

    def _remaining(self) -> str:
        done = self.n - self.initial
        if not self.total or done <= 0:
            return ""
        seconds = (monotonic() - self.started) / done * (self.total - self.n)
        return f", about {self.format_interval(max(seconds, 0))} left"

    def _print(self, remaining: str) -> None:
        scale = self.unit_scale if not isinstance(self.unit_scale, bool) else 1
        counts = [
            self.format_sizeof(number) if self.unit_scale is True else str(int(number * scale))
            for number in (self.n, self.total)
            if number is not None
        ]
        unit = {"it": "", "B": "B"}.get(self.unit, f" {self.unit}s")
        elapsed = self.format_interval(monotonic() - self.started)
        title = f"{self.desc.removesuffix(': ')}: " if self.desc else ""
        more = f" ({self.postfix})" if self.postfix else ""
        with suppress(OSError, ValueError):  # standard error is full or closed
            print(f"{title}{' of '.join(counts)}{unit} in {elapsed}{remaining}{more}", file=sys.stderr, flush=True)
