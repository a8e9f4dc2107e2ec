"""What tells one training from another: an interrupted one goes on only where code and settings are the same."""

import hashlib
import json

from utils.files import sha256
from utils.paths import PROJECT

# folders and files that say what is learned, and how
LEARNING = (
    "model_neural",
    "utils/data/audio.py",
    "utils/features",
    "utils/training",
    "utils/experiments/clips.py",
    "utils/experiments/fitting.py",
    "utils/experiments/stages.py",
)


def code_digests() -> list[str]:
    """Digests of the files that say what is learned, and how."""
    places = [PROJECT / name for name in LEARNING]
    files = [file for place in places for file in ([place] if place.is_file() else sorted(place.glob("*.py")))]
    return [sha256(file) for file in files]


def short_key(*what: object) -> str:
    """A short name for plain values."""
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:12]
