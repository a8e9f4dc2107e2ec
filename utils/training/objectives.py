"""Training objectives: the base class, and supervised training. Contrastive ones are in `contrastive_objectives`.

An objective holds the clips to train on and the generator of all its random numbers. It turns a batch into a loss,
which `utils.training.loop.train` minimises. Parameters that are trained along with the model, such as the projection
of a contrastive loss, belong to the objective.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.features.augmentation import AugmentationConfig, Augmenter
from utils.features.batches import Spectrograms, SpokenDigits, training_batches
from utils.features.log_mel import FeatureConfig, Padded
from utils.settings import check_limits
from utils.training.distributed import this_process, unwrapped
from utils.training.loop import Optimisation
from utils.training.precision import PRECISIONS, arithmetic
from utils.training.prediction import head_of

Augment = Callable[[Tensor, Tensor], Padded]  # waveforms and lengths to features and frames
NON_DIGIT = -1  # the label of out-of-vocabulary words and of noise


@dataclass(frozen=True)
class TrainingConfig(Optimisation):
    """Settings of supervised training."""

    label_smoothing: float = 0.1
    mixup: float = 0.0  # parameter of the beta distribution (see `mix`); 0: off
    balance: bool = False  # weigh the clips so that all digits count alike, however many clips each has
    logit_adjustment: tuple[float, ...] = ()  # ten numbers, one for each digit (see `adjust`); empty: off
    only_head: bool = False  # train the last layer alone and freeze the rest: a linear probe
    precision: str = "float32"  # of the network's arithmetic; "bfloat16" is faster on processors that have it
    contrastive_weight: float = 0.0  # of a supervised contrastive loss added to the cross-entropy; 0: off

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.label_smoothing < 1 or self.mixup < 0 or self.contrastive_weight < 0:
            raise ValueError("need label_smoothing within [0, 1), mixup >= 0 and contrastive_weight >= 0")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be {' or '.join(PRECISIONS)}, not {self.precision!r}")
        if self.logit_adjustment and len(self.logit_adjustment) != 10:
            raise ValueError(f"logit_adjustment must be ten numbers, one a digit, not {len(self.logit_adjustment)}")
        check_limits(self, logit_adjustment=(-20, 20))
        for name in ("mixup", "only_head", "logit_adjustment", "balance", "precision"):
            if self.contrastive_weight and getattr(self, name) != getattr(TrainingConfig, name):
                raise ValueError(f"contrastive_weight cannot be combined with {name}; remove one of them")


class Objective(nn.Module):
    """Base class.

    Attributes:
        batches: the batches of an epoch: can be iterated over, and has a length.
        generator: of all random numbers, those of `batches` included.
        floor: the value of silence in features.
    """

    batches: Any

    def __init__(self, features: FeatureConfig):
        super().__init__()
        self.floor = features.floor
        self.generator = torch.Generator()

    def trained(self, model: nn.Module) -> Iterable[nn.Parameter]:
        """The parameters of the model that are trained."""
        return model.parameters()

    def loss(self, model: nn.Module, batch: Any) -> Tensor:
        """The loss (a scalar) of one of `batches`."""
        raise NotImplementedError


class ClipObjective(Objective):
    """Base class of the objectives whose batches are single clips (see `training_batches`), and their augmentation."""

    def __init__(
        self,
        dataset: SpokenDigits | Spectrograms,
        features: FeatureConfig,
        augmentation: AugmentationConfig,
        batch_size: int,
        bucket: int = 8,
    ):
        super().__init__(features)
        self.batches = training_batches(dataset, batch_size, self.generator, bucket)
        self.augment: Augment
        if isinstance(dataset, SpokenDigits):
            self.augment = Augmenter(augmentation, features, self.generator, dataset.noises)
        else:
            self.augment = lambda inputs, frames: (inputs, frames)  # spectrograms are not augmented


class Supervised(ClipObjective):
    """Cross-entropy between predictions and labels. Waveforms are augmented, spectrograms are not."""

    weights: Tensor | None

    def __init__(
        self,
        dataset: SpokenDigits | Spectrograms,
        features: FeatureConfig,
        augmentation: AugmentationConfig,
        config: TrainingConfig,
    ):
        super().__init__(dataset, features, augmentation, config.batch_size)
        self.config = config
        self.non_digits = bool((dataset.labels == NON_DIGIT).any())  # if so, there is an eleventh class
        self.register_buffer("weights", class_weights(dataset.labels) if config.balance else None, persistent=False)

    def trained(self, model: nn.Module) -> Iterable[nn.Parameter]:
        return head_of(model).parameters() if self.config.only_head else model.parameters()

    def loss(self, model: nn.Module, batch: tuple) -> Tensor:
        clips, labels, _ = batch
        with torch.no_grad():
            inputs, frames = self.augment(*clips)
        classes = 11 if self.non_digits else 10
        labels = labels.where(labels != NON_DIGIT, 10)
        targets = F.one_hot(labels, num_classes=classes).float()
        if self.config.mixup:
            inputs, frames, targets = mix(inputs, frames, targets, self.config.mixup, self.generator)
        inputs, frames, targets = this_process().share(inputs, frames, targets)
        if self.config.only_head:
            model.eval()  # freezes the running statistics of batch normalisation
            head_of(unwrapped(model)).train()
        with arithmetic(self.config.precision):
            logits = model(inputs, frames).float()
        if self.config.logit_adjustment:
            logits = adjust(logits, self.config.logit_adjustment)
        if self.non_digits:
            logits = with_non_digit(logits)
        if self.weights is None:
            return F.cross_entropy(logits, targets, label_smoothing=self.config.label_smoothing)
        losses = F.cross_entropy(logits, targets, label_smoothing=self.config.label_smoothing, reduction="none")
        return (losses * (targets @ self.weights[:classes])).mean()


def class_weights(labels: Tensor) -> Tensor:
    """The weight (11,) of a clip of each digit, inverse to the digit's number of clips; the mean over them is 1.

    Non-digits, the last class, have the weight 1.
    """
    counts = torch.bincount(labels[labels != NON_DIGIT], minlength=10).float()
    weights = counts.sum() / (10 * counts.clamp_min(1))
    return F.pad(weights, (0, 1), value=1.0)


def adjust(logits: Tensor, adjustment: Sequence[float]) -> Tensor:
    """The logits (..., classes) that the loss sees: those of the model, plus a number for each class.

    The logit-adjusted loss (Menon et al. 2021) with free numbers in place of the logarithms of the digits' frequencies:
    with 0.75 for a digit, the model learns to make its own logit of that digit lower by 0.75. This is for models that
    predict a digit too often on speakers unlike those of training. Predictions use the model's logits as they are.
    """
    return logits + logits.new_tensor(adjustment)


def with_non_digit(logits: Tensor) -> Tensor:
    """Append the logit of an eleventh class, "no digit", to those of the ten digits: (batch, 10) to (batch, 11).

    It is always 0. Each of the other logits is then the log odds of a digit against "no digit", and the model needs no
    eleventh output.
    """
    return F.pad(logits, (0, 1))


def mix(
    inputs: Tensor, frames: Tensor, targets: Tensor, strength: float, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Mixup (Zhang et al. 2018): a weighted mean of each clip and another clip of the batch, and of their targets.

    Args:
        inputs: features (batch, frames, mels), at the floor after the end of each clip.
        frames: (batch,) lengths.
        targets: (batch, classes) probabilities.
        strength: the weight w is drawn from Beta(strength, strength); a clip itself counts max(w, 1 - w).
        generator: of the weight and of the pairs.

    Returns:
        The mixed inputs, their lengths and their targets, of the same shapes.
    """
    weight = _beta(strength, generator)
    weight = max(weight, 1 - weight)
    partner = torch.randperm(len(inputs), generator=generator)
    inputs = weight * inputs + (1 - weight) * inputs[partner]
    return inputs, frames.maximum(frames[partner]), weight * targets + (1 - weight) * targets[partner]


@torch.no_grad()
def two_views(augment: Augment, waveforms: Tensor, lengths: Tensor, floor: float) -> Padded:
    """Augment each clip twice: features (2 x batch, frames, mels), the first views before the second, and lengths."""
    views = [augment(waveforms, lengths) for _ in range(2)]
    longest = max(inputs.shape[1] for inputs, _ in views)
    inputs = [F.pad(inputs, (0, 0, 0, longest - inputs.shape[1]), value=floor) for inputs, _ in views]
    return torch.cat(inputs), torch.cat([frames for _, frames in views])


def _beta(strength: float, generator: torch.Generator) -> float:
    """A sample from Beta(strength, strength). NumPy draws it because PyTorch's sampler takes no generator."""
    seed = int(torch.randint(2**31, (1,), generator=generator))
    return float(np.random.default_rng(seed).beta(strength, strength))
