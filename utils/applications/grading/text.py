"""A grade in words."""

from pathlib import Path

from utils import count
from utils.applications.grading.grade import Grade
from utils.applications.grading.training import Leakage

SHOWN = 3  # copies


def text(grade: Grade) -> str:
    """The grade for the terminal."""
    measured = grade.measured
    speakers = len(measured["per_speaker"])
    low, high = measured["interval"]
    lines = [
        f"{grade.name}: accuracy {measured['accuracy']:.1%} (95 % interval {low:.1%} to {high:.1%}), "
        f"macro F1 {measured['macro_f1']:.1%}, {count(measured['n'], 'clip')}, {count(speakers, 'speaker')}",
        claim(grade),
        *contract_lines(grade),
        f"leakage   {leakage(grade.leakage)}",
    ]
    if grade.changed:
        lines.append(f"changed   {', '.join(grade.changed)}: not used, the grader's own are")
    lines += [
        "",
        "model             accuracy   this one is better by        p (McNemar, Holm)",
        *(
            f"{name:16} {100 * other.accuracy:7.1f} %   {100 * other.difference:+5.1f} "
            f"({100 * other.interval[0]:+.1f} to {100 * other.interval[1]:+.1f}) points      {p_value(other.p_value)}"
            for name, other in grade.references.items()
        ),
        "",
        "speakers  " + ", ".join(f"{name} {share:.1%}" for name, share in measured["per_speaker"].items()),
        "digits    " + ", ".join(f"{digit} {share:.0%}" for digit, share in measured["per_digit"].items()),
        cost(grade),
    ]
    return "\n".join(lines)


def p_value(value: float) -> str:
    """A p-value with three decimals."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def claim(grade: Grade) -> str:
    """What became of the claimed accuracy."""
    if grade.claimed is None:
        return "claim     none"
    low, high = grade.measured["interval"]
    stated = f"claim     {grade.claimed:.1%}"
    if not grade.claim_holds:
        return f"{stated} is refuted: these clips show at most {high:.1%}"
    return f"{stated} holds" + (f": these clips show even more, at least {low:.1%}" if grade.claimed < low else "")


def contract_lines(grade: Grade) -> list[str]:
    """The promises that are broken, or that all are kept."""
    broken = {name: message for name, message in grade.broken.items() if message}
    if not broken:
        return [f"contract  kept: {', '.join(grade.broken)}"]
    return [f"contract  BROKEN, {name}: {message}" for name, message in broken.items()]


def leakage(found: Leakage) -> str:
    """What training and test clips have in common."""
    if found.problem is not None:
        return f"not known: {found.problem}"
    compared = f"{found.compared:,} recordings trained on were compared"
    if found.missing:
        compared += f", {found.missing:,} are not here, of which only the speakers' names were"
    if not found.found:
        return f"none found; {compared}"
    what = [f"speaker {name} of the test clips is trained on" for name in found.speakers]
    what += [
        f"{Path(copy.trained).name} is trained on and is the recording {Path(copy.tested).name}"
        for copy in found.copies[:SHOWN]
    ]
    more = f"; {len(found.copies) - SHOWN} more recordings" if len(found.copies) > SHOWN else ""
    return f"FOUND: {'; '.join(what)}{more} ({compared})"


def cost(grade: Grade) -> str:
    """The size of the model, its time, and under which limits it ran."""
    return (
        f"cost      {grade.parameters:,} parameters, {grade.multiply_adds / 1e6:.2f} M multiply-adds for 1 s of sound, "
        f"{1000 * grade.seconds_per_clip:.1f} ms a clip; graded in {grade.seconds:.0f} s; limits: "
        f"{', '.join(grade.kept_by)}"
    )
