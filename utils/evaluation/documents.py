"""Tables in documents: each stands between two Markdown comments, in a page or in the output of a notebook cell."""

import json
import re
from collections.abc import Callable

PLACE = re.compile(r"<!-- table ([\w-]+) -->\n(?:(?!<!--).*\n)*<!-- end of table -->")
MARK = re.compile(r"<!--\s*(?:end of )?table\b", re.IGNORECASE)


def marked(name: str, table: str) -> str:
    """A Markdown table between the two comments that mark its place."""
    return f"<!-- table {name} -->\n{table}\n<!-- end of table -->"


def update_text(text: str, render: Callable[[str], str]) -> str:
    """Render the tables of a Markdown text again; `render` returns a marked table for a table's name.

    Raises `ValueError` if a mark is missing or misspelt.
    """
    places = PLACE.findall(text)
    if len(MARK.findall(text)) != 2 * len(places):
        last = f"; the last complete one is '{places[-1]}'" if places else ""
        raise ValueError(
            "tables go between '<!-- table NAME -->' and '<!-- end of table -->', each on its own line; "
            f"one of these marks is missing or misspelt{last}"
        )
    return PLACE.sub(lambda place: render(place[1]), text)


def update_notebook(text: str, render: Callable[[str], str]) -> str:
    """Like `update_text`, for the text of a notebook file. Only the Markdown outputs of cells contain tables.

    Raises `ValueError` if it is not a notebook, too.
    """
    try:
        notebook = json.loads(text)
        outputs = [output.get("data", {}) for cell in notebook["cells"] for output in cell.get("outputs", [])]
        shown = [(data, "".join(data["text/markdown"])) for data in outputs if "text/markdown" in data]
    except (AttributeError, LookupError, RecursionError, TypeError):
        raise ValueError("not a notebook") from None
    for data, old in shown:  # its Markdown is a string or a list of lines
        new = update_text(old, render)
        data["text/markdown"] = data["text/markdown"] if new == old else new.splitlines(keepends=True)
    new_text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    return text if json.loads(text) == notebook else new_text
