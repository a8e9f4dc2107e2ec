"""Fingerprints of trainings: an interrupted one is only resumed with the same code, settings and clips."""

import hashlib
import json

from utils.files import files_in, sha256
from utils.paths import PROJECT

# the code that determines the outcome of a training: files, and folders with all that is in them
LEARNING = (
    "model_baseline",
    "model_neural",
    "utils/data/audio.py",
    "utils/data/corpora/noises.py",
    "utils/data/ffmpeg.py",
    "utils/data/splits.py",
    "utils/data/synthesis",
    "utils/features",
    "utils/training",
    "utils/experiments/clips.py",
    "utils/experiments/fitting.py",
    "utils/experiments/stages.py",
)
SUFFIXES = (".py", ".yaml", ".tsv")  # code, and the word lists and voices of synthetic speech


def code_digests() -> list[str]:
    """Checksums of the code that determines the outcome of a training, and of its word lists and voices."""
    places = [PROJECT / name for name in LEARNING]
    files = [file for place in places for file in ([place] if place.is_file() else files_in(place))]
    return [sha256(file) for file in files if file.suffix in SUFFIXES]


def short_key(*what: object) -> str:
    """A short hash of plain values, for names of files and for telling what has changed."""
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:12]
