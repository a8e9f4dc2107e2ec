"""Tables in documents: each is replaced between its marks, and nothing else changes."""

import json

import pytest

from utils.evaluation.documents import PLACE, marked, update_notebook, update_text

OLD = "<!-- table course -->\nold\n<!-- end of table -->"
NEW = "<!-- table course -->\n| new |\n<!-- end of table -->"


def render(name: str) -> str:
    return marked(name, "| new |")


def notebook(*outputs: dict, source: str = "1", indent: int = 1) -> str:
    """A notebook with one code cell and one Markdown cell, as Jupyter saves it."""
    code = {"cell_type": "code", "id": "1", "metadata": {}, "execution_count": 1, "source": [source]}
    cells = [
        code | {"outputs": list(outputs)},
        {"cell_type": "markdown", "id": "2", "metadata": {}, "source": [source]},
    ]
    values = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(values, indent=indent, ensure_ascii=False) + "\n"


def shows(markdown: str | list[str]) -> dict:
    """The output of a cell that displays Markdown."""
    data = {"text/markdown": markdown, "text/plain": ["<IPython.core.display.Markdown object>"]}
    return {"output_type": "display_data", "metadata": {}, "data": data}


def test_a_marked_table_is_found_by_its_name():
    assert PLACE.findall(f"before\n{marked('few-labels', '| a |')}\nafter") == ["few-labels"]


def test_tables_are_replaced_and_the_text_around_them_is_kept():
    text = f"# Digits ± 100 %\n\n{OLD}\n\nand more\n{OLD}\n"
    assert update_text(text, render) == f"# Digits ± 100 %\n\n{NEW}\n\nand more\n{NEW}\n"
    assert update_text("no table", render) == "no table"


def test_an_empty_place_does_not_swallow_the_text_up_to_the_next_table():
    empty = "<!-- table course -->\n<!-- end of table -->"
    assert update_text(f"{empty}\n\nbetween\n\n{empty}\n", render) == f"{NEW}\n\nbetween\n\n{NEW}\n"


START, END = "<!-- table course -->\n", "<!-- end of table -->\n"
BROKEN = {
    "no end": START + "old\n\nprose\n\n" + START + "old\n" + END,
    "no start": START + "old\n" + END + "old\n" + END,
    "misspelt start": "<!--Table course -->\nold\n" + END,
    "misspelt end": START + "old\n<!-- end of table-->\n",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_missing_and_misspelt_marks_are_refused(text):
    with pytest.raises(ValueError, match="marks is missing or misspelt"):
        update_text(text, render)


def test_only_markdown_outputs_of_a_notebook_are_updated():
    stream = {"output_type": "stream", "name": "stdout", "text": [OLD]}
    new = update_notebook(notebook(stream, shows(["é\n", OLD, "\nmore"]), source=OLD), render)
    assert "é" in new  # not escaped, as Jupyter writes it
    code, text = json.loads(new)["cells"]
    assert code["outputs"][0]["text"] == code["source"] == text["source"] == [OLD]
    data = code["outputs"][1]["data"]
    assert "".join(data["text/markdown"]) == f"é\n{NEW}\nmore"
    assert data["text/plain"] == ["<IPython.core.display.Markdown object>"]


@pytest.mark.parametrize("markdown", [NEW, NEW.splitlines(keepends=True), "no table"], ids=["string", "lines", "none"])
def test_an_up_to_date_notebook_keeps_its_own_formatting(markdown):
    text = notebook(shows(markdown), indent=4)
    assert update_notebook(text, render) == text


@pytest.mark.parametrize(
    "text", ['{"cells": [', "[]", '{"cells": [1]}', "[" * 5000, notebook({"data": 1}), notebook(shows([1]))]
)
def test_a_file_that_is_not_a_notebook_is_refused(text):
    with pytest.raises(ValueError):
        update_notebook(text, render)
