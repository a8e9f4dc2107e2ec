"""What a network learns from a batch: to name its digits, or to tell its clips apart.

Each objective holds the clips it learns from and the generator of all its chance, and turns a batch into a loss, which
`utils.training.loop.train` minimises. What it learns beside the model, as a projection, are its own parameters.
"""

from collections.abc import Iterable
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

LOSSES = ("nt-xent", "swav", "supcon", "triplet")
UNLABELLED = ("nt-xent", "swav")
NON_DIGIT = -1  # the label of other words and of noise


@dataclass(frozen=True)
class ContrastiveConfig:
    """Which loss of `model_neural.contrastive`, on a sphere of how many dimensions."""

    loss: str = "nt-xent"  # or "swav", of two views of a clip; with labels "supcon" (across speakers) or "triplet"
    temperature: float = 0.1
    margin: float = 0.3  # of "triplet"
    dims: int = 64
    prototypes: int = 10  # of "swav"

    def __post_init__(self):
        if self.loss not in LOSSES:
            raise ValueError(f"loss is {self.loss!r}; use {', '.join(LOSSES)}")
        if self.temperature <= 0 or self.margin <= 0 or min(self.dims, self.prototypes) < 2:
            raise ValueError("need temperature > 0, margin > 0, dims >= 2 and prototypes >= 2")


@dataclass(frozen=True)
class TrainingConfig(Optimisation):
    """How a network learns to name digits."""

    label_smoothing: float = 0.1
    mixup: float = 0.0  # the beta distribution's parameter (see `mix`); 0: off
    only_head: bool = False  # leave what was pre-trained as it is: a linear probe
    contrastive_weight: float = 0.0  # of a supervised contrastive loss beside the cross-entropy; 0: off

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.label_smoothing < 1 or self.mixup < 0 or self.contrastive_weight < 0:
            raise ValueError("need label_smoothing within [0, 1), mixup >= 0 and contrastive_weight >= 0")
        if self.contrastive_weight and (self.mixup or self.only_head):
            raise ValueError("contrastive_weight does not go together with mixup or only_head")


@dataclass(frozen=True)
class PretrainingConfig(Optimisation):
    """How a network learns to tell clips apart, before it learns to name digits."""

    contrastive: ContrastiveConfig = ContrastiveConfig()


class Objective(nn.Module):
    """What all objectives have: clips in batches, and augmentation from the same generator."""

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
        if isinstance(dataset, SpokenDigits):
            self.augment = Augmenter(augmentation, features, self.generator)
        else:
            self.augment = lambda inputs, frames: (inputs, frames)  # they are features already

    def trained(self, model: nn.Module) -> Iterable[nn.Parameter]:
        """The model's weights that this objective moves."""
        return model.parameters()

    def loss(self, model: nn.Module, batch: tuple) -> Tensor:
        """A batch of `training_batches` to a number."""
        raise NotImplementedError


class Supervised(Objective):
    """Cross-entropy between what a model makes of clips, augmented if they are waveforms, and their labels."""

    def __init__(
        self,
        dataset: SpokenDigits | Spectrograms,
        features: FeatureConfig,
        augmentation: AugmentationConfig,
        config: TrainingConfig,
    ):
        super().__init__(dataset, features, augmentation, config.batch_size)
        self.config = config
        self.others = bool((dataset.labels == NON_DIGIT).any())  # then there is an eleventh answer

    def trained(self, model: nn.Module) -> Iterable[nn.Parameter]:
        return model.head.parameters() if self.config.only_head else model.parameters()

    def loss(self, model: nn.Module, batch: tuple) -> Tensor:
        clips, labels, _ = batch
        with torch.no_grad():
            inputs, frames = self.augment(*clips)
        targets = F.one_hot(labels.where(labels != NON_DIGIT, 10), num_classes=11 if self.others else 10).float()
        if self.config.mixup:
            inputs, frames, targets = mix(inputs, frames, targets, self.config.mixup, self.generator)
        inputs, frames, targets = this_process().share(inputs, frames, targets)
        if self.config.only_head:
            model.eval()  # or the statistics of batch normalisation would move
            unwrapped(model).head.train()
        logits = with_non_digit(model(inputs, frames)) if self.others else model(inputs, frames)
        return F.cross_entropy(logits, targets, label_smoothing=self.config.label_smoothing)


class Contrastive(Objective):
    """Two augmented views of each clip, and a loss by which what belongs together comes to lie together."""

    def __init__(
        self,
        width: int,
        dataset: SpokenDigits,
        features: FeatureConfig,
        augmentation: AugmentationConfig,
        config: PretrainingConfig,
    ):
        """`width` is that of the model's last hidden layer."""
        # any clips come together: among clips of the same length some digits would be rare, and others easily found
        super().__init__(dataset, features, augmentation, config.batch_size, bucket=1)
        self.config = config.contrastive
        self.projection = Projection(width, self.config.dims)
        if self.config.loss == "swav":
            self.prototypes = nn.Parameter(torch.randn(self.config.prototypes, self.config.dims))

    def loss(self, model: nn.Module, batch: tuple) -> Tensor:
        (waveforms, lengths), *others = batch
        inputs, frames = _alone(*two_views(self.augment, waveforms, lengths, self.floor))
        labels, speakers = _alone(*others)
        z = self.projection(model.embed(inputs, frames))
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
    """Cross-entropy and the supervised contrastive loss at once (positives are other speakers' clips of a digit)."""

    def __init__(
        self,
        width: int,
        dataset: SpokenDigits,
        features: FeatureConfig,
        augmentation: AugmentationConfig,
        config: TrainingConfig,
    ):
        """`width` is that of the model's last hidden layer."""
        super().__init__(dataset, features, augmentation, config.batch_size)
        if NON_DIGIT in dataset.labels:
            raise InputError(
                "contrastive_weight needs clips of digits alone, so no non_digits and synthetic_non_digits"
            )
        self.config, self.contrastive = config, ContrastiveConfig("supcon")
        self.projection = Projection(width, self.contrastive.dims)

    def loss(self, model: nn.Module, batch: tuple) -> Tensor:
        (waveforms, lengths), *others = batch
        inputs, frames = _alone(*two_views(self.augment, waveforms, lengths, self.floor))
        labels, speakers = (numbers.repeat(2) for numbers in _alone(*others))
        embedding = model.embed(inputs, frames)
        naming = F.cross_entropy(model.head(embedding), labels, label_smoothing=self.config.label_smoothing)
        z = self.projection(embedding)
        contrast = supervised_contrastive(z, labels, self.contrastive.temperature, speakers)
        return naming + self.config.contrastive_weight * contrast


def _alone(*batch: Tensor) -> tuple[Tensor, ...]:
    """A batch on this process' device, where it is the only process: a contrastive loss needs its batch whole."""
    process = this_process()
    if process.many > 1:
        raise InputError("contrastive learning goes on in one process; start it without torchrun")
    return process.share(*batch)


def with_non_digit(logits: Tensor) -> Tensor:
    """Logits of ten digits (batch, 10) and of an eleventh answer, "no digit", which is always 0 (batch, 11).

    So the ten say how much each digit is more likely than none, and the model needs no further output.
    """
    return F.pad(logits, (0, 1))


def mix(
    inputs: Tensor, frames: Tensor, targets: Tensor, strength: float, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Mixup (Zhang et al. 2018): every clip plus a share of another one, and so their targets.

    Args:
        inputs, frames: a batch of features (batch, frames, mels), the floor behind each clip's end, and lengths.
        targets: (batch, answers) probabilities.
        strength: the larger share is drawn from Beta(strength, strength).
        generator: of the share and of who is mixed with whom.
    """
    share = _beta(strength, generator)
    share = max(share, 1 - share)
    other = torch.randperm(len(inputs), generator=generator)
    inputs = share * inputs + (1 - share) * inputs[other]
    return inputs, frames.maximum(frames[other]), share * targets + (1 - share) * targets[other]


@torch.no_grad()
def two_views(augment: Augmenter, waveforms: Tensor, lengths: Tensor, floor: float) -> tuple[Tensor, Tensor]:
    """Each clip augmented twice: features (2 x batch, frames, mels) and frames; first all first views."""
    views = [augment(waveforms, lengths) for _ in range(2)]
    longest = max(inputs.shape[1] for inputs, _ in views)
    inputs = [F.pad(inputs, (0, 0, 0, longest - inputs.shape[1]), value=floor) for inputs, _ in views]
    return torch.cat(inputs), torch.cat([frames for _, frames in views])


def _beta(strength: float, generator: torch.Generator) -> float:
    """A number from Beta(strength, strength). NumPy draws it: torch's own sampler takes no generator."""
    seed = int(torch.randint(2**31, (1,), generator=generator))
    return float(np.random.default_rng(seed).beta(strength, strength))
