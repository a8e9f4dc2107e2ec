"""Training objectives: supervised, contrastive, or both at once.

An objective holds the clips to train on and the generator of all its random numbers. It turns a batch into a loss,
which `utils.training.loop.train` minimises. Parameters that are trained along with the model, such as the projection
of a contrastive loss, belong to the objective.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_neural.contrastive import Projection, nt_xent, supervised_contrastive, swav, triplet
from utils import InputError
from utils.features.augmentation import AugmentationConfig, Augmenter
from utils.features.batches import Spectrograms, SpokenDigits, training_batches
from utils.features.log_mel import FeatureConfig
from utils.training.distributed import this_process, unwrapped
from utils.training.loop import Optimisation
from utils.training.prediction import embed_of, head_of

LOSSES = ("nt-xent", "swav", "supcon", "triplet")
UNLABELLED = ("nt-xent", "swav")
Augment = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # waveforms and lengths to features and frames
NON_DIGIT = -1  # the label of out-of-vocabulary words and of noise


@dataclass(frozen=True)
class ContrastiveConfig:
    """Settings of a contrastive loss (see `model_neural.contrastive`)."""

    loss: str = "nt-xent"  # or "swav"; with labels also "supcon" (across speakers) or "triplet"
    temperature: float = 0.1
    margin: float = 0.3  # of "triplet"
    dims: int = 64  # of the projection
    prototypes: int = 10  # of "swav"

    def __post_init__(self):
        if self.loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}, not {self.loss!r}")
        if self.temperature <= 0 or self.margin <= 0 or min(self.dims, self.prototypes) < 2:
            raise ValueError("need temperature > 0, margin > 0, dims >= 2 and prototypes >= 2")


@dataclass(frozen=True)
class TrainingConfig(Optimisation):
    """Settings of supervised training."""

    label_smoothing: float = 0.1
    mixup: float = 0.0  # parameter of the beta distribution (see `mix`); 0: off
    only_head: bool = False  # train the last layer alone and freeze the rest: a linear probe
    contrastive_weight: float = 0.0  # of a supervised contrastive loss added to the cross-entropy; 0: off

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.label_smoothing < 1 or self.mixup < 0 or self.contrastive_weight < 0:
            raise ValueError("need label_smoothing within [0, 1), mixup >= 0 and contrastive_weight >= 0")
        if self.contrastive_weight and (self.mixup or self.only_head):
            raise ValueError("contrastive_weight cannot be combined with mixup or only_head")


@dataclass(frozen=True)
class PretrainingConfig(Optimisation):
    """Settings of contrastive pre-training, which comes before supervised training."""

    contrastive: ContrastiveConfig = ContrastiveConfig()


class Objective(nn.Module):
    """Base class: the batches of clips, and their augmentation, both from the same generator."""

    def __init__(
        self,
        dataset: SpokenDigits | Spectrograms,
        features: FeatureConfig,
        augmentation: AugmentationConfig,
        batch_size: int,
        bucket: int = 8,
    ):
        super().__init__()
        self.floor = features.floor
        self.generator = torch.Generator()
        self.batches = training_batches(dataset, batch_size, self.generator, bucket)
        self.augment: Augment
        if isinstance(dataset, SpokenDigits):
            self.augment = Augmenter(augmentation, features, self.generator)
        else:
            self.augment = lambda inputs, frames: (inputs, frames)  # spectrograms are not augmented

    def trained(self, model: nn.Module) -> Iterable[nn.Parameter]:
        """The parameters of the model that are trained."""
        return model.parameters()

    def loss(self, model: nn.Module, batch: tuple) -> Tensor:
        """The loss (a scalar) of a batch from `training_batches`."""
        raise NotImplementedError


class Supervised(Objective):
    """Cross-entropy between predictions and labels. Waveforms are augmented, spectrograms are not."""

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

    def trained(self, model: nn.Module) -> Iterable[nn.Parameter]:
        return head_of(model).parameters() if self.config.only_head else model.parameters()

    def loss(self, model: nn.Module, batch: tuple) -> Tensor:
        clips, labels, _ = batch
        with torch.no_grad():
            inputs, frames = self.augment(*clips)
        classes = 11 if self.non_digits else 10
        targets = F.one_hot(labels.where(labels != NON_DIGIT, 10), num_classes=classes).float()
        if self.config.mixup:
            inputs, frames, targets = mix(inputs, frames, targets, self.config.mixup, self.generator)
        inputs, frames, targets = this_process().share(inputs, frames, targets)
        if self.config.only_head:
            model.eval()  # freezes the running statistics of batch normalisation
            head_of(unwrapped(model)).train()
        logits = model(inputs, frames)
        if self.non_digits:
            logits = with_non_digit(logits)
        return F.cross_entropy(logits, targets, label_smoothing=self.config.label_smoothing)


class Contrastive(Objective):
    """A contrastive loss on the projected embeddings of two augmented views of each clip."""

    def __init__(
        self,
        width: int,
        dataset: SpokenDigits,
        features: FeatureConfig,
        augmentation: AugmentationConfig,
        config: PretrainingConfig,
    ):
        """`width` is the size of the model's last hidden layer."""
        # batches are random samples: clips of similar length would be mostly of the same few digits
        super().__init__(dataset, features, augmentation, config.batch_size, bucket=1)
        self.config = config.contrastive
        self.projection = Projection(width, self.config.dims)
        if self.config.loss == "swav":
            self.prototypes = nn.Parameter(torch.randn(self.config.prototypes, self.config.dims))

    def loss(self, model: nn.Module, batch: tuple) -> Tensor:
        (waveforms, lengths), labels, speakers = batch
        inputs, frames = _whole_batch(*two_views(self.augment, waveforms, lengths, self.floor))
        labels, speakers = _whole_batch(labels, speakers)
        z = self.projection(embed_of(model)(inputs, frames))
        match self.config.loss:
            case "nt-xent":
                return nt_xent(z, torch.arange(len(labels), device=z.device).repeat(2), self.config.temperature)
            case "swav":
                return swav(z @ F.normalize(self.prototypes, dim=1).T, speakers, self.config.temperature)
            case "supcon":
                return supervised_contrastive(z, labels.repeat(2), self.config.temperature, speakers.repeat(2))
            case "triplet":
                return triplet(z, labels.repeat(2), self.config.margin)
        raise ValueError(self.config.loss)


class Joint(Objective):
    """Cross-entropy plus a supervised contrastive loss (positives: clips of the same digit by other speakers)."""

    def __init__(
        self,
        width: int,
        dataset: SpokenDigits,
        features: FeatureConfig,
        augmentation: AugmentationConfig,
        config: TrainingConfig,
    ):
        """`width` is the size of the model's last hidden layer."""
        super().__init__(dataset, features, augmentation, config.batch_size)
        if NON_DIGIT in dataset.labels:
            raise InputError(
                "contrastive_weight needs digits only; remove non_digits and synthetic_non_digits from the data"
            )
        self.config, self.contrastive = config, ContrastiveConfig("supcon")
        self.projection = Projection(width, self.contrastive.dims)

    def loss(self, model: nn.Module, batch: tuple) -> Tensor:
        (waveforms, lengths), labels, speakers = batch
        inputs, frames = _whole_batch(*two_views(self.augment, waveforms, lengths, self.floor))
        labels, speakers = (numbers.repeat(2) for numbers in _whole_batch(labels, speakers))
        embedding = embed_of(model)(inputs, frames)
        cross_entropy = F.cross_entropy(head_of(model)(embedding), labels, label_smoothing=self.config.label_smoothing)
        z = self.projection(embedding)
        contrastive = supervised_contrastive(z, labels, self.contrastive.temperature, speakers)
        return cross_entropy + self.config.contrastive_weight * contrastive


def _whole_batch(*batch: Tensor) -> tuple[Tensor, ...]:
    """A batch on this process's device. A contrastive loss compares all of its clips, so the batch cannot be split."""
    process = this_process()
    if process.world_size > 1:
        raise InputError("contrastive learning runs in a single process; start it without torchrun")
    return process.share(*batch)


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
def two_views(augment: Augment, waveforms: Tensor, lengths: Tensor, floor: float) -> tuple[Tensor, Tensor]:
    """Augment each clip twice: features (2 x batch, frames, mels), the first views before the second, and lengths."""
    views = [augment(waveforms, lengths) for _ in range(2)]
    longest = max(inputs.shape[1] for inputs, _ in views)
    inputs = [F.pad(inputs, (0, 0, 0, longest - inputs.shape[1]), value=floor) for inputs, _ in views]
    return torch.cat(inputs), torch.cat([frames for _, frames in views])


def _beta(strength: float, generator: torch.Generator) -> float:
    """A sample from Beta(strength, strength). NumPy draws it because PyTorch's sampler takes no generator."""
    seed = int(torch.randint(2**31, (1,), generator=generator))
    return float(np.random.default_rng(seed).beta(strength, strength))
