"""Progress of long work, on a terminal and in a log."""

import io
import sys

import pytest

from utils import progress
from utils.progress import Progress


class Clock:
    def __init__(self):
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def passes(self, items, seconds: float):
        """Every item takes some seconds."""
        for item in items:
            self.seconds += seconds
            yield item


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "monotonic", clock)
    return clock


def test_a_log_has_a_line_a_minute_and_one_at_the_end(clock, capsys):
    assert list(Progress(clock.passes(range(10), 25), "models", 10, unit="model")) == list(range(10))
    assert capsys.readouterr().err.splitlines() == [
        "models: 3 of 10 models in 01:15, about 02:55 left",
        "models: 6 of 10 models in 02:30, about 01:40 left",
        "models: 9 of 10 models in 03:45, about 00:25 left",
        "models: 10 of 10 models in 04:10",
    ]


def test_quick_work_leaves_nothing_in_a_log(clock, capsys):
    list(Progress(clock.passes(range(100_000), 0.0005), "clips"))
    list(Progress(clock.passes(range(100), 25), "hidden", shown=False))
    assert capsys.readouterr() == ("", "")


def test_what_is_known_is_told(clock, capsys):
    with Progress(total=60, initial=20, desc="resnet", unit="epoch") as bar:
        clock.seconds = 90
        bar.set_postfix({"loss": "0.500"})
        bar.update(10)
        clock.seconds = 100
    with Progress(desc="download", unit="B", unit_scale=True) as bar:
        clock.seconds += 60
        bar.update(12_345_678)
        clock.seconds += 40
        bar.update(12_345_678)
    assert capsys.readouterr().err.splitlines() == [
        "resnet: 20 of 60 epochs in 01:30 (loss=0.500)",
        "resnet: 30 of 60 epochs in 01:40 (loss=0.500)",
        "download: 12.3MB in 01:00",
        "download: 24.7MB in 01:40",
    ]


def test_a_log_that_is_full_or_closed_stops_nothing(clock, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    work = Progress(clock.passes(range(3), 100), "working")
    stream.close()
    assert list(work) == [0, 1, 2]


def test_a_terminal_has_a_bar_that_is_cleared(clock, monkeypatch):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    assert list(Progress(clock.passes(range(3), 100), "working", 3, mininterval=0)) == [0, 1, 2]
    shown = terminal.getvalue()
    assert "working:  67%|" in shown and "\n" not in shown
    assert shown.rstrip("\r").rpartition("\r")[2].strip() == ""
