"""A grade as a web page: one file with pictures, and players of the misrecognised clips."""

import base64
import io
from html import escape
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from utils.applications import web_page
from utils.applications.grading.grade import Grade
from utils.applications.grading.text import claim, cost, leakage, p_value
from utils.evaluation import figures
from utils.files import write_text


def write_page(grade: Grade, path: Path) -> None:
    """Write the grade as a web page, atomically. The players look for the clips where they are now."""
    write_text(path, page(grade, path.parent.resolve()))


def page(grade: Grade, folder: Path) -> str:
    """The HTML of the grade, to be stored in `folder`."""
    measured = grade.measured
    low, high = measured["interval"]
    broken = [rule for rule, message in grade.broken.items() if message]
    tiles = [
        (f"{measured['accuracy']:.1%}", f"of {measured['n']} clips", ""),
        (f"{100 * low:.1f}–{100 * high:.1f}%", "95 % interval", ""),
        *_claim_tile(grade),
        (f"{len(grade.broken) - len(broken)} of {len(grade.broken)}", "promises kept", "error" if broken else ""),
        ("found" if grade.leakage.found else "none found", "leakage", "error" if grade.leakage.found else ""),
        (f"{grade.parameters:,}", "parameters", ""),
    ]
    shown = [f'<li class="{kind}"><strong>{value}</strong> {what}</li>' for value, what, kind in tiles]
    rules = sorted(
        ([rule, message or "kept"] for rule, message in grade.broken.items()), key=lambda row: row[1] == "kept"
    )
    notes = [claim(grade), f"leakage   {leakage(grade.leakage)}", cost(grade)]
    if grade.changed:
        notes.append(f"changed   {', '.join(grade.changed)}: not used, the grader's own are")
    with plt.rc_context(figures.LITERAL):
        pictures = [picture(draw(grade), title) for title, draw in PICTURES.items()]
    body = f"""<h1>{escape(grade.name)}</h1>
<p class="faint">Report of <code>sdr grade</code> on a <code>{escape(grade.model)}</code>, by clips of
{", ".join(map(escape, measured["per_speaker"]))}. The players need the clips where they were when it was made.</p>
<ul class="tiles">{"".join(shown)}</ul>
{web_page.table([note.split(maxsplit=1) for note in notes], header=False)}
<div class="charts">{"".join(pictures)}</div>
<section><h2>Contract and conduct</h2>{web_page.table(rules, header=False)}</section>
<section><h2>Beside the project's models</h2>
<p class="faint">On the same clips. Positive differences are in favour of this submission; the interval is by a paired
bootstrap, p by McNemar's exact test, corrected for the number of models (Holm).</p>
{web_page.table(_references(grade))}</section>
{_misrecognised(grade, folder)}
"""
    return web_page.document(f"{grade.name}: {measured['accuracy']:.1%}", body)


def _claim_tile(grade: Grade) -> list[tuple[str, str, str]]:
    if grade.claimed is None:
        return []
    return [(f"{grade.claimed:.1%}", "claimed: " + ("holds" if grade.claim_holds else "refuted"),
             "" if grade.claim_holds else "error")]  # fmt: skip


def _references(grade: Grade) -> list[list[str]]:
    rows = [["model", "accuracy, %", "difference, points", "95 % interval", "p"]]
    for name, other in grade.references.items():
        accuracy, difference = f"{100 * other.accuracy:.1f}", f"{100 * other.difference:+.1f}"
        interval = " to ".join(f"{100 * end:+.1f}" for end in other.interval)
        rows.append([name, accuracy, difference, interval, p_value(other.p_value)])
    return rows


def _misrecognised(grade: Grade, folder: Path) -> str:
    """The clips that the submission gets wrong, with players."""
    wrong = grade.clips[grade.clips["label"] != grade.clips["predicted"]]
    items = [
        web_page.clip(f"{c.identifier}: {c.label} by {c.speaker}, recognised as {c.predicted}", c.path, folder)
        for c in wrong.itertuples()
    ]
    listed = "".join(f"<li>{item}</li>" for item in items)
    return f"<section><h2>Misrecognised: {len(items)} clips</h2><ul>{listed}</ul></section>"


def picture(ax: Axes, title: str) -> str:
    """A figure within the page."""
    buffer = io.BytesIO()
    ax.figure.savefig(buffer, dpi=140, bbox_inches="tight")  # type: ignore[union-attr]
    plt.close(ax.figure)  # type: ignore[arg-type]
    data = base64.b64encode(figures.compress(buffer.getvalue())).decode()
    return f'<figure><h3>{title}</h3><img alt="{title}" src="data:image/png;base64,{data}"></figure>'


def draw_accuracy(grade: Grade) -> Axes:
    """The accuracy with its interval and the claim, and that of each reference."""
    names = [grade.name, *grade.references]
    percent = [100 * share for share in (grade.measured["accuracy"], *(o.accuracy for o in grade.references.values()))]
    low, high = (100 * end for end in grade.measured["interval"])
    ax = figures.new_axes(5, 1.2 + 0.3 * len(names))
    ax.plot(percent[1:], range(1, len(names)), "o", color=figures.COLOURS[0])
    ax.plot([low, high], [0, 0], color=figures.COLOURS[5], linewidth=3)
    ax.plot(percent[:1], [0], "o", color=figures.COLOURS[5], label="this submission")
    if grade.claimed is not None:
        ax.axvline(100 * grade.claimed, color="black", linestyle="--", linewidth=1, label="claimed")
    ax.set(xlabel="accuracy / %")
    ax.set_yticks(range(len(names)), [name if len(name) < 30 else f"{name[:29]}…" for name in names])
    ax.invert_yaxis()
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 1.15), ncols=2)
    return ax


def draw_differences(grade: Grade) -> Axes:
    """The difference to each reference, with its interval."""
    ax = figures.new_axes(5, 1.2 + 0.3 * len(grade.references))
    for place, other in enumerate(grade.references.values()):
        low, high = (100 * end for end in other.interval)
        ax.plot([low, high], [place, place], color=figures.COLOURS[0], linewidth=3)
        ax.plot(100 * other.difference, place, "o", color=figures.COLOURS[0])
    ax.axvline(0, color="black", linewidth=1)
    ax.set(xlabel="this submission is better by / points")
    ax.set_yticks(range(len(grade.references)), grade.references)
    ax.invert_yaxis()
    return ax


def draw_shares(shares: dict[str, float], kind: str) -> Axes:
    """The accuracy for each speaker or digit."""
    ax = figures.new_axes(max(4, 2 + 0.3 * len(shares)), 2.8)
    bars = ax.bar(list(shares), [100 * share for share in shares.values()])
    ax.bar_label(bars, fmt="%.0f")
    ax.set(xlabel=kind, ylabel="accuracy / %", ylim=(0, 109))
    ax.tick_params(axis="x", rotation=90 if len(shares) > 10 else 0)
    return ax


PICTURES = {
    "Accuracy": draw_accuracy,
    "Beside the project's models": draw_differences,
    "By speaker": lambda grade: draw_shares(grade.measured["per_speaker"], "speaker"),
    "By digit": lambda grade: draw_shares(grade.measured["per_digit"], "digit"),
    "Confusions": lambda grade: figures.confusion(grade.measured["confusion"]),
}
