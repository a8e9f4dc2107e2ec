"""Where a waveform becomes an answer: which digit is spoken, and how sure the model is.

>>> from utils.experiments.checkpoints import load_recogniser
>>> recogniser = load_recogniser()
>>> print(recogniser.predict(["speech_data/7_lucas_3.wav"]))
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from utils import InputError
from utils.data.audio import LOUDEST, read_audio
from utils.features.extraction import extract
from utils.features.log_mel import FeatureConfig
from utils.inference.calibration import Calibration
from utils.inference.endpointing import find_words
from utils.training.prediction import predict_logits

MAX_SECONDS = 120.0  # of a recording of several digits


@dataclass(frozen=True)
class Prediction:
    """What is heard in a clip. `digit` is None where it is no digit, as far as the model can tell."""

    digit: int | None
    probability: float  # of the most probable digit
    ranking: tuple[tuple[int, float], ...]  # all ten digits with their probabilities, the most probable first


@dataclass(frozen=True)
class Word:
    """One of several words of a recording: from when to when, in seconds, and what is heard in it."""

    start: float
    end: float
    prediction: Prediction


class Recogniser:
    """A trained model with its front end, its temperature and its threshold."""

    def __init__(self, name: str, model: nn.Module, features: FeatureConfig, calibration: Calibration):
        self.name = name
        self.model = model
        self.features = features
        self.calibration = calibration

    def predict(self, files: Sequence[str | Path]) -> list[Prediction]:
        """What is spoken in audio files of one word each; raises `InputError` for the first that cannot be read."""
        if isinstance(files, str | Path):
            raise InputError(f"predict takes a list of files, as predict([{str(files)!r}])")
        if not all(isinstance(file, str | Path) for file in files):
            raise InputError("predict takes the names of files; waveforms go to recognise")
        return self.recognise([read_audio(file, self.features.sample_rate) for file in files])

    def recognise(self, waveforms: Sequence[np.ndarray]) -> list[Prediction]:
        """What is spoken in waveforms (samples,) of one word each, floats at the front end's sample rate.

        Raises:
            InputError: a waveform that is empty, has another shape, or holds integers or what is no number.
        """
        if len(waveforms) == 0:
            return []
        clips = [_checked(waveform) for waveform in waveforms]
        logits = predict_logits(self.model, extract(clips, self.features), self.features.floor)
        probabilities, digits = self.calibration.probabilities(logits).sort(dim=1, descending=True)
        return [self._prediction(*row) for row in zip(digits.tolist(), probabilities.tolist(), strict=True)]

    def predict_words(self, file: str | Path) -> list[Word]:
        """The words of a recording with pauses between them ("four ... two ... seven"), in order.

        Raises:
            InputError: as for `read_audio`, of a recording of up to two minutes.
        """
        return self.recognise_words(read_audio(file, self.features.sample_rate, MAX_SECONDS))

    def recognise_words(self, waveform: np.ndarray) -> list[Word]:
        """As `predict_words`, of a waveform (samples,); errors as for `recognise`."""
        waveform, rate = _checked(waveform), self.features.sample_rate
        words = find_words(waveform, rate)
        answers = self.recognise([waveform[start:end] for start, end in words])
        return [Word(start / rate, end / rate, answer) for (start, end), answer in zip(words, answers, strict=True)]

    def _prediction(self, digits: list[int], probabilities: list[float]) -> Prediction:
        sure = probabilities[0] >= self.calibration.threshold
        ranking = tuple((digit, round(chance, 4)) for digit, chance in zip(digits, probabilities, strict=True))
        return Prediction(digits[0] if sure else None, ranking[0][1], ranking)


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
