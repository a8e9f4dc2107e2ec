"""`make check NAME=...`: one line per promise of a model, and one line about what is broken."""

import re

import check_model
import pytest

import model_neural

SOUND = """
from dataclasses import dataclass
import torch
from torch import nn

@dataclass(frozen=True)
class MeanConfig:
    n_mels: int = 40

class Mean(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.linear = nn.Linear(config.n_mels, 10)

    def forward(self, features, lengths):
        inside = (torch.arange(features.shape[1]) < lengths.unsqueeze(1)).unsqueeze(2)
        return self.linear((features * inside).sum(1) / lengths.unsqueeze(1))
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """`module(name, source)` puts a module among the models."""
    monkeypatch.setattr(model_neural, "__path__", [*model_neural.__path__, str(tmp_path)])
    return lambda name, source: (tmp_path / f"{name}.py").write_text(source)


def test_a_sound_model_keeps_every_promise(module, capsys):
    module("mean_of_frames", SOUND)
    assert check_model.main("mean_of_frames") == 0
    shown = capsys.readouterr()
    assert shown.out.count(" kept: ") == len(check_model.CHECKS) and not shown.err
    assert "410 parameters" in shown.out and "write configs/mean_of_frames.yaml" in shown.out


def test_a_models_own_config_is_checked(capsys):
    assert check_model.main("linear") == 0  # configs/linear.yaml: 10 parts of 40 mels, 10 digits
    shown = capsys.readouterr()
    assert "4,010 parameters" in shown.out and "configs/" not in shown.out


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        (
            "counts_padding",
            "(features * inside).sum(1) / lengths.unsqueeze(1)",
            "features.mean(1)",
            "padding .* broken:.*pads it",
        ),
        ("has_a_bug", ".sum(1)", ".summ(1)", "shapes .* broken: model_neural/has_a_bug.py, line 17: AttributeError"),
    ],
)
def test_a_broken_model_is_told_so_in_one_line(module, capsys, name, old, new, message):
    module(name, SOUND.replace(old, new))
    assert check_model.main(name) == 1
    shown = capsys.readouterr()
    assert re.match(message, shown.err) and len(shown.err.splitlines()) == 1


@pytest.mark.parametrize(("name", "source"), [("not_closed", "x = ("), ("empty", ""), ("nowhere", None)])
def test_a_module_that_is_no_model_is_refused_in_one_line(module, capsys, name, source):
    if source is not None:
        module(name, source)
    assert check_model.main(name) == 2
    shown = capsys.readouterr()
    assert name in shown.err and len(shown.err.splitlines()) == 1 and not shown.out
