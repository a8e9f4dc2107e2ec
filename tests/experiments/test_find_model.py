"""Models are found by the names of their modules; an unusable module is reported by its file and the reason."""

import sys

import pytest

import model_neural
from model_baseline import Linear
from utils import InputError
from utils.experiments.config import parse_experiment
from utils.experiments.models import find_model, model_names, network_names

NETWORK = """
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class NetConfig:
    n_mels: int = 40
    size: int = 3


class Net(nn.Module):
    def __init__(self, config=NetConfig()):
        super().__init__()
        self.head = nn.Linear(config.n_mels, 10)
"""


@pytest.fixture
def write_module(tmp_path, monkeypatch):
    """`write_module(text)` adds `mine.py` to the package model_neural for one test."""
    monkeypatch.setattr(model_neural, "__path__", [*model_neural.__path__, str(tmp_path)])
    monkeypatch.delattr(model_neural, "mine", raising=False)
    sys.modules.pop("model_neural.mine", None)
    yield (tmp_path / "mine.py").write_text
    sys.modules.pop("model_neural.mine", None)
    vars(model_neural).pop("mine", None)


def test_the_project_s_models_are_found():
    assert set(network_names()) >= {"cnn1d", "cnn2d", "gru", "resnet", "vit"}
    assert "contrastive" not in network_names()
    assert model_names()[0] == "linear" and find_model("linear")[0] is Linear
    for name in network_names():
        network, settings = find_model(name)
        assert network.__module__ == f"model_neural.{name}" and settings.__name__ == f"{network.__name__}Config"


def test_a_new_module_is_found_by_its_name(write_module):
    write_module(NETWORK)
    assert "mine" in network_names()
    network, settings = find_model("mine")
    assert (network.__name__, settings.__name__) == ("Net", "NetConfig")
    experiment = parse_experiment({"model": {"name": "mine", "size": 5}, "features": {"n_mels": 23}}, "x", "x")
    assert (experiment.model.n_mels, experiment.model.size) == (23, 5)


def test_a_setting_may_be_a_switch(write_module):
    write_module(NETWORK.replace("size: int = 3", "attention: bool = False"))
    for settings, expected in (({}, False), ({"attention": True}, True)):
        assert parse_experiment({"model": {"name": "mine"} | settings}, "x", "x").model.attention is expected


def test_each_of_several_dropout_rates_is_checked(write_module):
    write_module(NETWORK.replace("size: int = 3", "dropouts: tuple[float, ...] = (0.1, 0.2)"))
    assert parse_experiment({"model": {"name": "mine"}}, "x", "x").model.dropouts == (0.1, 0.2)
    with pytest.raises(InputError, match="dropouts is .*less than 1"):
        parse_experiment({"model": {"name": "mine", "dropouts": [0.1, 1.5]}}, "x", "x")


def test_layers_beside_the_network_need_no_settings(write_module):
    write_module(NETWORK + "\n\nclass Block(nn.Module):\n    pass\n")
    assert find_model("mine")[0].__name__ == "Net"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("SIZE = 3\n", ["one network", "none"]),
        ("from torch import nn\n\n\nclass Net(nn.Module):\n    pass\n", ["NetConfig", "none", "classes are Net"]),
        (NETWORK + NETWORK.replace("Net", "Other"), ["one network", "Net and Other"]),
        (NETWORK.replace("n_mels: int = 40", "mels: int = 40"), ["NetConfig", "n_mels"]),
        (NETWORK.replace("@dataclass(frozen=True)\n", ""), ["NetConfig", "dataclass"]),
        ("SIZE = 3\ndef broken(:\n", ["line 2", "SyntaxError"]),
        ("import torch\n\nimport no_such_package\n", ["line 3", "no_such_package"]),
        ("SIZE = 1\nSIZE / 0\n", ["line 2", "ZeroDivisionError"]),
        ("import json\n\njson.loads('{')\n", ["line 3", "JSONDecodeError"]),  # raised deep inside another module
        ("import ast\n\n\nast.parse('1 +')\n", ["line 4", "SyntaxError"]),  # of another text, which has one line
    ],
    ids=[
        "no class",
        "no settings",
        "two networks",
        "no n_mels",
        "no dataclass",
        "syntax",
        "import",
        "exception",
        "exception elsewhere",
        "syntax elsewhere",
    ],
)
def test_an_unusable_module_is_reported(write_module, text, parts):
    write_module(text)
    with pytest.raises(InputError) as caught:
        find_model("mine")
    message = str(caught.value)
    assert message.startswith("model_neural/mine.py") and "\n" not in message
    for part in parts:
        assert part in message
    with pytest.raises(InputError, match="x.yaml: model: model_neural/mine.py"):
        parse_experiment({"model": {"name": "mine"}}, "x.yaml", "x")


@pytest.mark.parametrize("name", ["cnn1", "contrastive", "_mine", None, ["linear"], "../cnn1d"])
def test_an_unknown_name_is_refused(write_module, name):
    with pytest.raises(InputError, match="unknown name"):
        find_model(name)
