"""Submissions to grade: forks with one small network, honest or forged."""

import json
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from sklearn.linear_model import LogisticRegression

from utils import InputError
from utils.features.extraction import file_features
from utils.features.log_mel import FeatureConfig

FEATURES = FeatureConfig()
HONEST = """
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

    def means(self, features, lengths):
        inside = (torch.arange(features.shape[1]) < lengths.unsqueeze(1)).unsqueeze(2)
        return (features * inside).sum(1) / lengths.unsqueeze(1)

    def forward(self, features, lengths):
        logits = self.linear(self.means(features, lengths))
        return logits
"""


def forged(lines: str) -> str:
    """The network with these lines before it returns its logits."""
    return HONEST.replace("        return logits\n", textwrap.indent(f"{lines}\nreturn logits\n", 8 * " "))


def means(paths: list[str]) -> np.ndarray:
    return np.stack([clip.mean(0).numpy() for clip in file_features(paths, FEATURES)])


def write_fork(
    folder: Path,
    corpus,
    source: str | None = HONEST,
    name: str = "mean",
    pretraining: dict | None = None,
    **data: object,
) -> Path:
    """A fork with a network that learned the corpus, in `runs/mean`. Without a source, the module is missing."""
    train = corpus.clips.query("split == 'TRAIN'")
    fitted = LogisticRegression(C=10, max_iter=2000).fit(means(train["path"].tolist()), train["label"])
    checkpoint = folder / "runs" / "mean"
    checkpoint.mkdir(parents=True)
    (folder / "model_neural").mkdir()
    if source is not None:
        (folder / "model_neural" / f"{name}.py").write_text(source)
    state = {"linear.weight": fitted.coef_, "linear.bias": fitted.intercept_}
    state = {name: torch.tensor(weight, dtype=torch.float32) for name, weight in state.items()}
    torch.save({"model_state": state}, checkpoint / "best_model.pt")
    values = {"data": {"metadata": str(corpus.metadata)} | data, "model": {"name": name}}
    values |= {"pretraining": pretraining} if pretraining else {}
    (checkpoint / "config_snapshot.yaml").write_text(yaml.safe_dump(values))
    return folder


def input_error(function, *arguments, **options) -> str:
    """The message of the `InputError` that a call raises; it must be a single line."""
    with pytest.raises(InputError) as caught:
        function(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def state_accuracy(fork: Path, accuracy: float) -> None:
    stated = {"TEST": {"accuracy": accuracy}}
    (fork / "runs" / "mean" / "metrics.json").write_text(json.dumps(stated))
