"""Recordings of noise: the backgrounds of Speech Commands and of Arabic Speech Commands, and five classes of ESC-10.

ESC-10 is the part of ESC-50 (Piczak 2015) whose licence allows any use. The table `noises.tsv` beside this file, which
`tabulate` computed, lists whole recordings. No kind of noise occurs in two sources, so a model that is trained on the
noises of some sources and tested on those of others has met neither the recordings nor their kinds.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from utils import InputError
from utils.data.audio import read_audio
from utils.data.corpora.download import fetch_clips
from utils.data.corpora.report import FetchReport
from utils.data.metadata import COLUMNS as CLIP_COLUMNS
from utils.data.metadata import locate, read_rows, verify, write_table
from utils.files import fill_once, sha256

COMMIT = "c6371fcfe5198bcdf6a6ae41f628275c6d3a335d"  # of ESC-50, while its recordings were still OGG
ARCHIVE_URL = f"https://github.com/karolpiczak/ESC-50/archive/{COMMIT}.zip"
TABLE = Path(__file__).with_name("noises.tsv")
COLUMNS = ("identifier", "source", "kind", "file", "seconds", "licence", "sha256")
# sources of noise for training and for testing: what one fold trains on, the other tests on
FOLDS = {
    "a": (("speech_commands", "arabic"), ("esc10",)),
    "b": (("esc10",), ("speech_commands", "arabic")),
}
# where the recordings of each source lie within the folder of all recordings, and their licence
SOURCES = {
    "speech_commands": ("speech_commands/_background_noise_/*.wav", "CC BY 4.0"),
    "arabic": ("arabic/background_noise/*.wav", "CC BY 4.0"),
    "esc10": ("noises/*.ogg", "CC BY 3.0"),
}
MAX_SECONDS = 120.0  # the longest recording lasts 104 s
CLIP_RATE, CLIP_SECONDS, MOST_CLIPS = 16_000, 1.0, 40  # of `cut_clips`: in Hz, of each clip, of each recording
QUIETEST = 1e-3  # RMS, full scale being 1: -60 dB, below which a recording would be mostly its own hiss when amplified


def fetch(recordings: Path, *, url: str = ARCHIVE_URL, table: Path = TABLE) -> FetchReport:
    """Make sure that the recordings of ESC-10 are there; verify those of the other sources, and note which are missing.

    Recordings that are already there are verified and kept. The archive of ESC-50 is downloaded only if one is missing
    or wrong; an interrupted download is resumed.

    Args:
        recordings: the folder of all recordings, `utils.paths.speech_data()`. ESC-10 belongs in its folder `noises`.
        url: a zip archive of ESC-50 with OGG files, in any of its folders.
        table: a table like `noises.tsv`.

    Raises:
        InputError: a faulty table; the archive cannot be downloaded, is damaged, lacks a recording or contains a wrong
            one; a recording of another source is missing or wrong; or the folder cannot be written to.
    """
    folder = Path(recordings) / "noises"
    listed = _read_table(table)
    esc10 = listed[listed["source"] == "esc10"]
    checksums = dict(zip(esc10["file"].map(lambda file: Path(file).name), esc10["sha256"], strict=True))
    # ours are named {kind}-{name}, so that the kind is seen; the archive has a folder for each kind instead
    fetched = fetch_clips(folder, checksums, url, lambda name: name.split("-", 1)[1])
    notes = []
    for source in ("speech_commands", "arabic"):
        if any(Path(path).is_file() for path in listed.loc[listed["source"] == source, "path"]):
            noises = read_noises([source], table)
            notes.append(f"{source}: {len(noises)} recordings of noise verified")
        else:
            notes.append(f"{source}: no recordings of noise here; `sdr data {source}` says how to get them")
    return FetchReport(folder, len(checksums), fetched, tuple(notes))


def read_noises(sources: Sequence[str], table: Path = TABLE) -> pd.DataFrame:
    """The recordings of some sources: the columns of `noises.tsv`, and `path`, the location of the recording.

    Raises:
        InputError: an unknown source, a faulty table, or a recording that is missing or wrong.
    """
    unknown = [source for source in sources if source not in SOURCES]
    if unknown or not sources:
        found = repr(unknown[0]) if unknown else "nothing"
        raise InputError(f"{found} is not a source of noise; use {', '.join(SOURCES)}")
    noises = _read_table(table)
    noises = noises[noises["source"].isin(sources)].reset_index(drop=True)
    missing = [path for path in noises["path"] if not Path(path).is_file()]
    if missing:
        more = f" ({len(missing)} of {len(noises)} are missing)" if len(missing) > 1 else ""
        raise InputError(f"{missing[0]}: no such recording of noise{more}; `sdr data noises` says how to get it")
    verify(noises)
    return noises


def _read_table(table: Path) -> pd.DataFrame:
    """All rows of a table of noises, with the column `path`, whether or not the recordings are there."""
    noises = pd.DataFrame(read_rows(table, COLUMNS), columns=list(COLUMNS))
    try:
        noises["seconds"] = noises["seconds"].astype(float)
    except ValueError as error:
        raise InputError(f"{table}, column 'seconds': {error}") from None
    noises["path"] = locate(noises["file"], table)
    return noises


def load_noises(noises: pd.DataFrame, sample_rate: int) -> list[np.ndarray]:
    """The whole recordings of a table of `read_noises`, as mono float32 (samples,) at `sample_rate`, in its order.

    Recordings whose RMS is below `QUIETEST` are left out. The others keep the level that they have, and some begin or
    end in digital silence.

    Raises:
        InputError: a recording cannot be read, or none of them is loud enough.
    """
    waveforms = [read_audio(path, sample_rate, MAX_SECONDS) for path in noises["path"]]
    loud = [waveform for waveform in waveforms if np.sqrt(np.mean(np.square(waveform, dtype=np.float64))) >= QUIETEST]
    if not loud:
        raise InputError(f"noises: all {len(waveforms)} recordings are nearly silent")
    return loud


def tabulate(recordings: Path, sources: Sequence[str] = tuple(SOURCES)) -> pd.DataFrame:
    """Compute the table of the recordings of some sources in the folder of all recordings.

    Raises:
        InputError: a source has no recordings, or one is not audio.
    """
    rows = []
    for source in sources:
        pattern, licence = SOURCES[source]
        paths = sorted(recordings.glob(pattern))
        if not paths:
            raise InputError(f"{recordings / pattern}: no recordings")
        for path in paths:
            try:
                seconds = soundfile.info(path).duration
            except soundfile.SoundFileError:
                raise InputError(f"{path}: not an audio file, or a damaged one") from None
            rows.append(
                {
                    "identifier": f"{source}_{path.stem}",
                    "source": source,
                    "kind": path.stem.split("-")[0],  # ESC-10: {kind}-{fold}-{Freesound's number}-{part}
                    "file": f"speech_data/{path.relative_to(recordings).as_posix()}",
                    "seconds": f"{seconds:.2f}",
                    "licence": licence,
                    "sha256": sha256(path),
                }
            )
    return pd.DataFrame(rows)


def cut_clips(noises: pd.DataFrame, folder: Path) -> Path:
    """Cut recordings of noise into clips, as a corpus of non-digits. Done once: a folder that is there is complete.

    The clips of a recording, up to `MOST_CLIPS`, are at equal distances.

    Args:
        noises: a table of `read_noises`.
        folder: of the clips, 16 kHz WAV, and of their table.

    Returns:
        The path of `metadata.tsv`. Its "speakers" are the recordings, all of its clips are in TRAIN, labelled "noise".
    """
    return fill_once(folder, lambda new: _cut(noises, new)) / "metadata.tsv"


def _cut(noises: pd.DataFrame, folder: Path) -> None:
    """Write the clips of `cut_clips` and their table into `folder`."""
    rows, size = [], round(CLIP_SECONDS * CLIP_RATE)
    for noise in noises.itertuples():
        recording = read_audio(str(noise.path), CLIP_RATE, MAX_SECONDS)
        number = min(MOST_CLIPS, len(recording) // size)
        for start in np.linspace(0, len(recording) - size, number).astype(int):
            clip, name = recording[start : start + size], f"{noise.identifier}_{start}"
            if clip.any():  # digital silence is not a clip
                soundfile.write(folder / f"{name}.wav", clip, CLIP_RATE, subtype="PCM_16")
                facts = (name, noise.identifier, "TRAIN", "noise", f"{name}.wav")
                rows.append(dict(zip(CLIP_COLUMNS, facts, strict=True)))
    write_table(folder / "metadata.tsv", CLIP_COLUMNS, rows)
