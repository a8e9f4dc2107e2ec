"""The reports on a corpus that is ready to use."""

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


@dataclass(frozen=True)
class FetchReport:
    """Clips that were verified, or fetched.

    Attributes:
        folder: the folder of the clips.
        clips: the number of clips, all of them verified.
        fetched: how many of them had to be fetched.
        notes: what else there is to know, one line each.
    """

    folder: Path
    clips: int
    fetched: int
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        verified = f"{self.folder}: {self.clips} clips verified, {self.fetched} of them newly fetched"
        return "\n".join([verified, *self.notes])
