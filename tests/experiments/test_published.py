"""Checkpoints of the published AudioMNIST system, from a folder or from the Hugging Face Hub."""

import functools
import itertools
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
import yaml
from torch import nn

from utils import InputError
from utils.experiments import checkpoints
from utils.experiments.checkpoints import load_recogniser
from utils.experiments.config import load_experiment
from utils.inference.calibration import Calibration
from utils.paths import CONFIGS

PUBLISHED = {
    "name": "cnn_classifier_v1",
    "tags": {"task": "multiclass_classification"},
    "dataset": {"name": "AudioMNIST", "split": {"strategy": "speaker_disjoint", "ratios": [0.8, 0.1, 0.1], "seed": 42}},
    "features": {
        "type": "mel_spectrogram_db",
        "audio": {"sample_rate": 16000, "mono": True, "hf_cut_hz": None, "fixed_duration_sec": 1.0},
        "stft": {"n_fft": 512, "win_length": 400, "hop_length": 160},
        "mel": {"n_mels": 64, "fmin": 20, "fmax": 8000, "power": 2.0},
        "normalization": {"strategy": "fixed", "mean": -40.0, "std": 20.0},
    },
    "model": {
        "type": "spectrogram_cnn",
        "backbone": {"filters": [32, 64, 128, 256], "kernels": 3, "batch_norm": True, "dropout": 0.3},
        "head": {"units": 128, "dropout": 0.3},
        "output": {"num_classes": 10, "loss": "cross_entropy"},
    },
    "training": {"epochs": 30, "batch_size": 64, "learning_rate": 0.001, "optimizer": "adam", "callbacks": {}},
}


def published_network() -> nn.Module:
    """The network of the published model card: keys are `features.{block}.{layer}` and `classifier.{layer}`."""
    channels = (1, 32, 64, 128, 256)
    blocks = [
        nn.Sequential(nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout2d(0.3))
        for a, b in itertools.pairwise(channels)
    ]
    head = [nn.Dropout(0.3), nn.Linear(256, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 10)]
    network = nn.Module()
    network.features = nn.Sequential(*blocks)
    network.classifier = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), *head)
    return network


@pytest.fixture
def published(tmp_path):
    """A checkpoint in the published layout, and its network."""
    torch.manual_seed(0)
    network = published_network()
    for _ in range(3):  # updates the running statistics of batch normalisation
        network.features(torch.randn(8, 1, 101, 64))
    folder = tmp_path / "hub" / "owner" / "digits"
    folder.mkdir(parents=True)
    torch.save({"model_state": network.state_dict()}, folder / "best_model.pt")
    (folder / "config_snapshot.yaml").write_text(yaml.safe_dump(PUBLISHED))
    return folder, network.eval()


@torch.no_grad()
def test_the_published_layout_is_read(published):
    folder, network = published
    model, experiment = checkpoints.load(folder)
    batch = torch.randn(3, 101, 64)
    expected = network.classifier(network.features(batch.unsqueeze(1)))
    torch.testing.assert_close(model(batch, torch.full((3,), 101)), expected)
    recipe = load_experiment(CONFIGS / "audiomnist_cnn.yaml")
    assert (experiment.features, experiment.model, experiment.training, experiment.data) == (
        recipe.features, recipe.model, recipe.training, recipe.data
    )  # fmt: skip
    assert sum(weight.numel() for weight in model.parameters()) == 422_986  # "about 430k"


@pytest.mark.parametrize(
    ("section", "change", "part"),
    [
        ("features", {"type": "stft_magnitude_db"}, "'stft_magnitude_db'"),
        ("features", {"normalization": {"strategy": "per_sample"}}, "'per_sample'"),
        ("features", {"stft": None}, "not a snapshot"),
        ("model", {"backbone": {"filters": [8, 8], "kernels": 5}}, "kernels is 5"),
        ("model", {"backbone": {"filters": [8, 8]}}, "do not fit"),
    ],
)
def test_an_unsupported_snapshot_is_refused(published, section, change, part):
    folder, _ = published
    changed = PUBLISHED | {section: PUBLISHED[section] | change}
    (folder / "config_snapshot.yaml").write_text(yaml.safe_dump(changed))
    with pytest.raises(InputError) as caught:
        checkpoints.load(folder)
    assert part in str(caught.value) and "\n" not in str(caught.value)


@pytest.fixture
def hub(published, monkeypatch, tmp_path):
    """The published checkpoint on a local Hub, with an empty cache."""

    class Hub(SimpleHTTPRequestHandler):
        def do_GET(self):
            self.path = self.path.replace("/resolve/main", "")
            super().do_GET()

        def log_message(self, *_):
            pass

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr("utils.experiments.hub.CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    handler = functools.partial(Hub, directory=str(tmp_path / "hub"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield server
        server.shutdown()


def test_a_hub_model_is_downloaded_once(hub):
    assert checkpoints.load("owner/digits")[1].model_name == "cnn2d"
    hub.shutdown()
    hub.server_close()
    assert checkpoints.load("owner/digits")[1].model_name == "cnn2d"


def test_a_hub_model_keeps_its_calibration(hub, published):
    (published[0] / "calibration.json").write_text('{"temperature": 0.5, "threshold": 0.25}')
    assert load_recogniser("owner/digits").calibration == Calibration(temperature=0.5, threshold=0.25)


@pytest.mark.parametrize("name", ["owner/none", "nowhere", "a/b/c"])
def test_a_missing_model_is_refused(hub, name):
    with pytest.raises(InputError, match=name):
        checkpoints.load(name)
