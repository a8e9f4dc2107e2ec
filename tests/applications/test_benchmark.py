"""The benchmark's refusal where it cannot measure; it takes minutes, so the tests do not run it."""

import sys

import pytest

from utils import InputError
from utils.applications import benchmark


def test_windows_is_refused_before_anything_is_measured(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(InputError, match="does not run on Windows"):
        benchmark.measure()
