"""Leakage by content: recordings that are trained on and tested with, whatever their names, formats and levels.

A speaker on both sides is refused by name (`Split`), and a file that a table lists twice by its path (`read_metadata`).
Here the recordings themselves are compared, by their audio fingerprints. What those find is measured in
docs/checking_data.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import joblib
import pandas as pd

from utils import InputError
from utils.data import audio, audio_fingerprints
from utils.data.audio import read_audio
from utils.data.audio_fingerprints import RATE, Fingerprint, fingerprint, near_duplicates
from utils.features.cache import cached
from utils.files import sha256
from utils.progress import Progress

FEW = 100  # clips without a progress bar


@dataclass(frozen=True)
class Copy:
    """A recording on both sides: the files, and the share of the fingerprint in which they differ."""

    trained: str
    tested: str
    bit_errors: float


def find_copies(trained: Sequence[str], tested: Sequence[str]) -> list[Copy]:
    """The recordings among `trained` that are also among `tested`, those that resemble each other most first.

    The result is cached in `.cache/` by the contents of all files together, so that other divisions of the same clips,
    such as the folds of a protocol, are looked up. Raises `InputError` for a file that cannot be read.
    """
    checksums = {path: sha256(path) for path in dict.fromkeys((*trained, *tested))}
    by_content = {checksum: path for path, checksum in checksums.items()}
    contents = sorted(by_content)
    code = [sha256(file) for file in (audio.__file__, audio_fingerprints.__file__, __file__)]
    pairs = _near_duplicates(contents, code, [by_content[checksum] for checksum in contents])
    errors = {(contents[i], contents[j]): share for i, j, share in pairs}
    copies: dict[str, list[tuple[str, float]]] = {checksum: [(checksum, 0.0)] for checksum in contents}
    for (one, other), share in errors.items():
        copies[one].append((other, share))
        copies[other].append((one, share))
    names: dict[str, list[str]] = {}
    for path in dict.fromkeys(tested):
        names.setdefault(checksums[path], []).append(path)
    found = [
        Copy(path, test, share)
        for path in dict.fromkeys(trained)
        for content, share in copies[checksums[path]]
        for test in names.get(content, ())
    ]
    return sorted(found, key=lambda copy: copy.bit_errors)


@cached(ignore="paths")
def _near_duplicates(contents: list[str], code: list[str], paths: Sequence[str]) -> list[tuple[int, int, float]]:
    """The pairs of copies among files of different contents, and how much they differ."""
    parallel = joblib.Parallel(n_jobs=joblib.cpu_count(), prefer="threads", return_as="generator")
    work = parallel(joblib.delayed(_fingerprint)(path) for path in paths)
    prints = list(Progress(work, "looking for copies", len(paths), unit="clip", shown=len(paths) >= FEW))
    return [(pair.first, pair.second, pair.bit_errors) for pair in near_duplicates(prints)]


def _fingerprint(path: str) -> Fingerprint:
    return fingerprint(read_audio(path, RATE))


def refuse_copies(where: str, trained: Mapping[str, pd.DataFrame | None], tested: Mapping[str, pd.DataFrame]) -> None:
    """Refuse clips of which the same recording is on both sides.

    Args:
        where: what the message begins with, such as the protocol.
        trained, tested: by name, rows of metadata tables.

    Raises:
        InputError: the same recording is trained on and tested with; the message names both files.
    """
    learned, unseen = _by_path(trained), _by_path(tested)
    copies = find_copies(list(learned), list(unseen))
    if copies:
        more = f" (and {len(copies) - 1} more)" if len(copies) > 1 else ""
        raise InputError(
            f"{where}: the same recording is on both sides, {learned[copies[0].trained]} and {unseen[copies[0].tested]}"
            f"{more}; remove one of the rows (`sdr data check` lists all copies)"
        )


def _by_path(sides: Mapping[str, pd.DataFrame | None]) -> dict[str, str]:
    """How a message names each clip, by its path."""
    return {
        clip.path: f"'{clip.file}' (speaker {clip.speaker}, {name})"
        for name, clips in sides.items()
        for clip in (() if clips is None else clips.itertuples())
    }
