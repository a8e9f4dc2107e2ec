"""Contrastive training objectives: alone, for pre-training, or together with the cross-entropy."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model_neural.contrastive import Projection, nt_xent, supervised_contrastive, swav, triplet
from utils import InputError
from utils.features.augmentation import AugmentationConfig
from utils.features.batches import SpokenDigits
from utils.features.log_mel import FeatureConfig
from utils.settings import check_limits
from utils.training.distributed import this_process
from utils.training.objectives import NON_DIGIT, ClipObjective, TrainingConfig, two_views
from utils.training.prediction import embed_of, head_of

LOSSES = ("nt-xent", "swav", "supcon", "triplet")
UNLABELLED = ("nt-xent", "swav")  # those that use no labels


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
        if self.temperature <= 0 or self.margin <= 0:
            raise ValueError("need temperature > 0 and margin > 0")
        check_limits(self, dims=(2, 4096), prototypes=(2, 4096))


class Contrastive(ClipObjective):
    """A contrastive loss on the projected embeddings of two augmented views of each clip."""

    def __init__(
        self,
        width: int,
        dataset: SpokenDigits,
        features: FeatureConfig,
        augmentation: AugmentationConfig,
        config: ContrastiveConfig,
        batch_size: int,
    ):
        """`width` is the size of the model's last hidden layer."""
        # batches are random samples: clips of similar length would be mostly of the same few digits
        super().__init__(dataset, features, augmentation, batch_size, bucket=1)
        self.config = config
        self.projection = Projection(width, self.config.dims)
        if self.config.loss == "swav":
            self.prototypes = nn.Parameter(torch.randn(self.config.prototypes, self.config.dims))

    def loss(self, model: nn.Module, batch: tuple) -> Tensor:
        (waveforms, lengths), labels, speakers = batch
        inputs, frames = this_process().whole(*two_views(self.augment, waveforms, lengths, self.floor))
        labels, speakers = this_process().whole(labels, speakers)
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


class Joint(ClipObjective):
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
        inputs, frames = this_process().whole(*two_views(self.augment, waveforms, lengths, self.floor))
        labels, speakers = (numbers.repeat(2) for numbers in this_process().whole(labels, speakers))
        embedding = embed_of(model)(inputs, frames)
        cross_entropy = F.cross_entropy(head_of(model)(embedding), labels, label_smoothing=self.config.label_smoothing)
        z = self.projection(embedding)
        contrastive = supervised_contrastive(z, labels, self.contrastive.temperature, speakers)
        return cross_entropy + self.config.contrastive_weight * contrastive
