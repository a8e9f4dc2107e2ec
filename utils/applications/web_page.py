"""Reports as web pages: one HTML file each, in one style, with players that look for the clips where they are now."""

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

STYLE = Path(__file__).with_suffix(".css")


def document(title: str, body: str) -> str:
    """A page of this title (text) and body (HTML)."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{STYLE.read_text(encoding="utf-8")}</style>
</head>
<body>
<main>
{body}</main>
</body>
</html>
"""


def table(rows: Sequence[Sequence[str]], header: bool = True) -> str:
    """A table of texts, of which the first row is the header."""
    tags = ["th" if header else "td", *["td"] * len(rows)]
    lines = ("".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row) for row, tag in zip(rows, tags, strict=False))
    return f'<div class="wide"><table>{"".join(f"<tr>{line}</tr>" for line in lines)}</table></div>'


def clip(caption: str, path: str | None, folder: Path) -> str:
    """A caption (text) with a player of the clip at `path`, if any, for a page in `folder`."""
    player = "" if path is None else f'<audio controls preload="none" src="{_address(path, folder)}"></audio>'
    return f'<div class="clip"><span>{escape(caption)}</span>{player}</div>'


def _address(path: str, folder: Path) -> str:
    """The address of a file, relative to the page's folder."""
    try:
        relative = Path(os.path.relpath(Path(path).resolve(), folder))
    except ValueError:  # on another drive of Windows
        return escape(Path(path).resolve().as_uri())
    return escape(quote(relative.as_posix()))
