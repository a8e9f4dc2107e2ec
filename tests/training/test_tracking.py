"""Experiment tracking: what MLflow would refuse does not reach it."""

import posixpath
import re
import sys
from types import ModuleType, SimpleNamespace

import pytest

from utils.training.tracking import track


class Client:
    """Keeps metrics under the names that MLflow takes, by its own rules (`mlflow.utils.validation`)."""

    def __init__(self, store: str):
        self.metrics: dict[str, float] = {}
        self.parameters: dict[str, object] = {}
        self.history: list[tuple] = []
        made.append(self)

    def log_metric(self, run, key, value, step):
        assert re.fullmatch(r"[/\w.\- ]+", key) and len(key) <= 250
        assert posixpath.normpath(key) == key and not key.startswith(("..", "/"))
        if step:
            self.history.append((step, key, value))
        else:
            self.metrics[key] = value

    def get_experiment_by_name(self, name):
        return None

    def create_experiment(self, name, place):
        return "1"

    def create_run(self, experiment, run_name):
        return SimpleNamespace(info=SimpleNamespace(run_id="1"))

    def log_param(self, run, key, value):
        self.parameters[key] = value

    def log_artifacts(self, run, folder):
        self.artifacts = folder

    def set_terminated(self, run): ...


made: list[Client] = []


@pytest.mark.parametrize(
    ("part", "shown"),
    [
        ("TEST", "TEST"),
        ("audiomnist_02", "audiomnist_02"),
        ("caf\N{LATIN SMALL LETTER E WITH ACUTE} (1)", "caf\N{LATIN SMALL LETTER E WITH ACUTE} _1_"),
        ("..a+b%", "__a_b_"),
        (250 * "x", 200 * "x"),
    ],
)
def test_a_part_of_any_name_is_logged(tmp_path, monkeypatch, part, shown):
    mlflow = ModuleType("mlflow")
    mlflow.MlflowClient = Client
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    costs = {"parameters": 1, "multiply_adds": 2, "train_seconds": 3.0}
    history = [{"epoch": n, "stage": "round 1", "loss": 1 / n} for n in (1, 2)]
    config = {"model": {"name": "cnn1d"}, "seeds": 1}
    result = {"experiment": "mine", "protocol": "course", "seed": 0, "config": config, "history": history, **costs}
    assert track(result | {"metrics": {part: {"accuracy": 0.5, "n": 20}}}, tmp_path, tmp_path / "mlflow")
    assert made[-1].metrics == {f"{shown} accuracy": 0.5, **costs}
    assert made[-1].parameters == {"model.name": "cnn1d", "seeds": 1}
    assert made[-1].history == [(1, "loss", 1.0), (2, "loss", 0.5)] and made[-1].artifacts == str(tmp_path)
