"""A small network, and training it in a fraction of a second."""

import copy

import torch
from torch import nn

from utils.features.augmentation import AugmentationConfig
from utils.features.batches import SpokenDigits
from utils.features.log_mel import FeatureConfig
from utils.training import loop
from utils.training.loop import train
from utils.training.objectives import Supervised, TrainingConfig

FEATURES = FeatureConfig(n_mels=20)
AUGMENTATION = AugmentationConfig(noise_snr_db=(5.0, 35.0))
DEFAULTS = {"batch_size": 16, "weight_decay": 0.01, "label_smoothing": 0.1}


class SmallNetwork(nn.Module):
    """A network with all that makes training hard to reproduce: dropout and batch normalisation."""

    def __init__(self, mels: int = 20):
        super().__init__()
        self.conv = nn.Conv1d(mels, 16, 3, padding=1)
        self.norm = nn.BatchNorm1d(16)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(16, 10)

    def forward(self, features, lengths):
        x = torch.relu(self.norm(self.conv(features.transpose(1, 2))))
        inside = torch.arange(x.shape[2]) < lengths.unsqueeze(1)
        return self.head(self.dropout((x * inside.unsqueeze(1)).sum(2) / lengths.unsqueeze(1)))


def training_set(corpus) -> SpokenDigits:
    """The 80 training clips of the corpus."""
    return SpokenDigits(corpus.clips.query("split == 'TRAIN'"), FEATURES.sample_rate)


def train_small(
    dataset: SpokenDigits, seed: int = 0, *, epochs: int = 3, state=None, validation=None, progress=False, **settings
) -> tuple[dict, list[dict]]:
    """Train a small network: its weights, and its history without the seconds."""
    torch.manual_seed(7)
    model = SmallNetwork()
    config = TrainingConfig(**DEFAULTS | {"epochs": epochs} | settings)
    objective = Supervised(dataset, FEATURES, AUGMENTATION, config)
    history = train(model, objective, config, seed=seed, state=state, validation=validation, progress=progress)
    return model.state_dict(), [{k: v for k, v in row.items() if k != "seconds"} for row in history]


def same(one: dict, other: dict) -> bool:
    """Whether two sets of weights are equal, bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def fake_validation(monkeypatch, accuracies: list[float]) -> list[dict]:
    """Make validation measure these accuracies, whatever the model. Returns the list of weights that it sees."""
    validated = []

    def predict(model, features, floor):
        validated.append(copy.deepcopy(model.state_dict()))
        correct = round(accuracies[len(validated) - 1] * len(features))
        predictions = [LABELS[i] if i < correct else (LABELS[i] + 1) % 10 for i in range(len(features))]
        return torch.nn.functional.one_hot(torch.tensor(predictions), 10).float()

    monkeypatch.setattr(loop, "predict", predict)
    return validated


LABELS = [i % 10 for i in range(20)]
VALIDATION = [torch.zeros(5, 20)] * 20, torch.tensor(LABELS)
