"""Reading audio files: every clip becomes a mono waveform at one sample rate, or an error explains why it cannot."""

import functools
import math
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from utils import InputError, plain
from utils.data import ffmpeg
from utils.data.audio_lengths import TRUNCATED, UNKNOWN, check_length, check_log
from utils.data.standard_error import standard_error_to
from utils.files import check_file

LOUDEST = 1e9  # limit for floating-point samples: the power of anything larger overflows, and NaN fails the comparison
RATES, MAX_CHANNELS, MAX_SAMPLES = (1000, 768_000), 32, 2**26  # samples of all channels together: 256 MB
MAX_SECONDS = 10.0  # a spoken digit lasts half a second, so anything longer is something else
OPPOSITE = -0.5  # a channel whose correlation with the loudest is below this is in antiphase
MP3 = re.compile(rb"ID3|\xff[\xe0-\xff]")  # the first bytes
UNDECODED, RESYNC = re.compile(rb"part2_3_length|dequantization failed"), re.compile(rb"Skipped \d+ bytes")  # mpg123
CHAINED = "Junk after the last page"  # in libsndfile's log: Ogg files that were put together
ZEROS, ROLLOFF = 6, 0.99  # of the filter of `convert_rate`: zero crossings on each side, and where it begins to fall


def read_audio(path: str | Path, sample_rate: int, max_seconds: float = MAX_SECONDS) -> np.ndarray:
    """Read a clip as a mono waveform.

    Accepts any file that libsndfile can read, such as WAV, FLAC, OGG, MP3 or AIFF, and through FFmpeg what phones
    record (`utils.data.ffmpeg`), whatever its sample rate (1 to 768 kHz), bit depth, number of channels (up to 32) or
    file name. Channels are averaged, those in antiphase with their signs changed; the rate is converted by
    `convert_rate`.

    Args:
        path: the audio file.
        sample_rate: sample rate of the returned waveform, in Hz.
        max_seconds: longer files are rejected.

    Returns:
        float32 samples, shape (samples,), within [-1, 1] for integer formats.

    Raises:
        InputError: the file is missing, not audio, empty, truncated, damaged, longer than `max_seconds`, all digital
            silence, or contains samples that are not finite; or it needs FFmpeg, and there is none.
    """
    return convert_rate(*read_recording(path, max_seconds), sample_rate)


def read_recording(path: str | Path, max_seconds: float = MAX_SECONDS) -> tuple[np.ndarray, int]:
    """Like `read_audio`, but at the recording's own sample rate in Hz, which is returned as well."""
    try:
        with open_audio(path, max_seconds + 1) as (file, frames):
            rate, limit = file.samplerate, math.floor(max_seconds * file.samplerate)
            expected = limit + 1 if frames is None else frames
            if frames is not None and frames > limit:
                raise InputError(f"{path}: {frames / rate:.1f} s long; {_at_most(max_seconds)}")
            if expected * file.channels > MAX_SAMPLES:
                raise InputError(f"{path}: {expected * file.channels:,} samples; at most {MAX_SAMPLES:,} are read")
            samples, said = read_samples(file, expected)
            if frames is None and len(samples) > limit:
                raise InputError(f"{path}: more than {max_seconds:.0f} s long; {_at_most(max_seconds)}")
    except MemoryError:
        raise InputError(f"{path}: too large for the memory") from None
    check_end(path, len(samples), frames, said)
    if not np.abs(samples).max() < LOUDEST:
        raise InputError(f"{path}: contains samples that are not finite (NaN or infinity)")
    if not samples.any():
        raise InputError(f"{path}: contains only silence (every sample is zero)")
    return to_mono(samples), rate


@contextmanager
def open_audio(path: str | Path, seconds: float | None = None) -> Iterator[tuple[soundfile.SoundFile, int | None]]:
    """Open an audio file of any kind, to be read from its beginning to its end.

    Args:
        path: the audio file.
        seconds: no more than these are needed; None: all.

    Yields:
        The file, and its number of frames (samples per channel), or None if that is not known before its end.

    Raises:
        InputError: the file is missing or empty, not audio, damaged or truncated, has more than one Ogg stream, or
            a sample rate or a number of channels beyond sense. Errors of the block that reads it become such errors as
            well.
    """
    path = Path(path)
    try:
        check_file(path)
        if path.stat().st_size == 0:
            raise InputError(f"{path}: the file is empty (0 bytes)")
        check_length(path)
        with _decoder(path, seconds) as (file, frames):
            if not RATES[0] <= (rate := file.samplerate) <= RATES[1]:
                raise InputError(f"{path}: a sample rate of {rate:,} Hz; it must be from {RATES[0]:,} to {RATES[1]:,}")
            if file.channels > MAX_CHANNELS:
                raise InputError(f"{path}: {file.channels} channels; at most {MAX_CHANNELS} are read")
            file.seekable = lambda: False  # soundfile seeks after reading, which codecs such as GSM and DWVW cannot
            yield file, frames
    except (soundfile.SoundFileError, AssertionError, ValueError, TypeError, OverflowError):
        kinds = "such as WAV, FLAC, OGG, MP3, M4A or WebM"
        raise InputError(f"{path}: not an audio file ({kinds}), or a damaged one") from None
    except OSError as error:  # for example, no permission, or a name that is too long
        raise InputError(f"{path}: {error.strerror or error}") from None


@contextmanager
def _decoder(path: Path, seconds: float | None) -> Iterator[tuple[soundfile.SoundFile, int | None]]:
    """libsndfile if it knows the kind of file, otherwise FFmpeg."""
    with open(path, "rb", buffering=0) as opened:
        start = opened.read(16)
        opened.seek(0)
        # pass a file descriptor: given a name, soundfile would go by its suffix
        name = path if path.suffix.lower() == ".sd2" else None  # made of two files: libsndfile finds the other by name
        try:
            with _quiet(bool(MP3.match(start))):
                file = soundfile.SoundFile(name or opened.fileno(), closefd=False)
        except soundfile.LibsndfileError:
            if (kind := ffmpeg.reader(start)) is None:
                raise
        else:
            with file:
                if CHAINED in file.extra_info:
                    raise InputError(
                        f"{path}: after its Ogg stream comes another, or something else, that cannot be read"
                    )
                check_log(path, file)
                yield file, file.frames if file.frames < UNKNOWN else None
            return
    with ffmpeg.decode(path, kind, seconds) as file:
        yield file, None


@contextmanager
def _quiet(catch: bool) -> Iterator[list[bytes]]:
    """Catch what a library in C writes to standard error; the list holds it afterwards."""
    said: list[bytes] = []
    if not catch:
        yield said
        return
    with tempfile.TemporaryFile() as file:
        with standard_error_to(file):
            yield said
        file.seek(0)
        said.append(file.read())


def read_samples(file: soundfile.SoundFile, most: int) -> tuple[np.ndarray, bytes]:
    """The next samples of a file, float32 (samples, channels), and what its decoder says of them (see `check_end`)."""
    with _quiet(file.format == "MP3") as said:
        samples = file.read(most, dtype="float32", always_2d=True)
    return samples, b"".join(said)


def check_end(path: str | Path, read: int, frames: int | None, said: bytes) -> None:
    """Refuse a file that ended before its time, or that lost several MP3 frames; one, of 26 to 72 ms, is a warning.

    Args:
        path: the audio file, which has been read to its end.
        read: the number of frames (samples per channel) that it had.
        frames: the number that `open_audio` gave.
        said: what its decoder said.
    """
    if read == 0:
        raise InputError(f"{path}: contains no audio samples")
    if frames is not None and read < frames:
        raise InputError(f"{path}: {TRUNCATED}")
    lost = len(UNDECODED.findall(said)) + 2 * len(RESYNC.findall(said))
    if lost > 1:
        raise InputError(f"{path}: the file is damaged: several of its MP3 frames cannot be decoded")
    if lost:
        print(f"{plain(str(path))}: one MP3 frame is damaged; the rest is read", file=sys.stderr)


def to_mono(samples: np.ndarray) -> np.ndarray:
    """Average channels: float32 (samples, channels) to (samples,). Those in antiphase would cancel each other out.

    Some devices record such a pair, as balanced lines carry it. Those that run opposite to the loudest one change
    their sign, or else the others do, so that the first keeps its own and the chunks of a recording fit together.
    """
    if samples.shape[1] > 1:
        centred = samples - samples.mean(axis=0)
        power = np.square(centred).mean(axis=0)
        loudest = power.argmax()
        shared = (centred * centred[:, [loudest]]).mean(axis=0)
        opposite = shared < OPPOSITE * np.sqrt(power * power[loudest])
        samples = np.where(opposite ^ opposite[0], -samples, samples)
    return samples.mean(axis=1)


def convert_rate(waveform: np.ndarray, rate: int, target_rate: int) -> np.ndarray:
    """Resample a waveform, float32 (samples,), from `rate` to `target_rate`, both in Hz.

    The filter is a sinc under a Hann window, as in `torchaudio.functional.resample` (whose result it equals to 1e-6),
    which follows J. O. Smith, https://ccrma.stanford.edu/~jos/resample/. This needs no PyTorch, which takes seconds to
    load.
    """
    rate = round_rate(rate, target_rate)
    factor = math.gcd(rate, target_rate)
    step, phases = rate // factor, target_rate // factor  # `phases` samples become of every `step` samples
    if step * phases > 250_000_000:
        raise InputError(f"cannot convert {rate:,} Hz to {target_rate:,} Hz; choose a sample_rate in whole hundreds")
    if rate == target_rate:
        return waveform
    filters, offsets = _filters(step, phases), np.arange(phases) * step // phases
    rows, taps = len(waveform) // step + 1, filters.shape[1]
    padded = np.pad(np.asarray(waveform, np.float32), (taps // 2 - 1, taps + step))
    windows = np.lib.stride_tricks.sliding_window_view(padded, taps)
    converted = np.empty((rows, phases), np.float32)
    for phase, offset in enumerate(offsets):
        converted[:, phase] = windows[offset::step][:rows] @ filters[phase]
    return converted.ravel()[: -(-len(waveform) * target_rate // rate)]


def round_rate(rate: int, target_rate: int) -> int:
    """The rate that a conversion takes for `rate`: odd ones, such as 44,101 Hz, would need a filter of gigabytes."""
    return max(round(rate, -2), 100) if rate // math.gcd(rate, target_rate) > 5000 else rate


@functools.lru_cache(maxsize=4)
def _filters(step: int, phases: int) -> np.ndarray:
    """The filter of each phase (phases, taps), in the precision of torchaudio."""
    cutoff = min(step, phases) * ROLLOFF
    width = math.ceil(ZEROS * step / cutoff)
    phase, tap = np.arange(phases)[:, None], np.arange(-width, width + 2)
    sample = (phase * step // phases + tap).astype(np.float32)
    time = sample / np.float32(step) - phase.astype(np.float32) / np.float32(phases)
    time = np.clip(time * cutoff, -ZEROS, ZEROS)
    return (np.sinc(time) * np.cos(time * np.pi / ZEROS / 2) ** 2 * cutoff / step).astype(np.float32)


def _at_most(seconds: float) -> str:
    one = "a clip of one digit (for several: `sdr predict --several`)"
    return f"{one if seconds == MAX_SECONDS else 'a recording'} is at most {seconds:.0f} s"
