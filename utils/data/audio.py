"""Reading audio files: every clip becomes a mono waveform at one sample rate, or an error explains why it cannot."""

import math
import os
import re
import struct
from collections.abc import Sequence
from glob import glob
from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio

from utils import InputError

LOUDEST = 1e9  # limit for floating-point samples: the power of anything larger overflows, and NaN fails the comparison
SUFFIXES = (".wav", ".flac", ".ogg", ".mp3", ".oga", ".opus", ".aif", ".aiff", ".au", ".caf", ".w64")
PATTERN = re.compile(r"[*?\[]")
RATES, MAX_CHANNELS, MAX_SAMPLES = (1000, 768_000), 32, 2**26  # samples of all channels together: 256 MB
MAX_SECONDS = 10.0  # a spoken digit lasts half a second, so anything longer is something else


def read_audio(path: str | Path, sample_rate: int, max_seconds: float = MAX_SECONDS) -> np.ndarray:
    """Read a clip as a mono waveform.

    Accepts any file that libsndfile can read, such as WAV, FLAC, OGG, MP3 or AIFF, whatever its sample rate (1 to
    768 kHz), bit depth, number of channels (up to 32) or file name. Channels are averaged; the rate is converted with
    a windowed-sinc filter (see `convert_rate`).

    Args:
        path: the audio file.
        sample_rate: sample rate of the returned waveform, in Hz.
        max_seconds: longer files are rejected.

    Returns:
        float32 samples, shape (samples,), within [-1, 1] for integer formats.

    Raises:
        InputError: the file is missing, not audio, empty, truncated, longer than `max_seconds`, all digital silence, or
            contains samples that are not finite.
    """
    path = Path(path)
    try:
        return convert_rate(*_read(path, max_seconds), sample_rate)
    except OSError as error:  # for example, no permission, or a name that is too long
        raise InputError(f"{path}: {error.strerror or error}") from None
    except MemoryError:
        raise InputError(f"{path}: too large for the memory") from None


def _read(path: Path, max_seconds: float) -> tuple[np.ndarray, int]:
    """A mono waveform, and its sample rate."""
    if not path.is_file():
        raise InputError(f"{path}: {'is a folder, not an audio file' if path.is_dir() else 'there is no such file'}")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty (0 bytes)")
    try:
        # pass a file descriptor: given a name, soundfile would go by its suffix
        name = path if path.suffix.lower() == ".sd2" else None  # made of two files: libsndfile finds the other by name
        with open(path, "rb") as opened, soundfile.SoundFile(name or opened.fileno(), closefd=False) as file:
            rate, channels, frames = file.samplerate, file.channels, file.frames
            if not RATES[0] <= rate <= RATES[1]:
                raise InputError(f"{path}: a sample rate of {rate:,} Hz; it must be from {RATES[0]:,} to {RATES[1]:,}")
            if channels > MAX_CHANNELS:
                raise InputError(f"{path}: {channels} channels; at most {MAX_CHANNELS} are read")
            if frames > max_seconds * rate:
                one = "a clip of one digit (for several: `sdr predict --several`)"
                what = one if max_seconds == MAX_SECONDS else "a recording"
                raise InputError(f"{path}: {frames / rate:.1f} s long; {what} is at most {max_seconds:.0f} s")
            if frames * channels > MAX_SAMPLES:
                raise InputError(f"{path}: {frames * channels:,} samples; at most {MAX_SAMPLES:,} are read")
            file.seekable = lambda: False  # soundfile seeks after reading, which codecs such as GSM and DWVW cannot
            samples = file.read(frames, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, ValueError, TypeError, OverflowError):
        raise InputError(f"{path}: not an audio file (WAV, FLAC, OGG or MP3), or a damaged one") from None
    if len(samples) == 0:
        raise InputError(f"{path}: contains no audio samples")
    if len(samples) < frames or _wav_is_cut(path):
        raise InputError(f"{path}: the file is truncated: its header announces more audio than there is")
    if not np.abs(samples).max() < LOUDEST:
        raise InputError(f"{path}: contains samples that are not finite (NaN or infinity)")
    waveform = samples.mean(axis=1)
    if not waveform.any():  # also when the channels cancel out
        raise InputError(f"{path}: contains only silence (every sample is zero)")
    return waveform, rate


def convert_rate(waveform: np.ndarray, rate: int, target_rate: int) -> np.ndarray:
    """Resample a waveform, float32 (samples,), from `rate` to `target_rate`, both in Hz."""
    if rate // math.gcd(rate, target_rate) > 5000:  # for odd rates such as 44,101 Hz the filter would take gigabytes
        rate = max(round(rate, -2), 100)
    if (factor := math.gcd(rate, target_rate)) and rate // factor * (target_rate // factor) > 250_000_000:
        raise InputError(f"cannot convert {rate:,} Hz to {target_rate:,} Hz; choose a sample_rate in whole hundreds")
    if rate == target_rate:
        return waveform
    return torchaudio.functional.resample(torch.from_numpy(waveform), rate, target_rate).numpy()


def _wav_is_cut(path: Path) -> bool:
    """Whether a RIFF file ends before its data chunk does. libsndfile would silently read what there is."""
    with open(path, "rb") as file:
        riff, _, wave = struct.unpack("<4sI4s", file.read(12).ljust(12, b"\0"))
        if (riff, wave) != (b"RIFF", b"WAVE"):
            return False
        while len(header := file.read(8)) == 8:
            name, size = struct.unpack("<4sI", header)
            if name == b"data":
                streamed = size == 0 or size >= 0x7FFF0000  # written to a pipe, so the size was unknown
                return not streamed and file.tell() + size > path.stat().st_size
            file.seek(size + size % 2, 1)
    return False


def find_audio(names: Sequence[str | Path]) -> list[Path]:
    """Expand names to files: folders (recursively) to their audio files, patterns such as `*.wav` to what they match.

    Raises:
        InputError: a folder contains no audio files, or a pattern matches nothing.
    """
    found: list[Path] = []
    if "" in names:
        raise InputError("a file name is empty")
    for name in map(Path, names):
        if os.path.isdir(name):  # unlike `Path.is_dir`, it accepts a name that is too long
            inside = sorted(path for path in name.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
            if not inside:
                raise InputError(f"{name}: neither a checkpoint nor a folder with audio files ({', '.join(SUFFIXES)})")
            found += inside
        elif not os.path.exists(name) and PATTERN.search(str(name)):
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
