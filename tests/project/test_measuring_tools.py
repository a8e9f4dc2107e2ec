"""The tools that measure what the pages of `docs/` show refuse numbers of clips that make no sense."""

import sys

import compare_endpointing
import measure_recordings
import pytest


@pytest.mark.parametrize("number", ["0", "-5", "99999"])
@pytest.mark.parametrize(("tool", "option"), [(compare_endpointing, "--each"), (measure_recordings, "--clips")])
def test_numbers_out_of_range_are_refused(monkeypatch, capsys, tool, option, number):
    monkeypatch.setattr(sys, "argv", [tool.__name__, option, number])
    monkeypatch.setattr(tool, "read_metadata", None)  # nothing is measured
    with pytest.raises(SystemExit):
        tool.main()
    assert f"{option}: expected a whole number from 1 to " in capsys.readouterr().err
