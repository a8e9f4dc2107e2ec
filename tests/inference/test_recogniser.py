"""Recognition: the API of three lines, what is no digit, and several digits in a row."""

import numpy as np
import pytest
import torch
from conftest import experiment_of
from sklearn.calibration import calibration_curve

from utils import InputError
from utils.data.audio import read_audio
from utils.experiments import checkpoints
from utils.inference import calibration
from utils.inference.calibration import Calibration, calibration_error
from utils.inference.endpointing import cut
from utils.inference.recogniser import load

RATE = 8000


def predict_logits(clips: int, sharpness: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Labels drawn from the probabilities of some logits, and these logits too sharp by a factor."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(clips, 10, generator=generator)
    return logits * sharpness, torch.multinomial(logits.softmax(1), 1, generator=generator).squeeze(1)


# Calibration


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_a_wrong_sharpness(sharpness):
    logits, labels = predict_logits(20_000, sharpness)
    made = calibration.calibrate(logits, labels, accepted=0.9)
    assert made.temperature == pytest.approx(sharpness, rel=0.05)
    calibrated = (logits / made.temperature).softmax(1)
    assert calibration_error(calibrated, labels) < 0.02
    assert (calibrated.amax(1) >= made.threshold).float().mean().item() == pytest.approx(0.9, abs=0.001)


def test_the_calibration_error_is_that_of_its_formula():
    logits, labels = predict_logits(500, 3.0)
    probabilities = logits.softmax(1)
    confidence, heard = probabilities.max(1)
    right = (heard == labels).numpy()
    accuracy, mean = calibration_curve(right, confidence.numpy(), n_bins=15)
    counts = np.histogram(confidence.numpy(), np.linspace(0, 1, 16))[0]
    expected = (counts[counts > 0] / 500 * np.abs(accuracy - mean)).sum()
    assert calibration_error(probabilities, labels) == pytest.approx(expected, abs=1e-6)


def test_a_calibration_lies_beside_its_checkpoint(corpus, tmp_path):
    digits = experiment_of(corpus, "cnn1d")
    others = experiment_of(corpus, "cnn1d", data={"synthetic_non_digits": 5})
    assert checkpoints.load_calibration(tmp_path, digits) == Calibration(False, 1.0, 0.0)
    assert checkpoints.load_calibration(tmp_path, others) == Calibration(True, 1.0, 0.0)
    checkpoints.save_calibration(tmp_path, Calibration(True, 1.5, 0.4))
    assert checkpoints.load_calibration(tmp_path, others) == Calibration(True, 1.5, 0.4)
    for text, why in (("{", "damaged"), ('{"temperature": 0}', "temperature > 0"), ('{"treshold": 1}', "threshold")):
        (tmp_path / "calibration.json").write_text(text)
        with pytest.raises(InputError, match=why):
            checkpoints.load_calibration(tmp_path, digits)


# The API


def test_three_lines_hear_a_digit(trained, corpus):
    recogniser = load(trained.checkpoint)
    answers = recogniser.predict([corpus.folder / "7_eve_1.wav", corpus.folder / "4_finn_1.wav"])
    assert [answer.digit for answer in answers] == [7, 4]
    assert answers[0].ranking[0] == (7, answers[0].probability) and len(answers[0].ranking) == 10
    assert recogniser.predict([]) == []


def test_what_no_digit_is_probable_for_is_none(trained, corpus):
    recogniser = load(trained.checkpoint)
    (before,) = recogniser.predict([corpus.folder / "7_eve_1.wav"])
    recogniser.calibration = Calibration(threshold=min(1.0, before.probability + 0.001))
    (after,) = recogniser.predict([corpus.folder / "7_eve_1.wav"])
    assert (after.digit, after.ranking) == (None, before.ranking)


def test_any_floats_will_do_for_a_waveform(trained, corpus):
    recogniser, clip = load(trained.checkpoint), read_audio(corpus.folder / "7_eve_1.wav", RATE)
    for waveform in (clip.astype(np.float64), torch.from_numpy(clip), clip.tolist(), np.stack([clip, clip], 1)[:, 0]):
        assert recogniser.hear([waveform])[0].digit == 7


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
def test_what_is_no_waveform_is_refused(trained, waveform, why):
    recogniser = load(trained.checkpoint)
    with pytest.raises(InputError, match=why):
        recogniser.hear([waveform])
    with pytest.raises(InputError, match=why):
        recogniser.recognise_words(waveform)


def test_predict_wants_names(trained):
    for waveforms in (np.zeros(800, np.float32), [np.zeros(800, np.float32)]):
        with pytest.raises(InputError, match="waveforms go to hear"):
            load(trained.checkpoint).predict(waveforms)


def test_predict_wants_a_list(trained):
    with pytest.raises(InputError, match="a list of files"):
        load(trained.checkpoint).predict("7_eve_1.wav")


# Several words


def words(*lengths: float, pause: float = 0.3, noise: float = 0.003) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Bursts of so many seconds with pauses between, in noise; and where they are, in seconds."""
    generator, parts, where, now = np.random.default_rng(0), [np.zeros(int(pause * RATE))], [], pause
    for length in lengths:
        parts += [0.5 * np.sin(np.arange(int(length * RATE)) / 2), np.zeros(int(pause * RATE))]
        where.append((now, now + length))
        now += length + pause
    clip = np.concatenate(parts)
    return (clip + noise * generator.normal(size=len(clip))).astype(np.float32), where


def test_a_recording_is_cut_at_its_pauses():
    clip, where = words(0.3, 0.5, 0.2)
    found = np.array(cut(clip, RATE)) / RATE
    assert found.shape == (3, 2)
    np.testing.assert_allclose(found, where, atol=0.1)
    assert (found[:, 0] <= np.array(where)[:, 0]).all() and (found[:, 1] >= np.array(where)[:, 1]).all()


def test_a_short_gap_within_a_word_does_not_cut_it():
    clip, _ = words(0.2, 0.2, pause=0.09)
    assert len(cut(clip, RATE)) == 1


def test_clicks_and_recordings_shorter_than_a_frame_are_no_words():
    clip, _ = words(0.3, 0.02)
    assert len(cut(clip, RATE)) == 1
    assert cut(np.zeros(100, np.float32), RATE) == []


def test_one_even_sound_is_one_word():
    clip = np.sin(np.arange(4000) / 2).astype(np.float32)
    assert cut(clip, RATE) == [(0, 4000)]
