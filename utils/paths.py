"""Where the project's folders are, and where the clips lie."""

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
COURSE_METADATA = PROJECT / "SDR_metadata.tsv"
CONFIGS = PROJECT / "configs"
CHECKPOINTS = PROJECT / "checkpoints"  # committed, small; the runs' own lie in RUNS
RUNS = PROJECT / "runs"  # checkpoints and interrupted runs; ignored by git
CACHE = PROJECT / ".cache"  # what can be computed again: features, synthetic clips, downloads


def speech_data() -> Path:
    """The folder of the clips: the variable `SDR_SPEECH_DATA`, or `speech_data/` beside the code."""
    return Path(os.environ.get("SDR_SPEECH_DATA") or PROJECT / "speech_data").expanduser().resolve()


def find_metadata(name: str) -> Path:
    """Where the table lies that a config calls `name`: relative to the project, or to the folder of the clips.

    The latter if it begins with `speech_data/`: such a table comes with its clips, as `sdr data` makes it.
    """
    path = Path(name).expanduser()
    return speech_data().joinpath(*path.parts[1:]) if path.parts[:1] == ("speech_data",) else PROJECT / path
