"""The exported ONNX file predicts what the model predicts, for clips of any length."""

import sys

import numpy as np
import pytest
import torch

from utils import InputError
from utils.data.audio import read_audio
from utils.data.metadata import read_metadata
from utils.experiments import checkpoints
from utils.experiments.checkpoints import DEFAULT, load_recogniser
from utils.experiments.config import find_experiment, make_model
from utils.experiments.exporting import export_checkpoint
from utils.features.extraction import extract
from utils.features.log_mel import FeatureConfig
from utils.inference import export
from utils.inference.calibration import Calibration
from utils.inference.onnx_front_end import OneClip
from utils.paths import CONFIGS, COURSE_METADATA, speech_data
from utils.training.prediction import predict, predict_logits

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

CLIPS = [torch.randn(samples, generator=torch.Generator().manual_seed(samples)).numpy() for samples in (30, 801, 9000)]
FRONT_ENDS = {
    "the course's": FeatureConfig(),
    "AudioMNIST's": find_experiment("audiomnist_cnn", CONFIGS).features,
    "full scale": FeatureConfig(level="none", trim_db=None),
    "odd": FeatureConfig(n_fft=260, win_length=201, hop_length=77),
}


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(path, options)


def predictions(path, waveforms) -> np.ndarray:
    """The probabilities that the file computes for each waveform (clips, 10)."""
    model = session(path)
    return np.concatenate([model.run(None, {"waveform": waveform[None]})[0] for waveform in waveforms])


def fresh(name: str):
    """An untrained model with larger weights than usual, so that its outputs differ between clips."""
    torch.manual_seed(0)
    experiment = find_experiment(name, CONFIGS)
    model = make_model(experiment)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    return model, experiment.features


@pytest.mark.parametrize("config", FRONT_ENDS.values(), ids=FRONT_ENDS)
def test_the_front_end_for_one_clip_equals_the_batched_one(config):
    burst = np.concatenate([np.zeros(3000), np.sin(np.arange(4000) / 3), np.zeros(5000)]).astype(np.float32)
    for clip in (*CLIPS, burst, np.zeros(500, np.float32)):
        (batched,) = extract([clip], config)
        single = OneClip(config)(torch.from_numpy(clip).unsqueeze(0))[0]
        torch.testing.assert_close(single, batched, atol=1e-3, rtol=0)


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("vit", "resnet", "arabic_small")]


@pytest.mark.parametrize("name", ["linear", "cnn1d", "audiomnist_cnn", *SLOW])
def test_the_file_predicts_what_the_model_predicts(tmp_path, name):
    model, config = fresh(name)
    path = export.export(tmp_path / "model.onnx", model, config, Calibration(temperature=2.0), facts={"name": name})
    logits = predict(model, extract(CLIPS, config), config.floor).log()
    np.testing.assert_allclose(predictions(path, CLIPS), (logits / 2).softmax(1), atol=1e-3)
    facts = session(path).get_modelmeta().custom_metadata_map
    assert facts == {"sample_rate": str(config.sample_rate), "name": name}


def test_temperature_and_threshold_of_a_checkpoint_are_exported(trained, tmp_path, capfd):
    folder = tmp_path / "calibrated"
    folder.mkdir()
    for file in trained.checkpoint.iterdir():
        if file.is_file():
            (folder / file.name).write_bytes(file.read_bytes())
    checkpoints.save_calibration(folder, Calibration(temperature=0.5, threshold=0.6))
    path = export_checkpoint(folder, tmp_path / "model.onnx")
    assert session(path).get_modelmeta().custom_metadata_map["threshold"] == "0.6"
    model, experiment = checkpoints.load(folder)
    (probabilities,) = predict(model, extract(CLIPS[1:2], experiment.features), experiment.features.floor)
    np.testing.assert_allclose(predictions(path, CLIPS[1:2])[0], (probabilities.log() / 0.5).softmax(0), atol=1e-3)
    assert capfd.readouterr() == ("", "")  # the exporter's own messages do not concern the user


@pytest.mark.slow
def test_quantisation_makes_the_file_smaller(tmp_path):
    model, config = fresh("resnet")
    whole = export.export(tmp_path / "whole.onnx", model, config, Calibration(temperature=9.0))
    small = export.export(tmp_path / "small.onnx", model, config, Calibration(temperature=9.0), clips=CLIPS)
    assert small.stat().st_size < 150_000 < 0.5 * whole.stat().st_size
    assert 0 < np.abs(predictions(whole, CLIPS) - predictions(small, CLIPS)).mean() < 0.05


def test_the_quantised_file_nearly_always_agrees_with_the_model(trained, corpus, tmp_path):
    small = export_checkpoint(trained.checkpoint, tmp_path / "small.onnx", int8=True)
    clips = [read_audio(file, 8000) for file in sorted(corpus.folder.glob("*_eve_*.wav"))]
    config = trained.experiment.features
    model, _ = checkpoints.load(trained.checkpoint)
    exact = predict(model, extract(clips, config), config.floor).numpy()
    assert (predictions(small, clips).argmax(1) == exact.argmax(1)).mean() >= 0.9


def test_unsupported_models_and_missing_packages_are_refused(tmp_path, monkeypatch):
    experiment = find_experiment("gru", CONFIGS)
    with pytest.raises(InputError, match="cannot be exported"):
        export.export(tmp_path / "gru.onnx", make_model(experiment), experiment.features)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(InputError, match="pip install onnx"):
        export.export(tmp_path / "gru.onnx", make_model(experiment), experiment.features)
    assert not list(tmp_path.iterdir())


def test_sdr_export_names_the_file_after_the_model(sdr, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = sdr("export", trained.checkpoint)
    assert done.status == 0 and (tmp_path / "tiny.onnx").exists()
    sdr("export", tmp_path / "none").refused("none", "not a checkpoint")
    (tmp_path / "file").write_text("")
    sdr("export", trained.checkpoint, "--output", tmp_path / "file" / "x.onnx").refused("could not be written")


@pytest.mark.slow
@pytest.mark.skipif(not (speech_data() / "0_george_0.wav").exists(), reason="the clips of the course are not available")
def test_the_exported_default_model_agrees_on_real_clips(tmp_path):
    recogniser = load_recogniser()
    clips = read_metadata(COURSE_METADATA).query("split == 'TEST'")
    waveforms = [read_audio(path, recogniser.features.sample_rate) for path in clips["path"]]
    exported = predictions(export_checkpoint(DEFAULT, tmp_path / "digits.onnx"), waveforms)
    logits = predict_logits(recogniser.model, extract(waveforms, recogniser.features), recogniser.features.floor)
    exact = recogniser.calibration.probabilities(logits).numpy()
    assert (exported.argmax(1) == exact.argmax(1)).all()
    assert np.abs(exported - exact).max() < 1e-3
    small = export_checkpoint(DEFAULT, tmp_path / "small.onnx", int8=True)
    accuracy = [(given.argmax(1) == clips["label"]).mean() for given in (exact, predictions(small, waveforms))]
    assert small.stat().st_size < 450_000 and accuracy[1] > accuracy[0] - 0.003
