"""The report on a corpus that is ready to use."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Report:
    """A corpus that is ready to use.

    Attributes:
        table: its metadata table.
        clips: the number of clips in it.
        speakers: the number of speakers.
        notes: harmless oddities, one line each.
    """

    table: Path
    clips: int
    speakers: int
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join([f"{self.table}: {self.clips} clips by {self.speakers} speakers", *self.notes])
