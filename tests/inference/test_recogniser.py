"""Recognition: the API of three lines, rejection, invalid input, and several digits in one recording."""

import numpy as np
import pytest
import soundfile
import torch

from utils import InputError
from utils.data.audio import read_audio
from utils.experiments.checkpoints import load_recogniser
from utils.inference.calibration import Calibration

RATE = 8000


def test_three_lines_recognise_digits(trained, corpus):
    recogniser = load_recogniser(trained.checkpoint)
    predictions = recogniser.predict([corpus.folder / "7_eve_1.wav", corpus.folder / "4_finn_1.wav"])
    assert [prediction.digit for prediction in predictions] == [7, 4]
    best = predictions[0]
    assert best.ranking[0] == (7, best.probability) and len(best.ranking) == 10
    assert recogniser.predict([]) == []


def test_a_clip_below_the_threshold_is_rejected(trained, corpus):
    recogniser = load_recogniser(trained.checkpoint)
    (before,) = recogniser.predict([corpus.folder / "7_eve_1.wav"])
    recogniser.calibration = Calibration(threshold=min(1.0, before.probability + 0.001))
    (after,) = recogniser.predict([corpus.folder / "7_eve_1.wav"])
    assert (after.digit, after.ranking) == (None, before.ranking)


def test_waveforms_of_any_float_type_are_accepted(trained, corpus):
    recogniser, clip = load_recogniser(trained.checkpoint), read_audio(corpus.folder / "7_eve_1.wav", RATE)
    for waveform in (clip.astype(np.float64), torch.from_numpy(clip), clip.tolist(), np.stack([clip, clip], 1)[:, 0]):
        assert recogniser.recognise([waveform])[0].digit == 7


@pytest.mark.parametrize(
    ("waveform", "why"),
    [
        (np.zeros(0, np.float32), "shape"),
        (np.zeros((4000, 2), np.float32), "shape"),
        (np.ones(4000, np.int16), "int16"),
        (np.full(4000, np.nan, np.float32), "not numbers"),
        (np.full(4000, 1e30, np.float32), "too large"),
    ],
    ids=["empty", "stereo", "int16", "NaN", "too large"],
)
def test_invalid_waveforms_are_refused(trained, waveform, why):
    recogniser = load_recogniser(trained.checkpoint)
    with pytest.raises(InputError, match=why):
        recogniser.recognise([waveform])
    with pytest.raises(InputError, match=why):
        recogniser.recognise_words(waveform)


def test_predict_refuses_waveforms(trained):
    for waveforms in (np.zeros(800, np.float32), [np.zeros(800, np.float32)]):
        with pytest.raises(InputError, match="use recognise for waveforms"):
            load_recogniser(trained.checkpoint).predict(waveforms)


def test_predict_refuses_a_single_name(trained):
    with pytest.raises(InputError, match="a list of files"):
        load_recogniser(trained.checkpoint).predict("7_eve_1.wav")


def test_the_words_of_a_recording_are_recognised_in_order(trained, corpus, tmp_path):
    recogniser, pause = load_recogniser(trained.checkpoint), np.zeros(RATE // 2, np.float32)
    clips = [read_audio(corpus.folder / name, RATE) for name in ("7_eve_1.wav", "4_finn_1.wav")]
    waveform = np.concatenate([pause, clips[0], pause, clips[1], pause])
    words = recogniser.recognise_words(waveform)
    assert [word.prediction.digit for word in words] == [7, 4]
    soundfile.write(tmp_path / "two.wav", waveform, RATE, subtype="FLOAT")
    assert recogniser.predict_words(tmp_path / "two.wav") == words
    starts = [0.5, 1 + len(clips[0]) / RATE]
    for word, start, clip in zip(words, starts, clips, strict=True):
        assert start - 0.1 < word.start < word.end < start + len(clip) / RATE + 0.1
