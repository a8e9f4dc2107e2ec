"""A linear model on a fixed-size view of a mel-spectrogram.

scikit-learn fits it; then its weights move into a small module, so that it is saved, evaluated and spoken to exactly
as the networks are.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from torch import Tensor, nn

VIEWS = ("truncate", "pool")
LOSSES = ("logistic", "hinge")


@dataclass(frozen=True)
class LinearConfig:
    """`size` is the view's number of columns: frames kept by "truncate", parts averaged by "pool"."""

    n_mels: int = 40
    view: str = "pool"
    size: int = 10
    loss: str = "logistic"
    strength: float = 0.01  # scikit-learn's C: the smaller, the stronger the regularisation

    def __post_init__(self):
        if self.view not in VIEWS or self.loss not in LOSSES:
            raise ValueError(f"view is one of {', '.join(VIEWS)}; loss one of {', '.join(LOSSES)}")
        if self.size < 1 or self.strength <= 0:
            raise ValueError("size must be at least 1 and strength positive")


def truncate(features: Tensor, lengths: Tensor, size: int, floor: float) -> Tensor:
    """The first `size` frames, the floor behind a shorter clip's end.

    Args:
        features: (batch, frames, mels), padded.
        lengths: (batch,) frames of each clip.

    Returns:
        (batch, size, mels).
    """
    missing = max(0, size - features.shape[1])
    view = nn.functional.pad(features, (0, 0, 0, missing), value=floor)[:, :size]
    inside = torch.arange(size, device=features.device) < lengths.unsqueeze(1)
    return view.masked_fill(~inside.unsqueeze(-1), floor)


def pool(features: Tensor, lengths: Tensor, size: int) -> Tensor:
    """The whole clip in `size` equal parts, the mean of each: a long and a short "seven" look alike.

    A part may begin and end within a frame, which then counts for the share that lies inside.

    Args and result as for `truncate`.
    """
    frame = torch.arange(features.shape[1], device=features.device)
    edges = torch.arange(size + 1, device=features.device) / size * lengths.unsqueeze(1)  # (batch, size + 1), in frames
    first, last = edges[:, :-1, None], edges[:, 1:, None]
    share = (last.minimum(frame + 1) - first.maximum(frame)).clamp_min(0)  # (batch, size, frames)
    return share @ features / (last - first)


class Linear(nn.Module):
    """Standardise the view, then one linear layer."""

    def __init__(self, config: LinearConfig, floor: float = 0.0):
        super().__init__()
        self.config = config
        self.register_buffer("floor", torch.tensor(floor))
        self.register_buffer("mean", torch.zeros(config.size * config.n_mels))
        self.register_buffer("scale", torch.ones(config.size * config.n_mels))
        self.head = nn.Linear(config.size * config.n_mels, 10)

    def view(self, features: Tensor, lengths: Tensor) -> Tensor:
        """The fixed-size view, flat: (batch, size x mels)."""
        if self.config.view == "pool":
            return pool(features, lengths, self.config.size).flatten(1)
        return truncate(features, lengths, self.config.size, self.floor.item()).flatten(1)

    def embed(self, features: Tensor, lengths: Tensor) -> Tensor:
        """The standardised view: (batch, size x mels)."""
        return (self.view(features, lengths) - self.mean) / self.scale

    def forward(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Features (batch, frames, mels) with lengths (batch,) in frames to logits (batch, 10)."""
        return self.head(self.embed(features, lengths))


def make_classifier(config: LinearConfig) -> Pipeline:
    """The scikit-learn pipeline that `fit` fits."""
    if config.loss == "logistic":
        return make_pipeline(StandardScaler(), LogisticRegression(C=config.strength, max_iter=5000))
    return make_pipeline(StandardScaler(), LinearSVC(C=config.strength, max_iter=20000))


def fit(config: LinearConfig, features: Sequence[Tensor], labels: Tensor, floor: float) -> Linear:
    """Fit the linear model.

    Args:
        features: a list of (frames, mels).
        labels: (clips,) digits; each of the ten must occur.
        floor: the features' lowest value, which "truncate" pads with.
    """
    model = Linear(config, floor)
    views = [model.view(clip.unsqueeze(0), torch.tensor([len(clip)])) for clip in features]
    scaler, classifier = (
        step for _, step in make_classifier(config).fit(torch.cat(views).numpy(), labels.numpy()).steps
    )
    with torch.no_grad():
        model.mean.copy_(torch.from_numpy(scaler.mean_))
        model.scale.copy_(torch.from_numpy(scaler.scale_))
        model.head.weight.copy_(torch.from_numpy(np.asarray(classifier.coef_)))
        model.head.bias.copy_(torch.from_numpy(np.asarray(classifier.intercept_)))
    return model
