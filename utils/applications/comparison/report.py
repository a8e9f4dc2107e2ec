"""A comparison of models, as text and as a web page with players of the clips that only one of them recognises."""

from html import escape
from pathlib import Path

from utils import count
from utils.applications import web_page
from utils.applications.comparison.compare import Comparison
from utils.evaluation.tables import cell, percent
from utils.files import write_text

FEW = 10  # speakers and clips that the text names; the page and the JSON have all of them
COSTS = {"parameters": "parameters", "multiply_adds": "multiply-adds (1 s clip)", "train_seconds": "training"}
CAUTION = """\
p is corrected for the number of pairs (Holm); that of McNemar's test is the median over pairs of seeds. The tests tell
how much is due to these clips and seeds, and not whether other speakers would rank the models alike."""


def text(comparison: Comparison) -> str:
    """The comparison as plain text."""
    speakers = [str(name) for name in comparison.clips["speaker"].unique()]
    shown = speakers[:FEW]
    lines = [f"{_tested(comparison)}", "", *_aligned(_models(comparison)), ""]
    lines += ["Accuracy by speaker, %", *_aligned(_by_speaker(comparison, shown))]
    lines += [f"({len(speakers) - FEW} more speakers: see --json or --html)"] if len(speakers) > FEW else []
    lines += ["", "Which is better?", *(f"  {summary(pair)}" for pair in comparison.pairs), CAUTION, ""]
    lines.append("Clips that only one of them recognises (in most of its seeds)")
    for name, clips in comparison.only.items():
        more = f", and {len(clips) - FEW} more (--html plays them)" if len(clips) > FEW else ""
        lines.append(f"  {name} ({len(clips)}){': ' * bool(clips)}{', '.join(clips[:FEW])}{more}")
    return "\n".join(lines)


def summary(pair: dict) -> str:
    """A pair in words, the better model first."""
    better, worse, points = pair["better"], pair["worse"], 100 * pair["difference"]
    low, high = (100 * end for end in pair["interval"])
    tests = f"p {_p(pair['p_clips'])} over clips, {_p(pair['p_mcnemar'])} by McNemar's test, "
    tests += "too few seeds to compare" if pair["p_seeds"] is None else f"{_p(pair['p_seeds'])} over seeds"
    by = f"by {points:.1f} points (95 % interval {low:.1f} to {high:.1f}; {tests})"
    if points == 0:
        return f"{better} and {worse} are equally good on these clips ({tests})"
    return {
        "better": f"{better} is better than {worse} {by}",
        "unclear": f"{better} did better than {worse} {by}, but not every test confirms it",
        "no difference": f"{better} and {worse} cannot be told apart: {better} is ahead {by}",
    }[pair["verdict"]]


def write_page(comparison: Comparison, path: Path) -> None:
    """Write the comparison as a web page, atomically. The players look for the clips where they are now."""
    write_text(path, page(comparison, path.parent.resolve()))


def page(comparison: Comparison, folder: Path) -> str:
    """The HTML of the comparison, to be stored in `folder`."""
    names = ", ".join(model["name"] for model in comparison.models)
    speakers = [str(name) for name in comparison.clips["speaker"].unique()]
    verdicts = "".join(f"<li>{escape(summary(pair))}</li>" for pair in comparison.pairs)
    players = (
        "The players need the clips where they were when it was made."
        if comparison.paths
        else "The clips are not on the machine where it was made, so it has no players."
    )
    body = f"""<h1>{escape(names)}</h1>
<p class="faint">Report of <code>sdr compare</code>. {escape(_tested(comparison))} {players}</p>
<section><h2>Models</h2>{web_page.table(_models(comparison))}</section>
<section><h2>Which is better?</h2><ul>{verdicts}</ul><p class="faint">{CAUTION}</p></section>
<section><h2>Accuracy by speaker, %</h2>{web_page.table(_by_speaker(comparison, speakers))}</section>
{"".join(_only(comparison, folder, name) for name in comparison.only)}"""
    return web_page.document(names, body)


def _only(comparison: Comparison, folder: Path, name: str) -> str:
    """The clips that only this model recognises, with players."""
    clips = comparison.clips[comparison.clips["identifier"].isin(comparison.only[name])]
    items = [
        web_page.clip(f"{c.identifier}: {c.label} by {c.speaker}", comparison.paths.get(c.identifier), folder)
        for c in clips.itertuples()
    ]
    return f"""<section><h2>Clips that only {escape(name)} recognises: {len(items)}</h2>
<p class="faint">In most of its seeds.</p><ul>{"".join(f"<li>{item}</li>" for item in items)}</ul></section>
"""


def _tested(comparison: Comparison) -> str:
    speakers = comparison.clips["speaker"].nunique()
    return f"Tested on {count(len(comparison.clips), 'clip')} of {count(speakers, 'speaker')} ({comparison.part})."


def _models(comparison: Comparison) -> list[list[str]]:
    costs = [key for key in COSTS if any(model[key] is not None for model in comparison.models)]
    rows = [["model", "accuracy, %", "95 % interval", "seeds", *(COSTS[key] for key in costs)]]
    for model in comparison.models:
        low, high = model["interval"]
        rows.append([
            model["name"],
            percent(list(model["by_seed"].values())),
            f"{100 * low:.1f} to {100 * high:.1f}",
            str(len(model["by_seed"])),
            *(cell(model, key) or "unknown" for key in costs),
        ])  # fmt: skip
    return rows


def _by_speaker(comparison: Comparison, speakers: list[str]) -> list[list[str]]:
    rows = [["speaker", *(model["name"] for model in comparison.models)]]
    return rows + [[name, *(f"{100 * m['per_speaker'][name]:.1f}" for m in comparison.models)] for name in speakers]


def _aligned(rows: list[list[str]]) -> list[str]:
    """Rows as lines, the columns as wide as their longest cell."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(f"{value:{width}}" for value, width in zip(row, widths, strict=True)) for row in rows]
    return [f"  {line.rstrip()}" for line in lines]


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"
