"""A linear model on a fixed-size view of a mel-spectrogram.

scikit-learn fits it. Then its weights are copied into a PyTorch module, so that it is saved, evaluated and used in
the same way as the networks.
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
    """Settings of the view and of the classifier."""

    n_mels: int = 40
    view: str = "pool"  # or "truncate"
    size: int = 10  # frames that "truncate" keeps, or segments that "pool" averages over
    loss: str = "logistic"  # or "hinge", squared as in scikit-learn's LinearSVC
    strength: float = 0.01  # inverse of the regularisation strength (scikit-learn's C): smaller regularises more

    def __post_init__(self):
        if self.view not in VIEWS or self.loss not in LOSSES:
            raise ValueError(f"view must be one of {', '.join(VIEWS)}, and loss one of {', '.join(LOSSES)}")
        if self.size < 1 or self.strength <= 0:
            raise ValueError("size must be at least 1 and strength positive")


def truncate(features: Tensor, lengths: Tensor, size: int, floor: float) -> Tensor:
    """The first `size` frames; a shorter clip is padded with the floor.

    Args:
        features: (batch, frames, mels), padded.
        lengths: (batch,) of the clips, in frames.
        size: the number of frames to keep.
        floor: the value to pad with.

    Returns:
        (batch, size, mels).
    """
    missing = max(0, size - features.shape[1])
    view = nn.functional.pad(features, (0, 0, 0, missing), value=floor)[:, :size]
    inside = torch.arange(size, device=features.device) < lengths.unsqueeze(1)
    return view.masked_fill(~inside.unsqueeze(-1), floor)


def pool(features: Tensor, lengths: Tensor, size: int) -> Tensor:
    """Downsample the whole clip to the means of `size` equal segments, so that a long and a short "seven" look alike.

    A segment may start and end within a frame; the frame then counts in proportion to the part inside.

    Args:
        features: (batch, frames, mels), padded.
        lengths: (batch,) of the clips, in frames.
        size: the number of segments.

    Returns:
        (batch, size, mels).
    """
    frame = torch.arange(features.shape[1], device=features.device)
    edges = torch.arange(size + 1, device=features.device) / size * lengths.unsqueeze(1)  # (batch, size + 1), in frames
    start, end = edges[:, :-1, None], edges[:, 1:, None]
    overlap = (end.minimum(frame + 1) - start.maximum(frame)).clamp_min(0)  # (batch, size, frames)
    return overlap @ features / (end - start)


class Linear(nn.Module):
    """Standardises the view and applies one linear layer."""

    floor: Tensor
    mean: Tensor
    scale: Tensor

    def __init__(self, config: LinearConfig, floor: float = 0.0):
        super().__init__()
        self.config = config
        self.register_buffer("floor", torch.tensor(floor))
        self.register_buffer("mean", torch.zeros(config.size * config.n_mels))
        self.register_buffer("scale", torch.ones(config.size * config.n_mels))
        self.head = nn.Linear(config.size * config.n_mels, 10)

    def view(self, features: Tensor, lengths: Tensor) -> Tensor:
        """The fixed-size view, flattened: (batch, size x mels)."""
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
    """The scikit-learn pipeline that `fit` trains."""
    if config.loss == "logistic":
        return make_pipeline(StandardScaler(), LogisticRegression(C=config.strength, max_iter=5000))
    # with fewer clips than features, its solver draws random numbers
    return make_pipeline(StandardScaler(), LinearSVC(C=config.strength, max_iter=20000, random_state=0))


def fit(config: LinearConfig, features: Sequence[Tensor], labels: Tensor, floor: float) -> Linear:
    """Fit the linear model with scikit-learn and copy its weights into a `Linear`.

    Args:
        config: the settings of the model.
        features: a list of (frames, mels).
        labels: (clips,) digits; each of the ten must occur.
        floor: the lowest value of the features, which "truncate" pads with.
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
