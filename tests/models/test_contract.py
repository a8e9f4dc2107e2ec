"""The contract that every model of `model_neural/` keeps, and the linear one; and that a broken one is found out.

`pytest -k NAME` runs the checks on one model.
"""

from dataclasses import dataclass

import pytest
import torch
from conftest import experiment_of
from torch import nn

from utils import InputError
from utils.experiments import checkpoints, runs
from utils.experiments.contract import CHECKS, FEATURES, ContractError
from utils.experiments.models import find_model, model_names
from utils.features.extraction import clip_features
from utils.training.prediction import predict_logits


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", model_names())
def test_contract(name, check):
    """A failure is one line in plain words; `make check NAME=...` prints them for one model."""
    failure = None
    try:
        model, settings = find_model(name)
        CHECKS[check](lambda: model(settings(n_mels=FEATURES.n_mels)))
    except (ContractError, InputError) as broken:
        failure = str(broken)
    if failure:
        pytest.fail(f"{name}: {failure}", pytrace=False)


@pytest.mark.parametrize("name", model_names())
def test_checkpoint_gives_the_same_predictions_as_the_trained_model(name, corpus, tmp_path):
    """Trained for one epoch through the whole pipeline, saved, and loaded again."""
    sections = {} if name == "linear" else {"training": {"epochs": 1}}
    experiment = experiment_of(corpus, name, **sections)
    result = runs.run(experiment, 0, store=tmp_path / "results", runs=tmp_path / "runs")
    model, loaded = checkpoints.load(runs.checkpoint_folder(experiment, "course", 0, tmp_path / "runs"))
    assert loaded == experiment
    test = corpus.clips.query("split == 'TEST'")
    predicted = predict_logits(model, clip_features(test, loaded.features)[0], loaded.features.floor).argmax(1)
    accuracy = (predicted == torch.tensor(test["label"].to_numpy())).float().mean().item()
    assert accuracy == pytest.approx(result["metrics"]["TEST"]["accuracy"])
    assert result["parameters"] == sum(weight.numel() for weight in model.parameters())
    assert result["train_seconds"] > 0


@dataclass(frozen=True)
class MeanConfig:
    n_mels: int = FEATURES.n_mels


class Mean(nn.Module):
    """A sound model: the mean over a clip's frames, and a linear layer. What is broken derives from it."""

    def __init__(self, config: MeanConfig = MeanConfig()):
        super().__init__()
        self.linear = nn.Linear(config.n_mels, 10)

    def forward(self, features, lengths):
        inside = (torch.arange(features.shape[1]) < lengths.unsqueeze(1)).unsqueeze(2)
        return self.linear((features * inside).sum(1) / lengths.unsqueeze(1))


class OneRow(Mean):
    def forward(self, features, lengths):
        return super().forward(features, lengths)[0]


class NotANumber(Mean):
    def forward(self, features, lengths):
        return super().forward(features, lengths) / (lengths // 4).unsqueeze(1)


class LooksAtPadding(Mean):
    def forward(self, features, lengths):
        return self.linear(features.mean(1))


class LooksAtItsNeighbours(Mean):
    def forward(self, features, lengths):
        logits = super().forward(features, lengths)
        return logits - logits.mean()


class DropsInEvaluation(Mean):
    def forward(self, features, lengths):
        return nn.functional.dropout(super().forward(features, lengths))


class Unused(Mean):
    def __init__(self):
        super().__init__()
        self.spare = nn.Linear(3, 3)


class DrawnElsewhere(Mean):
    """Its weights come from a generator of its own, which no seed of PyTorch's reaches."""

    generator = torch.Generator().manual_seed(0)

    def __init__(self):
        super().__init__()
        self.linear.weight.data = torch.randn(10, FEATURES.n_mels, generator=self.generator)


class KeepsAPlainTensor(Mean):
    def __init__(self):
        super().__init__()
        self.scale = 1.0

    def forward(self, features, lengths):
        if self.training:
            self.scale = self.scale + 1.0
        return self.scale * super().forward(features, lengths)


class AnotherHead(Mean):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(10, 10)

    def embed(self, features, lengths):
        return super().forward(features, lengths)

    def forward(self, features, lengths):
        return self.head(self.embed(features, lengths)) + 1


class NoParameters(nn.Module):
    def forward(self, features, lengths):
        return features.new_zeros(len(features), 10)


@pytest.mark.parametrize("check", CHECKS)
def test_a_sound_model_without_embed_and_head_keeps_the_contract(check):
    CHECKS[check](Mean)


@pytest.mark.parametrize(
    ("check", "broken", "message"),
    [
        ("shapes", OneRow, r"shape \(10,\), not \(3, 10\)"),
        ("shapes", NotANumber, "1 frames give (NaN|infinite) logits"),
        ("padding", LooksAtPadding, "a clip of 1 frame change by up to .* pads it to 2 frames.*lengths"),
        ("batch", LooksAtItsNeighbours, "change by up to .* louder.*whole batch"),
        ("evaluation", DropsInEvaluation, "the second time.*dropout"),
        ("gradients", Unused, "no gradient reaches spare.weight, spare.bias"),
        ("seed", DrawnElsewhere, "linear.weight start with other weights"),
        ("round-trip", KeepsAPlainTensor, "after saving and loading.*register_buffer"),
        ("embedding", AnotherHead, r"`head\(embed\(...\)\)` differs"),
        ("cost", NoParameters, "no parameters"),
    ],
)
def test_a_broken_model_is_told_what_is_wrong(check, broken, message):
    with pytest.raises(ContractError, match=message):
        CHECKS[check](broken)
