"""Where the project keeps its files, and where the recordings are."""

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
COURSE_METADATA = PROJECT / "SDR_metadata.tsv"
CONFIGS = PROJECT / "configs"
CHECKPOINTS = PROJECT / "checkpoints"  # small and committed; those of ordinary runs go to RUNS
RUNS = PROJECT / "runs"  # checkpoints of finished and interrupted runs; ignored by git
CACHE = PROJECT / ".cache"  # anything that can be recomputed: features, synthetic clips, downloads


def speech_data() -> Path:
    """The folder of the recordings: `$SDR_SPEECH_DATA` if that is set, otherwise `speech_data/` in the project."""
    # unlike the method of `Path`, it takes a link that leads to itself
    return Path(os.path.realpath(os.path.expanduser(os.environ.get("SDR_SPEECH_DATA") or PROJECT / "speech_data")))


def find_metadata(name: str) -> Path:
    """The path of the metadata table that a config calls `name`.

    Names are relative to the project. Those that begin with `speech_data/` are relative to the folder of the
    recordings: such a table is stored with its clips, where `sdr data` writes it.
    """
    path = Path(os.path.expanduser(name))  # unlike the method of `Path`, it takes the name of any user
    return speech_data().joinpath(*path.parts[1:]) if path.parts[:1] == ("speech_data",) else PROJECT / path
