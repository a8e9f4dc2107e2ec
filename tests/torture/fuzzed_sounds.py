"""Kinds of input: audio files of every format, and recordings of phones."""

import os
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
from bases import Base
from mutations import Random, change_bytes, pick, place
from trials import Trial, sdr

from utils import InputError
from utils.applications.recording import server
from utils.commands import main


def audio(random: Random, base: Base, folder: Path) -> Trial:
    return _listen_to(pick(random, base.sounds), random, base, folder)


def phone_recordings(random: Random, base: Base, folder: Path) -> Trial:
    if not base.recordings:
        pytest.skip("FFmpeg is not installed")
    return _listen_to(pick(random, base.recordings), random, base, folder)


def _listen_to(source: Path, random: Random, base: Base, folder: Path) -> Trial:
    path = folder / pick(
        random, ("clip" + source.suffix, "clip.wav", "clip", "new\nline.wav", "\x1b[31m.wav", "clip.sd2")
    )
    if random.integers(8) == 0:
        place(random, path)
    elif random.integers(8) == 0:
        soundfile.write(path, *_samples(random), format="WAV", subtype=pick(random, ("FLOAT", "DOUBLE")))
    else:
        path.write_bytes(change_bytes(random, source.read_bytes()))
    listed = folder / "clips.tsv"
    if "\n" not in path.name:
        row = "\t".join(("x", "eve", "TEST", "1", path.name))
        listed.write_text(f"{base.table.splitlines()[0]}\n{row}\n", encoding="utf-8")
    match int(random.integers(8)):
        case 7 if path.is_file():
            rate = pick(random, (1, 99, 7919, 8000, 44_100, 768_001, 10**12, 10**30))
            return Trial(partial(_from_standard_input, path, ["listen", str(base.checkpoint), "--rate", str(rate)]))
        case 0:
            return Trial(sdr("predict", "--several", base.checkpoint, path))
        case 1:
            return Trial(sdr("listen", base.checkpoint, "--file", path))
        case 2:
            return Trial(sdr("evaluate", base.checkpoint, "--metadata", listed))
        case 3:
            return Trial(sdr("data", "check", listed, "--html", folder / "page.html"), (0, 1, 2))
        case 4 if path.is_file():
            return Trial(partial(_as_recorded, path), (0, 1))
    return Trial(sdr("predict", base.checkpoint, path, "--json"))


def _samples(random: Random) -> tuple[np.ndarray, int]:
    """Samples that no microphone gives."""
    shape = (int(pick(random, (0, 1, 2, 99, 4000))), int(pick(random, (1, 2, 8))))
    samples = random.normal(0, pick(random, (0, 1e-30, 0.1, 1e8, 1e30)), shape)
    if samples.size:
        samples.flat[int(random.integers(samples.size))] = pick(random, (np.nan, np.inf, -np.inf, 1e38, 0.0))
    return samples, int(pick(random, (1, 100, 999, 1000, 8000, 44_101, 192_000, 768_000, 2**31 - 1)))


def _as_recorded(path: Path) -> None:
    """What `sdr record` makes of a recording that a browser sends."""
    try:
        print(server.read_utterance(path.read_bytes()).problem)
    except InputError as error:
        sys.exit(f"sdr: {error}")


def _from_standard_input(path: Path, command: list[str]) -> None:
    os.dup2(os.open(path, os.O_RDONLY), 0)
    main.main(command)
