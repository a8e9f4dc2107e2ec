"""The report on a corpus as a web page: one file, with charts, and players that point to the clips."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd

from utils import count
from utils.applications import web_page
from utils.applications.corpus_check.findings import CHECKS, SEVERITIES, Finding, Report
from utils.data.metadata import SPLITS
from utils.files import write_text

OPEN = 20  # findings of a check that are shown at once; the others unfold
WIDTH, HEIGHT, LEFT, BOTTOM = 320, 150, 34, 20  # of a chart


def write_page(report: Report, path: Path) -> None:
    """Write the report as a web page, atomically. The players look for the clips where they are now."""
    write_text(path, page(report, path.parent.resolve()))


def page(report: Report, folder: Path) -> str:
    """The HTML of the report, to be stored in `folder`."""
    clips = report.clips
    tiles = [
        tile(len(clips), "clip"),
        tile(clips["speaker"].nunique(), "speaker"),
        f"<li><strong>{clips['seconds'].sum() / 60:.1f}</strong> minutes</li>",
        *(tile(report.count(severity), severity) for severity in SEVERITIES),
    ]
    groups = [(severity, check, found) for severity in SEVERITIES for check, found in report.groups(severity)]
    contents = [
        f'<li><a href="#{anchor(severity, check)}">{CHECKS[check][0]}</a> <span class="{severity}">'
        f"{count(len(found), severity)}</span></li>"
        for severity, check, found in groups
    ]
    name = "/".join(report.table.resolve().parts[-2:])  # most tables are called metadata.tsv
    body = f"""<h1>{escape(name)}</h1>
<p class="faint">Report of <code>sdr data check</code>. The players need the clips where they were when it was made.</p>
<ul class="tiles">{"".join(tiles)}</ul>
<nav aria-label="Findings"><ul>{"".join(contents) or "<li>Nothing was found.</li>"}</ul></nav>
<div class="charts">
{histogram("Duration, s", clips["seconds"])}
{histogram("Level of the speech, dB re full scale", clips["level_db"])}
{bars("Clips by label", clips, "label")}
{bars("Clips by speaker", clips, "speaker")}
</div>
{"".join(section(report, folder, *group) for group in groups)}
"""
    return web_page.document(f"{name}: {report.verdict()}", body)


def tile(number: int, thing: str) -> str:
    severity = thing if thing in SEVERITIES and number else ""
    return f'<li class="{severity}"><strong>{number}</strong> {count(number, thing).split()[1]}</li>'


def anchor(severity: str, check: str) -> str:
    return f"{severity}-{check.replace(' ', '-')}"


def section(report: Report, folder: Path, severity: str, check: str, findings: Sequence[Finding]) -> str:
    """The findings of a check: the first of them at once, the others to unfold."""
    title, advice = CHECKS[check]
    items = [item(report.clips, folder, finding) for finding in findings]
    rest = items[OPEN:]
    more = (
        f'<details class="more"><summary>{len(rest)} more</summary><ul>{"".join(rest)}</ul></details>' if rest else ""
    )
    return f"""<section id="{anchor(severity, check)}">
<h2>{title} <span class="{severity}">{count(len(findings), severity)}</span></h2>
<p class="faint">{advice}</p>
<ul>{"".join(items[:OPEN])}</ul>{more}
</section>
"""


def item(clips: pd.DataFrame, folder: Path, finding: Finding) -> str:
    """A finding and players of its clips."""
    shown = ""
    for clip in clips.iloc[list(finding.clips[:2])].itertuples():
        path = None if finding.check == "unreadable" else clip.path
        shown += web_page.clip(f"row {clip.row}: {clip.file}", path, folder)
    return f"<li>{escape(finding.message)}{shown}</li>"


def histogram(title: str, values: pd.Series, bins: int = 30) -> str:
    """A histogram of numbers, NaN left out."""
    values = values.dropna()
    if values.empty:
        return ""
    numbers, edges = np.histogram(values, bins)
    width = (WIDTH - LEFT) / bins
    shapes = []
    for i, number in enumerate(numbers.tolist()):
        note = f"{edges[i]:.2f} to {edges[i + 1]:.2f}: {number}"
        shapes += [rectangle(LEFT + i * width, width - 1, 0, number / numbers.max(), note)] if number else []
    ticks = [(LEFT, f"{edges[0]:.2g}", "start"), (WIDTH, f"{edges[-1]:.2g}", "end")]
    middle = (edges[0] + edges[-1]) / 2
    return chart(title, shapes, [*ticks, ((LEFT + WIDTH) / 2, f"{middle:.2g}", "middle")], int(numbers.max()))


def bars(title: str, clips: pd.DataFrame, column: str, most: int = 40) -> str:
    """The number of clips by label or speaker, stacked by split; the largest `most` of them."""
    table = pd.crosstab(clips[column], clips["split"]).reindex(columns=SPLITS, fill_value=0)
    if len(table) > most:
        title += f" (the {most} with most of {len(table)})"
        table = table.loc[table.sum(axis=1).nlargest(most).index]
    highest = int(table.sum(axis=1).max())
    width = (WIDTH - LEFT) / len(table)
    shapes, ticks = [], []
    for i, (value, row) in enumerate(table.iterrows()):
        base, left = 0.0, LEFT + i * width
        for split in SPLITS:
            if row[split]:
                note = f"{value}, {split}: {row[split]}"
                shapes.append(rectangle(left, max(width - 2, width / 2), base, row[split] / highest, note, split))
            base += row[split] / highest
        if len(str(value)) * 6 < width or (len(table) <= 10 and len(table) > 1):
            text = str(value) if len(str(value)) * 6 < width else f"{str(value)[: max(1, int(width / 6.5) - 1)]}…"
            ticks.append((left + width / 2, text, "middle"))
    return chart(title, shapes, ticks, highest, splits=[split for split in SPLITS if table[split].any()])


def rectangle(left: float, width: float, base: float, share: float, note: str, kind: str = "") -> str:
    """A bar from `base` upwards, both as shares of the chart's height; `note` appears under the mouse."""
    room = HEIGHT - BOTTOM - 8
    top = HEIGHT - BOTTOM - (base + share) * room
    return (
        f'<rect class="{kind}" x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{max(share * room, 0.7):.1f}">'
        f"<title>{escape(note)}</title></rect>"
    )


def chart(
    title: str, shapes: Iterable[str], ticks: Iterable[tuple[float, str, str]], highest: int, splits: Sequence[str] = ()
) -> str:
    """A figure of bars: `ticks` are (x, text, anchor), `highest` the value at the top."""
    labels = "".join(
        f'<text x="{x:.1f}" y="{HEIGHT - 5}" text-anchor="{where}">{escape(text)}</text>' for x, text, where in ticks
    )
    key = "".join(f'<i class="{split}"></i>{split}' for split in splits)
    return f"""<figure><h3>{escape(title)}</h3>
<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">
<text x="{LEFT - 5}" y="16" text-anchor="end">{highest}</text>
<text x="{LEFT - 5}" y="{HEIGHT - BOTTOM}" text-anchor="end">0</text>{"".join(shapes)}{labels}</svg>
{f'<p class="key">{key}</p>' if key else ""}</figure>"""
