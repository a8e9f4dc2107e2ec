"""All checks of a corpus."""

from pathlib import Path

import numpy as np

from utils import InputError
from utils.applications.corpus_check.balance import check_balance
from utils.applications.corpus_check.clips import check_checksums, check_clips
from utils.applications.corpus_check.copies import check_copies
from utils.applications.corpus_check.findings import CHECKS, SEVERITIES, Finding, Report
from utils.applications.corpus_check.labels import check_labels
from utils.applications.corpus_check.measures import Measures, measure
from utils.applications.corpus_check.voices import check_voices
from utils.data.metadata import read_metadata
from utils.files import read_text
from utils.progress import Progress


def check_corpus(table: Path, root: Path | None = None) -> Report:
    """Check the clips of a metadata table of digits.

    Args:
        table: the TSV.
        root: the folder of the clips (see `read_metadata`).

    Raises:
        InputError: the table itself cannot be used (see `read_metadata`). Clips that cannot be read are findings.
    """
    clips = read_metadata(table, root)
    clips["row"] = row_numbers(table)
    measured: dict[int, Measures] = {}
    findings: list[Finding] = []
    for i, path in enumerate(Progress(clips["path"], "measuring", unit="clip")):
        try:
            measured[i] = measure(path)
        except InputError as error:
            findings.append(Finding("unreadable", "error", str(error).removeprefix(f"{path}: "), (i,)))
    for check in (check_checksums, check_clips, check_balance, check_copies, check_voices, check_labels):
        findings += check(clips, measured)
    for name in ("seconds", "level_db"):
        clips[name] = [getattr(measured[i], name) if i in measured else np.nan for i in range(len(clips))]
    order = {name: number for number, name in enumerate(CHECKS)}
    findings.sort(key=lambda found: (SEVERITIES.index(found.severity), order[found.check], -found.score))
    return Report(table, clips, tuple(findings))


def row_numbers(table: Path) -> list[int]:
    """The line in the file of each row of `read_metadata`, which skips empty lines. The header is line 1."""
    lines = read_text(table).split("\n")
    return [number for number, line in enumerate(lines, start=1) if line.strip("\t")][1:]
