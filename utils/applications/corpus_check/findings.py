"""Findings about a corpus, and the report that lists them."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pandas as pd

from utils import count

SEVERITIES = ("error", "warning", "note")
SHOWN = 10  # findings of a kind in the terminal

CHECKS = {  # in the order of the report; what each looks for, and what to do
    "unreadable": ("Unreadable clips", "Replace these files or remove their rows."),
    "checksum": (
        "Other files than the table lists",
        "Fetch them again with `sdr data`, or correct the column sha256 if they were changed on purpose.",
    ),
    "leakage": ("Speakers on both sides", "A speaker of TRAIN must not be in another split. Correct the split."),
    "copies": (
        "Copies of one recording",
        "Keep one of each. Across TRAIN and another split a copy is leakage, under two speakers or labels it is a "
        "mistake in the table.",
    ),
    "no word": ("No word", "Nothing, or only a steady sound, was found. Listen, then record again or remove."),
    "imbalance": ("Imbalance", "Record more of what is rare, or report results by class."),
    "voices": (
        "Speakers who sound alike",
        "Listen to both: it may be the same person under two names. If so, use one name and one split.",
    ),
    "labels": (
        "Doubtful labels",
        "A model of the other speakers recognises another digit, and the clip differs from the speaker's others of its "
        "label. Listen, most doubtful first; correct only what is wrong, in training and test clips alike.",
    ),
    "unchecked labels": ("Labels not checked", "Record more speakers, each of whom says every digit."),
    "pronunciation": (
        "Whole labels recognised as another",
        "Either this speaker pronounces the digit differently, or all these labels are wrong. Listen to one.",
    ),
    "several words": ("Several words", "A clip should hold one word. Cut it, for example at the pauses."),
    "duration": ("Unusual duration", "Listen: a cut word, or a clip that was not trimmed?"),
    "silence": ("Mostly silence", "Harmless if all clips are padded like this. Otherwise trim."),
    "clipping": ("Clipping", "The recording was too loud. Record again at a lower level if you can."),
    "level": ("Very quiet", "Check the microphone. Features are normalised, which raises the noise as well."),
    "dc offset": ("DC offset", "A fault of the sound card. Subtract the mean from the samples."),
    "sample rates": ("Sample rates", "Clips are resampled, but what a low rate lost does not come back."),
}


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, or may be.

    Attributes:
        check: what found it, a key of `CHECKS`.
        severity: "error", "warning" or "note".
        message: one line.
        clips: positions in the table of the clips concerned; those of single clips or pairs are worth listening to.
        score: findings of a check are listed in falling order of this.
    """

    check: str
    severity: str
    message: str
    clips: tuple[int, ...] = ()
    score: float = 0.0


@dataclass(frozen=True)
class Report:
    """All findings about a corpus.

    Attributes:
        table: the metadata table.
        clips: its rows, with their line number in the file as `row`, and `seconds` and `level_db` (NaN if unreadable).
        findings: by check, in the order of `CHECKS`, worst first.
    """

    table: Path
    clips: pd.DataFrame
    findings: tuple[Finding, ...]

    def count(self, severity: str) -> int:
        """The number of findings of a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def groups(self, severity: str) -> Iterator[tuple[str, list[Finding]]]:
        """The findings of a severity by check: (check, findings)."""
        chosen = [finding for finding in self.findings if finding.severity == severity]
        for check, group in groupby(chosen, key=lambda finding: finding.check):
            yield check, list(group)

    def headline(self) -> str:
        """The size of the corpus and the number of findings, in one line."""
        minutes = self.clips["seconds"].sum() / 60
        return (
            f"{self.table}: {count(len(self.clips), 'clip')} by {count(self.clips['speaker'].nunique(), 'speaker')}, "
            f"{minutes:.1f} min: {self.verdict()}"
        )

    def verdict(self) -> str:
        """The number of errors, warnings and notes."""
        return ", ".join(count(self.count(severity), severity) for severity in SEVERITIES)

    def to_dict(self) -> dict:
        """The report as plain values, for JSON."""
        return {
            "table": str(self.table),
            "clips": len(self.clips),
            "speakers": self.clips["speaker"].nunique(),
            "seconds": round(float(self.clips["seconds"].sum()), 3),
            "errors": self.count("error"),
            "warnings": self.count("warning"),
            "findings": [
                {
                    "check": finding.check,
                    "severity": finding.severity,
                    "message": finding.message,
                    "score": round(finding.score, 4),
                    "clips": [
                        {"row": int(clip.row), "identifier": clip.identifier, "file": clip.file}
                        for clip in self.clips.iloc[list(finding.clips)].itertuples()
                    ],
                }
                for finding in self.findings
            ],
        }

    def __str__(self) -> str:
        lines = [self.headline()]
        for severity in SEVERITIES:
            for check, findings in self.groups(severity):
                title, advice = CHECKS[check]
                lines += ["", f"{severity.upper()}  {title} ({len(findings)}). {advice}"]
                for finding in findings[:SHOWN]:
                    lines.append(f"  {finding.message}")
                    few = self.clips.iloc[list(finding.clips[:2])]
                    lines += [f"    row {clip.row}: {clip.file}" for clip in few.itertuples()]
                if len(findings) > SHOWN:
                    lines.append(f"  and {len(findings) - SHOWN} more (--html or --json lists them all)")
        return "\n".join(lines)
