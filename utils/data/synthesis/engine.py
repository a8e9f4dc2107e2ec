"""The interface of speech synthesisers: text and a voice in, a waveform out. Each engine is a module of `engines/`.

`engines.tsv` lists the voices that the project uses, with the licence of each and whether its output may be passed on.
"""

import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import numpy as np
import soundfile

from utils import InputError
from utils.data.audio import MAX_SECONDS, RATES
from utils.data.metadata import read_rows
from utils.data.synthesis.vocoder import revoice
from utils.settings import nearest

VOICES = Path(__file__).with_name("engines.tsv")
SAMPLE_RATE = 16000  # of every engine's waveforms, in Hz
SILENCE = 0.01  # samples below this share of the peak count as silence
MARGIN = 0.02  # silence kept on either side, in seconds, so that soft onsets are not cut off


@dataclass(frozen=True)
class Voice:
    """A row of `engines.tsv`: a voice, and a language that it speaks here."""

    engine: str
    voice: str
    language: str  # ISO 639-1 code of the language spoken, not of the one that the voice was made for
    accents: tuple[str, ...]  # the accents of `pronunciations.tsv` that it can speak with
    licence: str
    may_pass_on: bool  # whether its output may be published


class Engine(ABC):
    """A speech synthesiser. To create one costs nothing; whatever it needs is loaded when it first speaks."""

    name: str
    pin: str  # the version that the project's archive was spoken with
    notation = "text"  # what it reads: "text" or "ipa"
    endings: tuple[str, ...] = ("",)  # punctuation after a word that changes its intonation
    blends = False  # whether any mixture of its voices is a voice, such as "anna*0.7+ben*0.3"

    @abstractmethod
    def missing(self) -> str | None:
        """None if the engine is installed, otherwise one line that says how to install it."""

    @abstractmethod
    def _installed(self, voice: str) -> bool:
        """Whether a voice can be used. Called only if the engine is installed."""

    @abstractmethod
    def _speak(self, text: str, voice: str, rate: float, pitch: float, seed: int) -> tuple[np.ndarray, int]:
        """The waveform, shape (samples,), and its sample rate."""

    def changes(self, voice: str) -> frozenset[str]:
        """Which of "rate" and "pitch" the engine itself can change. A vocoder changes the others afterwards."""
        return frozenset({"rate", "pitch"})

    def voices(self, language: str) -> list[str]:
        """The installed voices for a language, in the order of `engines.tsv`."""
        if self.missing():
            return []
        rows = [row for row in voice_table() if (row.engine, row.language) == (self.name, language)]
        return [row.voice for row in rows if self._installed(row.voice)]

    def speak(self, text: str, voice: str, *, rate: float = 1.0, pitch: float = 1.0, seed: int = 0) -> np.ndarray:
        """Speak a word.

        Args:
            text: the word, in the engine's `notation`.
            voice: one of `voices`.
            rate: 2 is twice as fast as the voice's own pace.
            pitch: 2 is an octave above the voice's own.
            seed: for engines that speak a word a little differently each time; others ignore it.

        Returns:
            float32 samples, shape (samples,), at `SAMPLE_RATE`, with a peak of 1 and almost no silence around the word.

        Raises:
            InputError: the engine or the voice is not installed, or the engine fails, hangs or produces no sound, or
                none that could be a word.
        """
        if how_to_install := self.missing():
            raise InputError(f"{self.name} is not installed: {how_to_install}")
        if not self._installed(voice):
            known = [row.voice for row in voice_table() if row.engine == self.name and self._installed(row.voice)]
            raise InputError(f"{self.name} has no voice '{voice}'; {nearest(voice, known)}")
        wanted = {"rate": rate, "pitch": pitch}
        by_engine = {what: value if what in self.changes(voice) else 1.0 for what, value in wanted.items()}
        samples, sample_rate = self._speak(text, voice, by_engine["rate"], by_engine["pitch"], seed)
        if samples.ndim != 1 or not RATES[0] <= sample_rate <= RATES[1] or len(samples) > MAX_SECONDS * sample_rate:
            what = f"{samples.shape} samples at {sample_rate:,} Hz"
            raise InputError(f"{self.name} produces no word for '{text}' with the voice {voice}, but {what}")
        samples = trim(samples, sample_rate)
        if len(samples) == 0:
            raise InputError(f"{self.name} produces no sound for '{text}' with the voice {voice}")
        if by_engine != wanted:
            samples = revoice(samples, sample_rate, rate=rate / by_engine["rate"], pitch=pitch / by_engine["pitch"])
        if sample_rate != SAMPLE_RATE:
            from scipy.signal import resample_poly  # takes a second to import

            samples = resample_poly(samples, SAMPLE_RATE, sample_rate)
        return (samples / np.abs(samples).max()).astype(np.float32)


def trim(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Cut off the silence before and after a sound, except for `MARGIN`. Empty if there is nothing else."""
    level = np.abs(samples)
    loud = np.flatnonzero(level > SILENCE * level.max(initial=0))
    if len(loud) == 0:
        return samples[:0]
    margin = round(MARGIN * sample_rate)
    return samples[max(0, loud[0] - margin) : loud[-1] + 1 + margin]


def run(command: Sequence[str | Path], *, timeout: float = 20.0, text: bytes = b"") -> None:
    """Run an engine's program. It is ended if it hangs.

    Args:
        command: the program and its arguments.
        timeout: in seconds.
        text: what the program reads from its standard input.

    Raises:
        InputError: the program is missing, fails, crashes or takes longer than `timeout`.
    """
    try:
        subprocess.run(command, input=text, capture_output=True, timeout=timeout, check=True)
    except subprocess.TimeoutExpired:
        raise InputError(f"{command[0]}: no answer within {timeout:g} s, so it was ended") from None
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines()
        what = f"was ended by signal {-error.returncode}" if error.returncode < 0 else f"failed ({error.returncode})"
        raise InputError(f"{command[0]} {what}{': ' + lines[0] if lines else ''}") from None
    except OSError as error:
        raise InputError(f"{command[0]}: {error.strerror or error}") from None


def listed(command: Sequence[str]) -> list[str]:
    """The words that an engine's program prints about its voices; none if it fails or hangs."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=20).stdout.split()
    except (OSError, subprocess.TimeoutExpired):
        return []


def read_wave(path: Path) -> tuple[np.ndarray, int]:
    """What an engine's program wrote: float64 samples, shape (samples,), and their rate. Empty if it wrote nothing."""
    try:
        return soundfile.read(path, dtype="float64")
    except (OSError, soundfile.LibsndfileError):
        return np.empty(0), SAMPLE_RATE


@cache
def voice_table() -> tuple[Voice, ...]:
    """The rows of `engines.tsv`."""
    return tuple(
        Voice(
            engine=row["engine"],
            voice=row["voice"],
            language=row["language"],
            accents=tuple(row["accents"].split(",")),
            licence=row["licence"],
            may_pass_on=_yes_or_no(row),
        )
        for row in read_rows(VOICES, [field.name for field in fields(Voice)])
    )


def _yes_or_no(row: dict[str, str]) -> bool:
    """Whether the output of a voice may be passed on. Not said is not allowed, so it must be said."""
    if row["may_pass_on"] not in ("yes", "no"):
        raise InputError(
            f"{VOICES}: {row['engine']} {row['voice']}: may_pass_on is {row['may_pass_on']!r}, not yes or no"
        )
    return row["may_pass_on"] == "yes"
