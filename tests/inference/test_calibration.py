"""Calibration: temperature, threshold and calibration error match their definitions, and are stored and read back."""

import numpy as np
import pytest
import torch
from conftest import experiment_of
from sklearn.calibration import calibration_curve
from torch.nn.functional import pad

from utils import InputError
from utils.experiments import checkpoints
from utils.files import read_json
from utils.inference.calibration import Calibration, calibrate, calibration_error, fit_platt_scaling
from utils.inference.strings import PlattScaling


def draw_logits(clips: int, sharpness: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits scaled by the factor `sharpness`, and labels drawn from the probabilities before scaling."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(clips, 10, generator=generator)
    return logits * sharpness, torch.multinomial(logits.softmax(1), 1, generator=generator).squeeze(1)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_corrects_over_and_underconfidence(sharpness):
    logits, labels = draw_logits(20_000, sharpness)
    made = calibrate(logits, labels, accepted=0.9)
    assert made.temperature == pytest.approx(sharpness, rel=0.05)
    calibrated = (logits / made.temperature).softmax(1)
    assert calibration_error(calibrated, labels) < 0.02
    assert (calibrated.amax(1) >= made.threshold).float().mean().item() == pytest.approx(0.9, abs=0.001)
    rejecting = calibrate(logits, labels, accepted=0.9, rejects=True)  # a non-digit, of the logit 0, is probable too
    confidence = pad(logits / rejecting.temperature, (0, 1)).softmax(1)[:, :10].amax(1)
    assert rejecting.rejects and (confidence >= rejecting.threshold).float().mean() == pytest.approx(0.9, abs=0.001)


def test_the_calibration_error_matches_its_definition():
    logits, labels = draw_logits(500, 3.0)
    probabilities = logits.softmax(1)
    confidence, predicted = probabilities.max(1)
    correct = (predicted == labels).numpy()
    accuracy, mean = calibration_curve(correct, confidence.numpy(), n_bins=15)
    counts = np.histogram(confidence.numpy(), np.linspace(0, 1, 16))[0]
    expected = (counts[counts > 0] / 500 * np.abs(accuracy - mean)).sum()
    assert calibration_error(probabilities, labels) == pytest.approx(expected, abs=1e-6)
    certain = pad(torch.tensor([[1.0, 0.0], [0.95, 0.05]]), (0, 8))  # both are in the last bin
    assert calibration_error(certain, torch.tensor([1, 0])) == pytest.approx(0.975 - 0.5)


def test_platt_scaling_is_found_again():
    draw = np.random.default_rng(0)
    raw, wanted = np.append(draw.uniform(0.22, 1.0, 20_000), 1.0), PlattScaling(1.4, 2.3)
    scaled = np.array([wanted(3, {3: chance})[3] for chance in raw.tolist()])
    found = fit_platt_scaling(raw.tolist(), (draw.random(len(raw)) < scaled).tolist())
    assert (found.slope, found.shift) == pytest.approx((1.4, 2.3), abs=0.15)


@pytest.mark.parametrize("correct", [[], [True] * 5, [False] * 5])
def test_without_both_kinds_of_digits_nothing_is_scaled(correct):
    assert fit_platt_scaling([0.5] * len(correct), correct) == PlattScaling()


def test_a_calibration_is_stored_with_its_checkpoint(corpus, tmp_path):
    digits = experiment_of(corpus, "cnn1d")
    rejecting = experiment_of(corpus, "cnn1d", data={"synthetic_non_digits": 5})
    assert checkpoints.load_calibration(tmp_path, digits) == Calibration(False, 1.0, 0.0)
    assert checkpoints.load_calibration(tmp_path, rejecting) == Calibration(True, 1.0, 0.0)
    checkpoints.save_calibration(tmp_path, Calibration(True, 1.5, 0.4))
    assert checkpoints.load_calibration(tmp_path, rejecting) == Calibration(True, 1.5, 0.4)
    assert set(read_json(tmp_path / "calibration.json")) == {"temperature", "threshold", "sha256"}
    scaled = Calibration(True, 1.5, 0.4, PlattScaling(0.9, 1.9))
    checkpoints.save_calibration(tmp_path, scaled)
    assert checkpoints.load_calibration(tmp_path, rejecting) == scaled
    for text, why in (
        ("{", "not JSON"),
        ('{"temperature": 0}', "temperature is 0"),
        ('{"treshold": 1}', "threshold"),
        ('{"strings": {"slope": 0}}', "strings: need slope"),
    ):
        (tmp_path / "calibration.json").write_text(text)
        with pytest.raises(InputError, match=why):
            checkpoints.load_calibration(tmp_path, digits)
