"""Field tests: digits of unseen speakers, in noise and in strings, and clips that contain no digit.

The outcome of `FieldTests` goes into the result of a run (the setting `field_tests`), and from there into the tables
`noise`, `strings` and `rejection`. `digit_strings` tests any recogniser on the clips that it is given.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from torch import Tensor, nn

from utils.data.audio import read_audio
from utils.data.config import FIELD_DIGITS, FIELD_WORDS, DataConfig
from utils.data.metadata import read_metadata
from utils.data.splits import Split
from utils.experiments.checkpoints import make_recogniser
from utils.experiments.clips import noise_clips
from utils.experiments.config import Experiment
from utils.experiments.mixtures import NOISE, STRINGS, cached_mixtures
from utils.features.extraction import clip_features, file_features
from utils.inference.calibration import ACCEPTED, calibrate
from utils.inference.recogniser import Recogniser
from utils.paths import find_metadata
from utils.progress import Progress
from utils.training.prediction import predict_logits

SNR_DB = (20.0, 40.0)  # of a composed recording
PAUSES = (0.25, 0.7)  # between its digits, in seconds


@dataclass(frozen=True)
class FieldTests:
    """The clips of the field tests, whose speakers and noises are unseen in training."""

    clips: pd.DataFrame  # the clips of TEST
    noisy: dict[str, pd.DataFrame]  # the same, in each condition of `mixtures.NOISE`
    strings: dict[str, pd.DataFrame]  # made of them, in each condition of `mixtures.STRINGS`
    digits: pd.DataFrame  # of yet other speakers, who set the threshold
    non_digits: dict[str, pd.DataFrame]

    def measure(self, model: nn.Module, experiment: Experiment) -> dict[str, float]:
        """The outcome of a model: `threshold`, `accepted` and, by name, a share for each of `strings` and `non_digits`.

        The threshold, and a temperature, are set so that 97 % of `digits` are accepted. `accepted` is the share of
        `clips` that are; a share of non-digits is that which is rejected. Of strings, it is those whose digits are all
        right, none missing and none too many. Nothing in a string is rejected by the threshold.
        """
        data, features = experiment.data, experiment.features

        def logits_of(clips: pd.DataFrame) -> Tensor:
            return predict_logits(model, file_features(clips["path"].tolist(), features), features.floor)

        _, labels = clip_features(self.digits, features)
        calibration = calibrate(logits_of(self.digits), labels, ACCEPTED, data.learns_non_digits)

        def accepted(clips: pd.DataFrame) -> float:
            best = calibration.probabilities(logits_of(clips)).amax(1)
            return (best >= calibration.threshold).float().mean().item()

        outcome = {"threshold": calibration.threshold, "accepted": accepted(self.clips)}
        recogniser = make_recogniser(model, experiment, replace(calibration, threshold=0.0))
        for name, clips in self.strings.items():
            outcome[name] = float((recognised_strings(recogniser, clips) == clips["label"]).mean())
        return outcome | {name: 1 - accepted(clips) for name, clips in self.non_digits.items()}


def field_tests(data: DataConfig, split: Split) -> FieldTests:
    """Read or make the clips of the field tests of an experiment, whose clips are those of `split`.

    Raises:
        InputError: a corpus is missing, or one of its speakers or noises is trained on.
    """
    tested = split.tests["TEST"]
    folder = cached_mixtures(tested, data.test_noises)
    digits = [_part_of(table, part) for table, part in FIELD_DIGITS.items()]
    words = {name: _part_of(table, part, digits=False) for name, (table, part) in FIELD_WORDS.items()}
    tests = FieldTests(
        tested,
        noisy_clips(data, tested),
        {name: read_metadata(folder / name / "metadata.tsv", digits=False) for name in STRINGS},
        pd.concat(digits, ignore_index=True),
        words | {"noises": noise_clips(data.test_noises)},
    )
    Split(split.name, split.train, {"digits": tests.digits, **tests.non_digits})  # refuses those that are trained on
    return tests


def noisy_clips(data: DataConfig, tested: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The clips that an experiment is tested on, in each condition of `mixtures.NOISE` (cached)."""
    folder = cached_mixtures(tested, data.test_noises)
    return {name: read_metadata(folder / name / "metadata.tsv") for name in NOISE}


def recognised_strings(recogniser: Recogniser, strings: pd.DataFrame) -> pd.Series:
    """The digits that are recognised in each recording of a table, as text: "427"."""
    recognised = []
    for path in Progress(strings["path"], "strings"):
        digits = [word.prediction.digit for word in recogniser.predict_words(path)]
        recognised.append("".join(str(digit) for digit in digits if digit is not None))
    return pd.Series(recognised, index=strings.index, dtype=str)


def digit_strings(recogniser: Recogniser, clips: pd.DataFrame, number: int) -> pd.DataFrame:
    """Recognise strings of four to eight digits, composed of one speaker's clips with pauses and noise.

    Args:
        recogniser: for example from `load_recogniser`.
        clips: rows of `read_metadata`.
        number: of recordings. A larger number has those of a smaller one.

    Returns:
        One row per recording: `speaker`, `spoken`, and the prediction `heard`, both tuples of digits (None: no digit).
    """
    rows = []
    for speaker, spoken, recording in recordings(clips, recogniser.sample_rate, number):
        words = recogniser.recognise_words(recording)
        rows.append((speaker, spoken, tuple(word.prediction.digit for word in words)))
    return pd.DataFrame(rows, columns=["speaker", "spoken", "heard"])


def recordings(
    clips: pd.DataFrame, rate: int, number: int, seed: int = 0
) -> Iterator[tuple[str, tuple[int, ...], np.ndarray]]:
    """The recordings of `digit_strings`, and with another seed others: speaker, digits and waveform (samples,)."""
    draw = np.random.default_rng(seed)
    for _ in range(number):
        speaker = draw.choice(clips["speaker"].unique())
        of_speaker = clips[clips["speaker"] == speaker]
        chosen = of_speaker.iloc[draw.choice(len(of_speaker), draw.integers(4, 9), replace=False)]
        parts = [np.zeros(round(draw.uniform(*PAUSES) * rate))]
        for path in chosen["path"]:
            word = read_audio(path, rate)
            parts += [word / np.abs(word).max(), np.zeros(round(draw.uniform(*PAUSES) * rate))]
        clip = np.concatenate(parts)
        noise = draw.normal(size=len(clip)) * np.sqrt(np.square(clip).mean()) * 10 ** (-draw.uniform(*SNR_DB) / 20)
        yield str(speaker), tuple(chosen["label"].tolist()), (0.5 * (clip + noise)).astype(np.float32)


def _part_of(table: str, split: str, digits: bool = True) -> pd.DataFrame:
    clips = read_metadata(find_metadata(table), digits=digits)
    return clips[clips["split"] == split]
