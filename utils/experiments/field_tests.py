"""What a recogniser does with what people give it: digits of strangers, other words, noise, several digits in a row."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from utils.data.audio import read_audio
from utils.data.corpora import arabic, audiomnist
from utils.data.metadata import read_metadata
from utils.experiments.clips import synthetic_non_digits
from utils.inference.recogniser import Recogniser
from utils.paths import COURSE_METADATA, speech_data

NOISE = (20.0, 40.0)  # dB that the noise of a made recording lies below its digits
PAUSES = (0.25, 0.7)  # seconds between its digits


def acceptance(recogniser: Recogniser, others: int = 1200, progress: bool = False) -> pd.DataFrame:
    """What is taken for a digit, and what is not, by corpus. No clip, and no person, was trained on.

    A corpus that is not on this machine is left out.

    Args:
        recogniser: of `utils.inference.recogniser.load`.
        others: the synthetic words and noises are TEST's of `experiments.synthetic_non_digits` with this number.
        progress: show a progress bar.

    Returns:
        A row for each corpus: `clips`, and what they are (`digits` or not); `accepted`, the share that is taken for a
        digit; for digits `right`, the share of the accepted ones whose digit is the right one.
    """
    rate, rows = recogniser.features.sample_rate, []
    for name, waveforms, labels in tqdm(_sources(rate, others), "listening", leave=False, disable=not progress):
        heard = np.array(
            [np.nan if answer.digit is None else answer.digit for answer in recogniser.recognise(waveforms)]
        )
        accepted = ~np.isnan(heard)
        right = (heard == labels)[accepted].mean() if labels is not None and accepted.any() else np.nan
        rows.append((name, len(heard), labels is not None, accepted.mean(), right))
    return pd.DataFrame(rows, columns=["corpus", "clips", "digits", "accepted", "right"])


def _sources(rate: int, others: int) -> Iterator[tuple[str, list[np.ndarray], np.ndarray | None]]:
    """A name, waveforms and their labels, or None where they are no digits."""
    for name, table, some in (
        ("course TEST (English)", COURSE_METADATA, "0_lucas_0.wav"),
        ("AudioMNIST's speaker 02 (English)", audiomnist.SPEAKER_02, "audiomnist"),
    ):
        if (speech_data() / some).exists():
            clips = _test(read_metadata(table))
            yield name, _read(clips, rate), clips["label"].to_numpy()
    if (speech_data() / "arabic").exists():
        yield "ten other words in Arabic, TEST", _read(_test(read_metadata(arabic.WORDS_TABLE, digits=False)), rate), None
    made = _test(synthetic_non_digits(others))
    noise = made["label"] == "noise"
    yield "other words by synthetic voices, TEST", _read(made[~noise], rate), None
    yield "synthetic noises, TEST", _read(made[noise], rate), None
    seconds = []
    for path in sorted((speech_data() / "arabic" / "background_noise").glob("*.wav")):
        recording = read_audio(path, rate, max_seconds=600)
        seconds += [recording[start : start + rate] for start in range(0, len(recording) - rate + 1, rate)]
    if seconds:
        yield "a washing machine and a boiler, second by second", seconds, None
    draw = np.random.default_rng(0)
    yield "a silent room", [(1e-4 * draw.normal(size=rate)).astype(np.float32) for _ in range(100)], None


def digit_strings(recogniser: Recogniser, clips: pd.DataFrame, number: int, seed: int = 0) -> pd.DataFrame:
    """Recordings of four to eight digits, put together from one speaker's clips with pauses and noise, and read out.

    Args:
        recogniser: of `utils.inference.recogniser.load`.
        clips: rows of `read_metadata`.
        number: of recordings.
        seed: draws the speakers, the digits, the pauses and the noise.

    Returns:
        A row for each recording: `speaker`, `spoken` and `heard` as tuples of digits (None: not a digit).
    """
    rows = []
    for speaker, spoken, recording in recordings(clips, recogniser.features.sample_rate, number, seed):
        heard = recogniser.recognise_words(recording)
        rows.append((speaker, spoken, tuple(word.prediction.digit for word in heard)))
    return pd.DataFrame(rows, columns=["speaker", "spoken", "heard"])


def recordings(
    clips: pd.DataFrame, rate: int, number: int, seed: int
) -> Iterator[tuple[str, tuple[int, ...], np.ndarray]]:
    """Made recordings as `digit_strings` describes them: speaker, digits and waveform (samples,)."""
    draw = np.random.default_rng(seed)
    for _ in range(number):
        speaker = draw.choice(clips["speaker"].unique())
        own = clips[clips["speaker"] == speaker]
        chosen = own.iloc[draw.choice(len(own), draw.integers(4, 9), replace=False)]
        parts = [np.zeros(round(draw.uniform(*PAUSES) * rate))]
        for path in chosen["path"]:
            word = read_audio(path, rate)
            parts += [word / np.abs(word).max(), np.zeros(round(draw.uniform(*PAUSES) * rate))]
        clip = np.concatenate(parts)
        noise = draw.normal(size=len(clip)) * np.sqrt(np.square(clip).mean()) * 10 ** (-draw.uniform(*NOISE) / 20)
        yield str(speaker), tuple(chosen["label"].tolist()), (0.5 * (clip + noise)).astype(np.float32)


def _test(clips: pd.DataFrame) -> pd.DataFrame:
    return clips[clips["split"] == "TEST"]


def _read(clips: pd.DataFrame, rate: int) -> list[np.ndarray]:
    return [read_audio(path, rate) for path in clips["path"]]
