"""Sound that arrives in chunks: the sample rate converted as it comes, files and raw samples read piece by piece."""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from utils import InputError
from utils.data.audio import LOUDEST, RATES, check_end, convert_rate, open_audio, read_samples, round_rate, to_mono

CONTEXT = 0.02  # seconds before and after a chunk that the filter of `convert_rate` sees
CHUNK = 1.0  # seconds read from a file at a time
PCM_CHUNK = 0.05  # seconds read from standard input at a time, which may be a microphone


class Resampler:
    """`convert_rate` for a sound in chunks: the same samples as of the whole sound, 20 ms later."""

    def __init__(self, rate: int, target_rate: int):
        self.rate, self.target_rate = round_rate(rate, target_rate), target_rate
        self.step = self.rate // math.gcd(self.rate, target_rate)  # samples in, for a whole number of samples out
        self.context = math.ceil(CONTEXT * self.rate / self.step) * self.step
        self.kept = np.zeros(self.context, np.float32)  # what lies before the sound is silence

    def push(self, samples: np.ndarray) -> np.ndarray:
        """What can be converted after further samples, float32 (samples,)."""
        if self.rate == self.target_rate:
            return samples
        self.kept = np.concatenate([self.kept, samples])
        ready = (len(self.kept) - 2 * self.context) // self.step * self.step
        if ready <= 0:
            return samples[:0]
        converted = convert_rate(self.kept[: ready + 2 * self.context], self.rate, self.target_rate)
        self.kept = self.kept[ready:]
        skipped = self.context * self.target_rate // self.rate
        return converted[skipped : skipped + ready * self.target_rate // self.rate]

    def flush(self) -> np.ndarray:
        """The end of the sound, followed by silence."""
        silence = self.context + self.step - 1 if self.rate != self.target_rate else 0
        return self.push(np.zeros(silence, np.float32))


def read_chunks(path: str | Path, sample_rate: int) -> Iterator[np.ndarray]:
    """An audio file of any length and kind, piece by piece: float32 (samples,) at `sample_rate` in Hz, mono.

    Raises:
        InputError: as for `open_audio`; or the file contains samples that are not finite; or, at its end, as for
            `check_end`.
    """
    with open_audio(path) as (file, frames):
        resampler, read, complaints = Resampler(file.samplerate, sample_rate), 0, b""
        while True:
            chunk, said = read_samples(file, round(CHUNK * file.samplerate))
            read, complaints = read + len(chunk), complaints + said
            if not len(chunk):
                break
            if not np.abs(chunk).max() < LOUDEST:
                raise InputError(f"{path}: contains samples that are not finite (NaN or infinity)")
            yield resampler.push(to_mono(chunk))
        yield resampler.flush()
        check_end(path, read, frames, complaints)


def read_pcm(stream: BinaryIO, rate: int, sample_rate: int) -> Iterator[np.ndarray]:
    """Raw samples, 16 bits, little-endian, mono, at `rate` in Hz, as they arrive; half a sample at the end is ignored.

    Yields:
        float32 (samples,) at `sample_rate` in Hz.

    Raises:
        InputError: the rate is none that sound has, or there is not a single sample.
    """
    if not RATES[0] <= rate <= RATES[1]:
        raise InputError(f"a sample rate of {rate:,} Hz; it must be from {RATES[0]:,} to {RATES[1]:,}")
    resampler, begun, rest = Resampler(rate, sample_rate), False, b""
    while (read := stream.read(2 * round(PCM_CHUNK * rate))) != b"":
        if read is None:  # there is nothing yet in a pipe that does not wait for more
            time.sleep(PCM_CHUNK)
            continue
        chunk = rest + read
        whole = len(chunk) // 2 * 2
        begun, rest = begun or whole > 0, chunk[whole:]
        yield resampler.push(np.frombuffer(chunk[:whole], "<i2").astype(np.float32) / 32768)
    if not begun:
        raise InputError("standard input is empty, so there is nothing to listen to")
    yield resampler.flush()
