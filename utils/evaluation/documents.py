"""Where tables stand in documents: between two comments of Markdown, in a page or in what a notebook's cell put out."""

import json
import re
from collections.abc import Callable

PLACE = re.compile(r"<!-- table ([\w-]+) -->\n(?:(?!<!--).*\n)*<!-- end of table -->")
MARK = re.compile(r"<!--\s*(?:end of )?table\b", re.IGNORECASE)


def marked(name: str, table: str) -> str:
    """A table in Markdown between the two comments by which it is found again."""
    return f"<!-- table {name} -->\n{table}\n<!-- end of table -->"


def update_text(text: str, render: Callable[[str], str]) -> str:
    """A Markdown text with its tables rendered anew; `render` makes a marked table from its name.

    Raises `ValueError` where a mark is missing or misspelt.
    """
    places = PLACE.findall(text)
    if len(MARK.findall(text)) != 2 * len(places):
        last = f"; the last complete one is '{places[-1]}'" if places else ""
        raise ValueError(
            "a table stands between '<!-- table NAME -->' and '<!-- end of table -->', each on a line of its own; "
            f"one of these marks is missing or misspelt{last}"
        )
    return PLACE.sub(lambda place: render(place[1]), text)


def update_notebook(text: str, render: Callable[[str], str]) -> str:
    """As `update_text`, of a notebook's file. Only Markdown that a cell put out holds tables."""
    notebook = json.loads(text)
    for output in (output for cell in notebook["cells"] for output in cell.get("outputs", [])):
        data = output.get("data", {})
        if "text/markdown" in data:  # either one string or a list of lines
            old = "".join(data["text/markdown"])
            new = update_text(old, render)
            data["text/markdown"] = data["text/markdown"] if new == old else new.splitlines(keepends=True)
    new_text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    return text if json.loads(text) == notebook else new_text
