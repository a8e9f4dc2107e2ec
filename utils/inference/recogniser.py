"""Where a waveform becomes a prediction: which digit is spoken, and how confident the model is.

>>> from utils.experiments.checkpoints import load_recogniser
>>> recogniser = load_recogniser()
>>> print(recogniser.predict(["speech_data/7_lucas_3.wav"]))
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from utils import InputError
from utils.data.audio import LOUDEST, read_audio
from utils.inference.endpointing import MARGIN, Endpointer, Segment, find_words

if TYPE_CHECKING:  # PyTorch is imported where it is used: an exported model (`exported`) answers before it is loaded
    from torch import nn

    from utils.features.log_mel import FeatureConfig
    from utils.inference.calibration import Calibration

MAX_SECONDS = 120.0  # the longest recording of several digits
ONE_WORD = 1.2  # seconds; in a longer clip, the digit is searched among its words, since a click or a breath may be one


@dataclass(frozen=True)
class Prediction:
    """The prediction for a clip. `digit` is None if the model rejects it as a non-digit."""

    digit: int | None
    probability: float  # of the most probable digit
    ranking: tuple[tuple[int, float], ...]  # all ten digits with their probabilities, most probable first


@dataclass(frozen=True)
class Word:
    """One of several words of a recording: its start and end in seconds, and its prediction."""

    start: float
    end: float
    prediction: Prediction


class Recogniser:
    """A trained model with its front end and its calibration."""

    def __init__(self, name: str, model: "nn.Module", features: "FeatureConfig", calibration: "Calibration"):
        self.name = name
        self.model = model
        self.features = features
        self.calibration = calibration

    @property
    def sample_rate(self) -> int:
        """Of the waveforms that it takes, in Hz."""
        return self.features.sample_rate

    @property
    def threshold(self) -> float:
        """A word whose best digit is less probable is rejected as a non-digit."""
        return self.calibration.threshold

    def predict(self, files: Sequence[str | Path]) -> list[Prediction]:
        """Recognise audio files of one word each; raises `InputError` for the first that cannot be read."""
        if isinstance(files, str | Path):
            raise InputError(f"predict takes a list of files, for example predict([{str(files)!r}])")
        if not all(isinstance(file, str | Path) for file in files):
            raise InputError("predict takes file names; use recognise for waveforms")
        return self.recognise([read_audio(file, self.sample_rate) for file in files])

    def recognise(self, waveforms: Sequence[np.ndarray]) -> list[Prediction]:
        """Recognise waveforms (samples,) of one word each, floats at the front end's sample rate.

        Where a clip is longer than `ONE_WORD`, the prediction is that of its most probable word, so that what else is
        heard in the room does not count.

        Raises:
            InputError: a waveform is empty, has a different shape, or contains integers or NaN.
        """
        if len(waveforms) == 0:
            return []
        clips = [self._words_of(checked(waveform)) for waveform in waveforms]
        predictions = iter(self._predict_each([word for words in clips for word in words]))
        return [max((next(predictions) for _ in words), key=attrgetter("probability")) for words in clips]

    def _words_of(self, clip: np.ndarray) -> list[np.ndarray]:
        """What may be the digit of a clip: all of it, or the words of a longer one."""
        rate = self.sample_rate
        if len(clip) <= ONE_WORD * rate:
            return [clip]
        return [clip[start:end] for start, end in find_words(clip, rate)] or [clip]

    def _predict_each(self, clips: list[np.ndarray]) -> list[Prediction]:
        """Recognise clips (samples,), each as it is."""
        from utils.features.extraction import extract
        from utils.training.prediction import predict_logits

        logits = predict_logits(self.model, extract(clips, self.features), self.features.floor)
        probabilities, digits = self.calibration.probabilities(logits).sort(dim=1, descending=True)
        return [self._prediction(*row) for row in zip(digits.tolist(), probabilities.tolist(), strict=True)]

    def predict_words(self, file: str | Path) -> list[Word]:
        """Recognise the words of a recording, such as "four two seven", in order.

        Those of most models need pauses between them; those of a `StringRecogniser` do not.

        Raises:
            InputError: as for `read_audio`, for recordings of up to two minutes.
        """
        return self.recognise_words(read_audio(file, self.sample_rate, MAX_SECONDS))

    def recognise_words(self, waveform: np.ndarray) -> list[Word]:
        """Like `predict_words`, for a waveform (samples,); errors as for `recognise`."""
        stream = self.stream()
        return stream.push(checked(waveform)) + stream.flush()

    def stream(self) -> "Stream":
        """A new sound, whose words are recognised while it arrives."""
        return Stream(self)

    def _prediction(self, digits: list[int], probabilities: list[float]) -> Prediction:
        accepted = probabilities[0] >= self.threshold
        ranking = tuple((digit, round(chance, 4)) for digit, chance in zip(digits, probabilities, strict=True))
        return Prediction(digits[0] if accepted else None, ranking[0][1], ranking)


class Stream:
    """Sound in, in chunks of any size; words out, each once it has ended. Memory stays flat.

    >>> stream = recogniser.stream()
    >>> for chunk in chunks:
    ...     print(stream.push(chunk))
    >>> print(stream.flush())
    """

    MARGIN = MARGIN  # seconds by which the end of a word lies after its last sound
    UNNOTICED = 0.0  # seconds that a word may be going on before `in_word` tells

    def __init__(self, recogniser: Recogniser):
        self.recogniser = recogniser
        self.endpointer = Endpointer(recogniser.sample_rate)

    @property
    def seconds(self) -> float:
        """The length of the sound so far."""
        return self.endpointer.received / self.recogniser.sample_rate

    @property
    def in_word(self) -> bool:
        """Whether a word is being spoken."""
        return self.endpointer.begun is not None

    def push(self, waveform: np.ndarray) -> list[Word]:
        """The words that end within a further chunk, float32 (samples,) at the front end's sample rate."""
        return self._recognise(self.endpointer.push(waveform))

    def flush(self) -> list[Word]:
        """The sound ends here, and with it a word that is still being spoken."""
        return self._recognise(self.endpointer.flush())

    def _recognise(self, segments: list[Segment]) -> list[Word]:
        rate = self.recogniser.sample_rate
        predictions = self.recogniser._predict_each([segment.samples for segment in segments]) if segments else []
        return [
            Word(segment.start / rate, segment.end / rate, prediction)
            for segment, prediction in zip(segments, predictions, strict=True)
        ]


def checked(waveform: np.ndarray) -> np.ndarray:
    """A waveform in the form that the front end expects: float32 (samples,)."""
    clip = np.asarray(waveform)
    if clip.ndim != 1 or len(clip) == 0:
        raise InputError(f"a waveform must have the shape (samples,), not {clip.shape}")
    if not np.issubdtype(clip.dtype, np.floating):
        raise InputError(
            f"a waveform must hold floats within [-1, 1], not {clip.dtype}; divide 16-bit integers by 32768"
        )
    clip = np.ascontiguousarray(clip, np.float32)
    if not np.abs(clip).max() < LOUDEST:
        raise InputError("a waveform contains samples that are not numbers (NaN or infinite) or far too large")
    return clip
