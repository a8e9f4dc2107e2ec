"""Field tests of a recogniser: digits of unseen speakers, other words, noise, strings of digits."""

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

SNR_DB = (20.0, 40.0)  # of a composed recording
PAUSES = (0.25, 0.7)  # between its digits, in seconds


def acceptance(recogniser: Recogniser, non_digits: int = 1200, progress: bool = False) -> pd.DataFrame:
    """The share of clips that the recogniser accepts as digits, by corpus. All speakers are unseen.

    Corpora that are not available here are skipped.

    Args:
        recogniser: for example from `load_recogniser`.
        non_digits: the synthetic words and noises are the TEST clips of `synthetic_non_digits(non_digits)`.
        progress: show a progress bar.

    Returns:
        One row per corpus: the number of `clips`; whether they are `digits`; `accepted`, the share accepted as digits;
        for digits also `right`, the accuracy on the accepted clips.
    """
    rate, rows = recogniser.features.sample_rate, []
    for name, waveforms, labels in tqdm(_sources(rate, non_digits), "corpora", leave=False, disable=not progress):
        predictions = recogniser.recognise(waveforms)
        digits = np.array([np.nan if prediction.digit is None else prediction.digit for prediction in predictions])
        accepted = ~np.isnan(digits)
        right = (digits == labels)[accepted].mean() if labels is not None and accepted.any() else np.nan
        rows.append((name, len(digits), labels is not None, accepted.mean(), right))
    return pd.DataFrame(rows, columns=["corpus", "clips", "digits", "accepted", "right"])


def _sources(rate: int, non_digits: int) -> Iterator[tuple[str, list[np.ndarray], np.ndarray | None]]:
    """The name of each corpus, its waveforms, and their labels (None if they are not digits)."""
    for name, table, some in (
        ("course TEST (English)", COURSE_METADATA, "0_lucas_0.wav"),
        ("AudioMNIST's speaker 02 (English)", audiomnist.SPEAKER_02, "audiomnist"),
    ):
        if (speech_data() / some).exists():
            clips = _test(read_metadata(table))
            yield name, _read(clips, rate), clips["label"].to_numpy()
    if (speech_data() / "arabic").exists():
        clips = _test(read_metadata(arabic.WORDS_TABLE, digits=False))
        yield "ten other words in Arabic, TEST", _read(clips, rate), None
    made = _test(synthetic_non_digits(non_digits))
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
    """Recognise strings of four to eight digits, composed of one speaker's clips with pauses and noise.

    Args:
        recogniser: for example from `load_recogniser`.
        clips: rows of `read_metadata`.
        number: of recordings.
        seed: for the speakers, the digits, the pauses and the noise.

    Returns:
        One row per recording: `speaker`, `spoken`, and the prediction `heard`, both tuples of digits (None: no digit).
    """
    rows = []
    for speaker, spoken, recording in recordings(clips, recogniser.features.sample_rate, number, seed):
        words = recogniser.recognise_words(recording)
        rows.append((speaker, spoken, tuple(word.prediction.digit for word in words)))
    return pd.DataFrame(rows, columns=["speaker", "spoken", "heard"])


def recordings(
    clips: pd.DataFrame, rate: int, number: int, seed: int
) -> Iterator[tuple[str, tuple[int, ...], np.ndarray]]:
    """The recordings of `digit_strings`: speaker, digits and waveform (samples,) of each."""
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
        noise = draw.normal(size=len(clip)) * np.sqrt(np.square(clip).mean()) * 10 ** (-draw.uniform(*SNR_DB) / 20)
        yield str(speaker), tuple(chosen["label"].tolist()), (0.5 * (clip + noise)).astype(np.float32)


def _test(clips: pd.DataFrame) -> pd.DataFrame:
    return clips[clips["split"] == "TEST"]


def _read(clips: pd.DataFrame, rate: int) -> list[np.ndarray]:
    return [read_audio(path, rate) for path in clips["path"]]
