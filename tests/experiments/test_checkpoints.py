"""A checkpoint gives back what was saved, runs no code that came with it, and is written whole or not at all."""

import functools
import itertools
import json
import os
import pickle
import resource
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
import yaml
from conftest import experiment_of
from torch import nn

from utils import InputError
from utils.experiments import checkpoints
from utils.experiments.checkpoints import load_recogniser
from utils.experiments.config import load_experiment, make_model, snapshot
from utils.features.extraction import extract
from utils.features.log_mel import pad
from utils.files import atomic_folder, write_atomically
from utils.inference.calibration import Calibration
from utils.paths import PROJECT


@pytest.fixture
def folder(trained, tmp_path):
    """A checkpoint that a test may damage."""
    return shutil.copytree(trained.checkpoint, tmp_path / "checkpoint")


@torch.no_grad()
def logits(model) -> torch.Tensor:
    clips = [torch.randn(n, 20, generator=torch.Generator().manual_seed(n)) for n in (30, 20, 41)]
    return model.eval()(*pad(clips))


# Round trip


@pytest.mark.parametrize("name", ["linear", "cnn1d"])
def test_a_checkpoint_gives_back_the_model_and_the_experiment(corpus, trained, tmp_path, name):
    experiment = experiment_of(corpus, name)
    torch.manual_seed(3)
    model = make_model(experiment)
    model.train()(*pad([torch.randn(30, 20), torch.randn(25, 20)]))  # statistics are part of a model
    checkpoints.save(tmp_path / "made", model, experiment, trained.result)
    loaded, read = checkpoints.load(tmp_path / "made")
    assert read == experiment
    assert not loaded.training
    assert torch.equal(logits(loaded), logits(model))


def test_a_checkpoint_holds_what_the_contract_says(trained):
    assert sorted(path.name for path in trained.checkpoint.iterdir()) == [
        "README.md",
        "best_model.pt",
        "config_snapshot.yaml",
        "metrics.json",
    ]
    weights = torch.load(trained.checkpoint / "best_model.pt", weights_only=True)
    assert list(weights) == ["model_state"]
    assert yaml.safe_load((trained.checkpoint / "config_snapshot.yaml").read_text()) == snapshot(trained.experiment)
    assert json.loads((trained.checkpoint / "metrics.json").read_text()) == trained.result["metrics"]


def test_a_checkpoint_may_be_moved_and_needs_no_clips(trained, folder):
    model, experiment = checkpoints.load(folder)
    (features,) = extract([torch.randn(2000)], experiment.features)
    assert model(features.unsqueeze(0), torch.tensor([len(features)])).shape == (1, 10)
    assert torch.equal(logits(model), logits(checkpoints.load(trained.checkpoint)[0]))


def test_the_card_has_the_figures(trained, tmp_path):
    model, experiment = checkpoints.load(trained.checkpoint)
    metrics = trained.result["metrics"] | {
        "TEST": {"accuracy": 0.8125, "macro_f1": 0.7654, "n": 16, "per_speaker": {"eve": 0.75, "finn": 0.875}}
    }
    checkpoints.save(tmp_path / "made", model, experiment, trained.result | {"metrics": metrics})
    card = (tmp_path / "made" / "README.md").read_text()
    assert "| TEST | eve, finn | 16 | 0.812 | 0.765 |" in card
    assert "`linear` of 1,010 parameters" in card  # five parts of 20 mels, ten digits and their biases
    assert "80 clips of clips; speakers: ada, bob, cleo, dan" in card
    assert "course (seed 0)" in card
    assert "Free Spoken Digit" not in card


# What is wrong with it


@pytest.mark.parametrize("name", ["best_model.pt", "config_snapshot.yaml"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"not a checkpoint: it has no {name}"):
        checkpoints.load(folder)


def test_no_folder_at_all_is_no_checkpoint(tmp_path, folder):
    for path in (tmp_path / "none", folder / "best_model.pt"):
        with pytest.raises(InputError, match="not a checkpoint"):
            checkpoints.load(path)


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.999])
def test_truncated_weights_are_refused(folder, share):
    content = (folder / "best_model.pt").read_bytes()
    (folder / "best_model.pt").write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match="best_model.pt: .*damaged") as caught:
        checkpoints.load(folder)
    assert "\n" not in str(caught.value)


def test_a_flipped_bit_in_the_weights_is_not_ignored(folder):
    content = bytearray((folder / "best_model.pt").read_bytes())
    content[len(content) // 2] ^= 0x10
    (folder / "best_model.pt").write_bytes(content)
    with pytest.raises(InputError, match="best_model.pt"):
        checkpoints.load(folder)


@pytest.mark.parametrize(
    "other",
    [torch.zeros(3), [1, 2], {"weights": {}}, {"model_state": torch.zeros(3)}, {"model_state": {}}, "text", None],
)
@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")
def test_a_file_of_something_else_is_refused(folder, other):
    torch.save(other, folder / "best_model.pt")
    with pytest.raises(InputError, match="best_model.pt") as caught:
        checkpoints.load(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["linear", "cnn1d"])
def test_weights_of_another_model_are_refused(corpus, folder, name):
    other = make_model(experiment_of(corpus, name, features={"n_mels": 21}))
    torch.save({"model_state": other.state_dict()}, folder / "best_model.pt")
    with pytest.raises(InputError, match="best_model.pt: its weights do not fit the model that config_snapshot.yaml"):
        checkpoints.load(folder)


def test_a_snapshot_with_an_unknown_key_is_refused(folder):
    path = folder / "config_snapshot.yaml"
    path.write_text(path.read_text().replace("hop_length", "hop_lenght"))
    with pytest.raises(InputError, match="config_snapshot.yaml: features: unknown key 'hop_lenght'.*'hop_length'"):
        checkpoints.load(folder)


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("way", ["torch.save", "pickle", "within the weights"])
def test_code_in_a_checkpoint_is_refused_and_not_run(folder, tmp_path, way):
    sprung, weights = tmp_path / "sprung", folder / "best_model.pt"
    if way == "pickle":
        weights.write_bytes(pickle.dumps({"model_state": Trap(sprung)}))
    elif way == "torch.save":
        torch.save(Trap(sprung), weights)
    else:
        state = torch.load(weights)
        state["model_state"]["head.bias"] = Trap(sprung)
        torch.save(state, weights)
    with pytest.raises(InputError, match="best_model.pt: not a file of weights") as caught:
        checkpoints.load(folder)
    assert "\n" not in str(caught.value)
    assert not sprung.exists()
    torch.load(weights, weights_only=False) if way != "pickle" else pickle.loads(weights.read_bytes())
    assert sprung.exists()  # the trap does work


# Whole or not at all


class Killed(BaseException):
    pass


def die(*_, **__):
    raise Killed


@pytest.mark.parametrize(
    "step", ["torch.save", "yaml.safe_dump", "json.dumps", "utils.experiments.checkpoints.model_card"]
)
@pytest.mark.parametrize("there_before", [False, True])
def test_killed_while_saving_leaves_nothing_or_the_old_one(trained, tmp_path, monkeypatch, step, there_before):
    target = tmp_path / "made"
    model, experiment = checkpoints.load(trained.checkpoint)
    if there_before:
        checkpoints.save(target, model, experiment, trained.result)
    torch.manual_seed(5)
    other = make_model(experiment)
    with monkeypatch.context() as patch:
        patch.setattr(step, die)
        with pytest.raises(Killed):
            checkpoints.save(target, other, experiment, trained.result)
    assert list(tmp_path.iterdir()) == ([target] if there_before else [])
    if there_before:
        assert torch.equal(logits(checkpoints.load(target)[0]), logits(model))


def test_a_checkpoint_replaces_an_older_one_whole(trained, tmp_path):
    target = tmp_path / "made"
    target.mkdir()
    (target / "note.txt").write_text("of an older time")
    model, experiment = checkpoints.load(trained.checkpoint)
    for _ in range(2):
        checkpoints.save(target, model, experiment, trained.result)
        assert len(list(target.iterdir())) == 4
    assert list(tmp_path.iterdir()) == [target]


def test_the_old_folder_comes_back_when_the_new_cannot_take_its_place(tmp_path, monkeypatch):
    target = tmp_path / "made"
    target.mkdir()
    (target / "old").touch()
    replace = type(target).replace

    def fail(self, other):
        if self.name == "new":
            raise OSError("no")
        return replace(self, other)

    with monkeypatch.context() as patch:
        patch.setattr(type(target), "replace", fail)
        with pytest.raises(InputError, match="could not be written"), atomic_folder(target) as new:
            (new / "new").touch()
    assert [path.name for path in target.iterdir()] == ["old"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    write_atomically(path, lambda new: new.write_text("first"))

    def write_half(new):
        new.write_text("sec")
        raise Killed

    with pytest.raises(Killed):
        write_atomically(path, write_half)
    assert path.read_text() == "first" and list(path.parent.iterdir()) == [path]


def test_a_place_that_cannot_be_written_to_is_an_input_error(trained, tmp_path):
    (tmp_path / "file").touch()
    model, experiment = checkpoints.load(trained.checkpoint)
    with pytest.raises(InputError, match="could not be written"):
        checkpoints.save(tmp_path / "file" / "made", model, experiment, trained.result)


def test_a_device_is_not_replaced_by_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")  # stands in for /dev/null, which a careless root would lose
    for place in (tmp_path / "pipe", tmp_path):
        with pytest.raises(InputError, match="no file"):
            write_atomically(place, lambda new: new.write_text("text"))
    assert (tmp_path / "pipe").is_fifo() and list(tmp_path.iterdir()) == [tmp_path / "pipe"]


def test_a_full_disk_is_an_input_error(tmp_path):
    """A limit on the size of files stands in for the disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(InputError, match=r"weights\.pt: could not be written"):
            write_atomically(tmp_path / "weights.pt", lambda new: torch.save(torch.zeros(100_000), new))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


# Checkpoints of the published AudioMNIST system

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
    """The network as its model card describes it: keys are `features.{block}.{layer}` and `classifier.{layer}`."""
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
    for _ in range(3):  # moves the statistics of batch normalisation
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
    theirs = network.classifier(network.features(batch.unsqueeze(1)))
    torch.testing.assert_close(model(batch, torch.full((3,), 101)), theirs)
    recipe = load_experiment(PROJECT / "configs" / "audiomnist_cnn.yaml")
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
def test_a_published_snapshot_that_does_not_fit_is_refused(published, section, change, part):
    folder, _ = published
    changed = PUBLISHED | {section: PUBLISHED[section] | change}
    (folder / "config_snapshot.yaml").write_text(yaml.safe_dump(changed))
    with pytest.raises(InputError) as caught:
        checkpoints.load(folder)
    assert part in str(caught.value) and "\n" not in str(caught.value)


@pytest.fixture
def hub(published, monkeypatch, tmp_path):
    """The published checkpoint on a Hub of the test's own, whose cache is empty."""

    class Hub(SimpleHTTPRequestHandler):
        def do_GET(self):
            self.path = self.path.replace("/resolve/main", "")
            super().do_GET()

        def log_message(self, *_):
            pass

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(checkpoints, "PROJECT", tmp_path / "project")
    monkeypatch.chdir(tmp_path)
    handler = functools.partial(Hub, directory=str(tmp_path / "hub"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield server
        server.shutdown()


def test_a_model_of_the_hub_is_downloaded_once(hub):
    assert checkpoints.load("owner/digits")[1].model_name == "cnn2d"
    hub.shutdown()
    hub.server_close()
    assert checkpoints.load("owner/digits")[1].model_name == "cnn2d"


def test_a_model_of_the_hub_brings_its_calibration(hub, published):
    (published[0] / "calibration.json").write_text('{"temperature": 0.5, "threshold": 0.25}')
    assert load_recogniser("owner/digits").calibration == Calibration(temperature=0.5, threshold=0.25)


@pytest.mark.parametrize("name", ["owner/none", "nowhere", "a/b/c"])
def test_a_model_that_is_not_there_is_refused(hub, name):
    with pytest.raises(InputError, match=name):
        checkpoints.load(name)
