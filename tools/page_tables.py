"""Tables in docs/using_it.md that tools measure: each stands between two comments; the first names its tool."""

import sys

from utils.files import write_text
from utils.paths import PROJECT

PAGE = PROJECT / "docs" / "using_it.md"
END = "<!-- end -->"


def update(begin: str, table: str, check: bool) -> None:
    """Put a table between the comments `begin` and `END`. With `check`, only exit if another one stands there."""
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(begin)
    updated = f"{before}{begin}\n{table}\n{END}{rest.split(END, 1)[1]}"
    if not check:
        write_text(PAGE, updated)
    elif updated != page:
        sys.exit(f"{PAGE}: the table after '{begin}' is not what was measured; run that tool again")
