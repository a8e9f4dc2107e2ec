"""Recordings of noise: the backgrounds of Speech Commands and of Arabic Speech Commands, and five classes of ESC-10.

ESC-10 is the part of ESC-50 (Piczak 2015) whose licence allows any use. The table `noises.tsv` beside this file, which
`tabulate` computed, lists whole recordings. No kind of noise occurs in two sources, so a model that is trained on the
noises of some sources and tested on those of others has met neither the recordings nor their kinds.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile

from utils import InputError
from utils.data.audio import read_audio
from utils.data.metadata import locate
from utils.files import sha256

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
QUIETEST = 1e-3  # RMS, full scale being 1: -60 dB, below which a recording would be mostly its own hiss when amplified


def read_noises(sources: Iterable[str] = tuple(SOURCES), table: Path = TABLE) -> pd.DataFrame:
    """The recordings of some sources: the columns of `noises.tsv`, and `path`, the location of the recording.

    Raises:
        InputError: an unknown source, a faulty table, or a missing recording.
    """
    wanted = list(sources)
    unknown = [source for source in wanted if source not in SOURCES]
    if unknown or not wanted:
        raise InputError(f"noises: {str(unknown[0]) if unknown else 'none'!r} is no source; use {', '.join(SOURCES)}")
    try:
        noises = pd.read_csv(table, sep="\t", dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, UnicodeDecodeError, pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise InputError(f"{table}: not a tab-separated table ({str(error).strip()})") from None
    if tuple(noises.columns) != COLUMNS:
        raise InputError(f"{table}, row 1: the columns must be {', '.join(COLUMNS)}, separated by tabs")
    noises = noises[noises["source"].isin(wanted)].reset_index(drop=True)
    noises["seconds"] = noises["seconds"].astype(float)
    noises["path"] = [locate(file, table, None) for file in noises["file"]]
    missing = [path for path in noises["path"] if not Path(path).is_file()]
    if missing:
        more = f" ({len(missing)} of {len(noises)} recordings are missing)" if len(missing) > 1 else ""
        raise InputError(
            f"{missing[0]}: there is no such recording of noise{more}; `sdr data noises` says how to get it"
        )
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
