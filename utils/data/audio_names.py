"""Names given to a command: audio files, folders of them, and patterns."""

import os
import re
from collections.abc import Sequence
from glob import glob
from pathlib import Path

from utils import InputError
from utils.data import ffmpeg
from utils.files import files_in, reading

SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".oga", ".opus", ".aif", ".aiff", ".au", ".caf", ".w64", *ffmpeg.SUFFIXES)
PATTERN = re.compile(r"[*?\[]")


def find_audio(names: Sequence[str | Path]) -> list[Path]:
    """Expand names to files: folders (recursively) to their audio files, patterns such as `*.wav` to what they match.

    What is hidden inside a folder (its name begins with a dot) is left out, such as a `.venv`.

    Raises:
        InputError: a folder contains no audio files or cannot be listed, or a pattern matches nothing.
    """
    found: list[Path] = []
    if "" in names:
        raise InputError("a file name is empty")
    for name in map(Path, names):
        if os.path.isdir(name):  # unlike `Path.is_dir`, it accepts a name that is too long
            inside = [
                path
                for path in files_in(name)
                if path.suffix.lower() in SUFFIXES
                and not any(part.startswith(".") for part in path.relative_to(name).parts)
            ]
            if not inside:
                raise InputError(f"{name}: neither a checkpoint nor a folder with audio files ({', '.join(SUFFIXES)})")
            found += inside
        elif not os.path.exists(name) and PATTERN.search(str(name)):
            with reading(name):
                matched = sorted(path for path in map(Path, glob(str(name), recursive=True)) if path.is_file())
            if not matched:
                raise InputError(f"{name}: no file matches")
            found += matched
        else:
            found.append(name)
    return found


def is_audio_name(name: str | Path) -> bool:
    """Whether a name looks like an audio file, by its suffix, or is a pattern."""
    return Path(name).suffix.lower() in SUFFIXES or bool(PATTERN.search(str(name)))
