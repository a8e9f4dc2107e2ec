"""Pre-training, which comes before the digits are learned: contrastive, or supervised on the words of any language."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils.features.augmentation import AugmentationConfig
from utils.features.batches import SpokenDigits
from utils.features.log_mel import FeatureConfig
from utils.settings import check_limits
from utils.training.contrastive_objectives import ContrastiveConfig
from utils.training.distributed import this_process
from utils.training.loop import Optimisation
from utils.training.objectives import ClipObjective
from utils.training.prediction import embed_of

LABEL_SMOOTHING = 0.1  # as in `TrainingConfig`


@dataclass(frozen=True)
class WordsConfig:
    """The words of a supervised pre-training. Each word of each language is a class of its own."""

    tables: tuple[str, ...] = ()  # of words other than digits, whose TRAIN clips are used; English digits are left out
    digits: tuple[str, ...] = ()  # tables of digits in other languages than the experiment's; also their TRAIN clips
    languages: tuple[str, ...] = ()  # ISO 639 codes of languages in which eSpeak NG speaks the digits
    voices: int = 15  # of eSpeak NG in each of these languages

    def __post_init__(self):
        if not (self.tables or self.digits or self.languages):
            raise ValueError("need tables, digits or languages")
        check_limits(self, voices=(2, 1000))


@dataclass(frozen=True)
class PretrainingConfig(Optimisation):
    """Settings of pre-training."""

    contrastive: ContrastiveConfig = ContrastiveConfig()
    words: WordsConfig | None = None  # learn to tell these words apart, instead of contrastive learning

    def __post_init__(self):
        super().__post_init__()
        if self.words is not None and self.contrastive != ContrastiveConfig():
            raise ValueError("pre-training is either contrastive or on words, not both")


class WordClassification(ClipObjective):
    """Cross-entropy over words, on augmented clips. Its head is a linear layer on what the model's `embed` returns.

    Attributes:
        head: from the embedding (batch, width) to logits (batch, words). It is not part of the model.
    """

    def __init__(
        self,
        width: int,
        dataset: SpokenDigits,
        features: FeatureConfig,
        augmentation: AugmentationConfig,
        batch_size: int,
    ):
        """`width` is the size of the model's last hidden layer; the labels of `dataset` number the words from 0."""
        super().__init__(dataset, features, augmentation, batch_size)
        self.head = nn.Linear(width, int(dataset.labels.max()) + 1)

    def loss(self, model: nn.Module, batch: tuple) -> Tensor:
        clips, labels, _ = batch
        with torch.no_grad():
            inputs, frames = self.augment(*clips)
        inputs, frames, labels = this_process().whole(inputs, frames, labels)
        logits = self.head(embed_of(model)(inputs, frames))
        return F.cross_entropy(logits, labels, label_smoothing=LABEL_SMOOTHING)
