"""Say which digit is spoken. `sdr predict`, the demo and other people's programs use this:

>>> from utils import recognition
>>> recogniser = recognition.load()
>>> print(recogniser.predict(["speech_data/7_lucas_3.wav"]))
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path

import numpy as np
from torch import nn

from utils import InputError, checkpoints
from utils.audio import LOUDEST, convert_rate, read_audio
from utils.config import Experiment
from utils.evaluation import logits_of
from utils.features import extract
from utils.metadata import PROJECT
from utils.rejection import Calibration
from utils.segmentation import cut

DEFAULT = PROJECT / "checkpoints" / "digits"
AUDIO = (".wav", ".flac", ".ogg", ".mp3")
PATTERN = re.compile(r"[*?\[]")
MAX_SECONDS = 120.0  # of a recording of several digits


@dataclass(frozen=True)
class Answer:
    """What is heard in a clip. `digit` is None where it is no digit, as far as the model can tell."""

    digit: int | None
    probability: float  # of the most probable digit
    ranking: tuple[tuple[int, float], ...]  # all ten digits with their probabilities, the most probable first


@dataclass(frozen=True)
class Spoken:
    """One of several words of a recording: from when to when, in seconds, and what is heard in it."""

    start: float
    end: float
    answer: Answer


class Recogniser:
    """A trained model with its front end, its temperature and its threshold."""

    def __init__(self, model: nn.Module, experiment: Experiment, calibration: Calibration):
        self.name = experiment.name
        self.model = model
        self.features = experiment.features
        self.calibration = calibration

    def predict(self, files: Sequence[str | Path]) -> list[Answer]:
        """What is spoken in audio files of one word each; raises `InputError` for the first that cannot be read."""
        if isinstance(files, str | Path):
            raise InputError(f"predict takes a list of files, as predict([{str(files)!r}])")
        if not all(isinstance(file, str | Path) for file in files):
            raise InputError("predict takes the names of files; waveforms go to hear")
        return self.hear([read_audio(file, self.features.sample_rate) for file in files])

    def hear(self, waveforms: Sequence[np.ndarray]) -> list[Answer]:
        """What is spoken in waveforms (samples,) of one word each, floats at the front end's sample rate.

        Raises:
            InputError: a waveform that is empty, has another shape, or holds integers or what is no number.
        """
        if len(waveforms) == 0:
            return []
        clips = [_checked(waveform) for waveform in waveforms]
        logits = logits_of(self.model, extract(clips, self.features), self.features.floor)
        probabilities, digits = self.calibration.probabilities(logits).sort(dim=1, descending=True)
        return [self._answer(*row) for row in zip(digits.tolist(), probabilities.tolist(), strict=True)]

    def read_out(self, file: str | Path) -> list[Spoken]:
        """The words of a recording with pauses between them ("four ... two ... seven"), in order.

        Raises:
            InputError: as for `read_audio`, of a recording of up to two minutes.
        """
        return self.hear_words(read_audio(file, self.features.sample_rate, MAX_SECONDS))

    def hear_words(self, waveform: np.ndarray) -> list[Spoken]:
        """As `read_out`, of a waveform (samples,); errors as for `hear`."""
        waveform, rate = _checked(waveform), self.features.sample_rate
        words = cut(waveform, rate)
        answers = self.hear([waveform[start:end] for start, end in words])
        return [Spoken(start / rate, end / rate, answer) for (start, end), answer in zip(words, answers, strict=True)]

    def _answer(self, digits: list[int], probabilities: list[float]) -> Answer:
        sure = probabilities[0] >= self.calibration.threshold
        ranking = tuple((digit, round(chance, 4)) for digit, chance in zip(digits, probabilities, strict=True))
        return Answer(digits[0] if sure else None, ranking[0][1], ranking)


def _checked(waveform: np.ndarray) -> np.ndarray:
    """A waveform as the front end takes it: float32 (samples,)."""
    clip = np.asarray(waveform)
    if clip.ndim != 1 or len(clip) == 0:
        raise InputError(f"a waveform has the shape (samples,), not {clip.shape}")
    if not np.issubdtype(clip.dtype, np.floating):
        raise InputError(f"a waveform holds floats within [-1, 1], not {clip.dtype}; divide 16-bit integers by 32768")
    clip = np.ascontiguousarray(clip, np.float32)
    if not np.abs(clip).max() < LOUDEST:
        raise InputError("a waveform holds samples that are not numbers (NaN or infinite), or far too large")
    return clip


def load(checkpoint: str | Path = DEFAULT) -> Recogniser:
    """A recogniser from a checkpoint: that of the project, or another one (errors as for `checkpoints.load`)."""
    folder = checkpoints.find(checkpoint)
    model, experiment = checkpoints.load(folder)
    return Recogniser(model, experiment, checkpoints.load_calibration(folder, experiment))


def find_audio(names: Sequence[str | Path]) -> list[Path]:
    """The files that names stand for: files as they are, the audio files in folders and below, patterns as `*.wav`.

    Raises:
        InputError: a folder without audio files, or a pattern that nothing matches.
    """
    found: list[Path] = []
    if "" in names:
        raise InputError("a file's name is empty")
    for name in map(Path, names):
        if name.is_dir():
            inside = sorted(path for path in name.rglob("*") if path.suffix.lower() in AUDIO and path.is_file())
            if not inside:
                raise InputError(f"{name}: neither a checkpoint nor a folder with audio files ({', '.join(AUDIO)})")
            found += inside
        elif not name.exists() and PATTERN.search(str(name)):
            matched = sorted(path for path in map(Path, glob(str(name), recursive=True)) if path.is_file())
            if not matched:
                raise InputError(f"{name}: no file matches")
            found += matched
        else:
            found.append(name)
    return found


def is_checkpoint(name: str | Path) -> bool:
    """Whether a name is meant for a checkpoint, rather than for something to listen to."""
    path = Path(name)
    if path.exists():
        return path.is_dir() and any((path / file).exists() for file in (checkpoints.WEIGHTS, checkpoints.SNAPSHOT))
    return path.suffix.lower() not in AUDIO and not PATTERN.search(str(name))


def record(seconds: float, sample_rate: int) -> np.ndarray:
    """Record from the microphone, at the rate that it has: (samples,) at `sample_rate`, in Hz.

    Raises:
        InputError: the package sounddevice is not installed, or there is no microphone.
    """
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # OSError: the package is there, but not the library PortAudio
        raise InputError(f"recording needs sounddevice ({error}): `pip install sounddevice`") from None
    try:
        rate = round(sounddevice.query_devices(kind="input")["default_samplerate"])
        clip = sounddevice.rec(round(seconds * rate), rate, channels=1, dtype="float32", blocking=True)[:, 0]
    except sounddevice.PortAudioError as error:
        raise InputError(f"no recording: is there a microphone? ({error})") from None
    if not clip.any():
        raise InputError("the microphone gives nothing but silence: is it muted?")
    return convert_rate(clip, rate, sample_rate)
