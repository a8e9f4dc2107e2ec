"""What the tools measure stands in docs/using_it.md, and numbers of clips that make no sense are refused."""

import sys

import compare_endpointing
import measure_recordings
import page_tables
import pytest


@pytest.mark.parametrize("number", ["0", "-5", "99999"])
@pytest.mark.parametrize(("tool", "option"), [(compare_endpointing, "--each"), (measure_recordings, "--clips")])
def test_numbers_out_of_range_are_refused(monkeypatch, capsys, tool, option, number):
    monkeypatch.setattr(sys, "argv", [tool.__name__, option, number])
    monkeypatch.setattr(tool, "read_metadata", None)  # nothing is measured
    with pytest.raises(SystemExit):
        tool.main()
    assert f"{option}: expected a whole number from 1 to " in capsys.readouterr().err


@pytest.mark.parametrize("tool", [compare_endpointing, measure_recordings])
def test_the_tables_of_the_page_are_what_was_measured(monkeypatch, tool):
    monkeypatch.setattr(sys, "argv", [tool.__name__, "--check"])
    tool.main()


def test_a_table_that_was_edited_is_found_and_updated(monkeypatch, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n<!-- x -->\nold\n{page_tables.END}\nafter\n")
    monkeypatch.setattr(page_tables, "PAGE", page)
    with pytest.raises(SystemExit, match="<!-- x -->"):
        page_tables.update("<!-- x -->", "new", check=True)
    page_tables.update("<!-- x -->", "new", check=False)
    assert page.read_text() == f"before\n<!-- x -->\nnew\n{page_tables.END}\nafter\n"
    page_tables.update("<!-- x -->", "new", check=True)
