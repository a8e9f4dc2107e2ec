"""Open-set tests: what a recogniser accepts as digits, among digits, other words, noises, music and silence."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from utils.data.audio import read_audio
from utils.data.corpora import arabic, audiomnist
from utils.data.metadata import read_metadata
from utils.experiments.clips import synthetic_music, synthetic_non_digits
from utils.inference.recogniser import Recogniser
from utils.paths import COURSE_METADATA, speech_data


def acceptance(recogniser: Recogniser, non_digits: int = 1200) -> pd.DataFrame:
    """The share of clips that the recogniser accepts as digits, by corpus. All speakers are unseen.

    Corpora that are not available here are skipped.

    Args:
        recogniser: for example from `load_recogniser`.
        non_digits: the synthetic words and noises are the TEST clips of `synthetic_non_digits(non_digits)`,
            the music those of `synthetic_music(non_digits // 2)`; so at least 10.

    Returns:
        One row per corpus: the number of `clips`; whether they are `digits`; `accepted`, the share accepted as digits;
        for digits also `right`, the accuracy on the accepted clips.
    """
    rate, rows = recogniser.sample_rate, []
    for name, waveforms, labels in _sources(rate, non_digits):
        predictions = recogniser.recognise(waveforms)
        digits = np.array([np.nan if prediction.digit is None else prediction.digit for prediction in predictions])
        accepted = ~np.isnan(digits)
        right = (digits == labels)[accepted].mean() if labels is not None and accepted.any() else np.nan
        rows.append((name, len(digits), labels is not None, accepted.mean(), right))
    return pd.DataFrame(rows, columns=["corpus", "clips", "digits", "accepted", "right"])


def _sources(rate: int, non_digits: int) -> Iterator[tuple[str, list[np.ndarray], np.ndarray | None]]:
    """The name of each corpus, its waveforms, and their labels (None if they are not digits)."""
    for name, table, recordings in (
        ("course TEST (English)", COURSE_METADATA, "0_lucas_0.wav"),
        ("AudioMNIST's speaker 02 (English)", audiomnist.SPEAKER_02, "audiomnist"),
    ):
        if (speech_data() / recordings).exists():
            clips = _test(read_metadata(table))
            yield name, _read(clips, rate), clips["label"].to_numpy()
    if (speech_data() / "arabic").exists():
        clips = _test(read_metadata(arabic.WORDS_TABLE, digits=False))
        yield "ten other words in Arabic, TEST", _read(clips, rate), None
    synthetic = _test(synthetic_non_digits(non_digits))
    noise = synthetic["label"] == "noise"
    yield "other words by synthetic voices, TEST", _read(synthetic[~noise], rate), None
    yield "synthetic noises, TEST", _read(synthetic[noise], rate), None
    yield "synthetic music, TEST", _read(_test(synthetic_music(non_digits // 2)), rate), None
    seconds = []
    for path in sorted((speech_data() / "arabic" / "background_noise").glob("*.wav")):
        recording = read_audio(path, rate, max_seconds=600)
        seconds += [recording[start : start + rate] for start in range(0, len(recording) - rate + 1, rate)]
    if seconds:
        yield "a washing machine and a boiler, second by second", seconds, None
    draw = np.random.default_rng(0)
    yield "a silent room", [(1e-4 * draw.normal(size=rate)).astype(np.float32) for _ in range(100)], None


def _test(clips: pd.DataFrame) -> pd.DataFrame:
    return clips[clips["split"] == "TEST"]


def _read(clips: pd.DataFrame, rate: int) -> list[np.ndarray]:
    return [read_audio(path, rate) for path in clips["path"]]
