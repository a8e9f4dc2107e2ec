"""The stages besides supervised training: contrastive pre-training, and pseudo-labels for self-training."""

from pathlib import Path

import pandas as pd
from torch import nn

from utils import InputError
from utils.data.splits import NO_LABEL, Split
from utils.experiments.config import Experiment, snapshot
from utils.experiments.fingerprints import code_digests, short_key
from utils.features.batches import SpokenDigits
from utils.features.extraction import clip_features
from utils.training.contrastive_objectives import UNLABELLED, Contrastive
from utils.training.loop import train
from utils.training.prediction import embed, embedding_width, predict
from utils.training.self_training import pseudo_labels, smoothed_posteriors


def pretrain(
    model: nn.Module,
    experiment: Experiment,
    split: Split,
    seed: int,
    runs: Path | None = None,
    progress: bool = False,
) -> list[dict]:
    """Pre-train a model in place on the training clips and the unlabelled ones. Returns the history (see `train`).

    The state is kept in `runs`, so that runs with the same model, settings, clips and seed share one pre-training.
    """
    config, clips = experiment.pretraining, pretraining_clips(experiment, split)
    assert config is not None and experiment.augmentation is not None
    history = train(
        model,
        Contrastive(
            embedding_width(model),
            SpokenDigits(clips, experiment.features.sample_rate, progress=progress),
            experiment.features,
            experiment.augmentation,
            config,
        ),
        config,
        seed=seed,
        state=None if runs is None else pretraining_state(experiment, clips, seed, runs),
        progress=progress,
        title="pre-training",
    )
    return [row | {"stage": "pre-training"} for row in history]


def pretraining_clips(experiment: Experiment, split: Split) -> pd.DataFrame:
    """The clips of a pre-training, without labels (`NO_LABEL`) for losses that use none."""
    clips = split.train if split.unlabelled is None else pd.concat([split.train, split.unlabelled])
    clips = clips.sort_values("identifier")  # so that the order does not depend on which are labelled
    assert experiment.pretraining is not None
    loss = experiment.pretraining.contrastive.loss
    if loss in UNLABELLED:
        return clips.assign(label=NO_LABEL)
    if split.unlabelled is not None:
        raise InputError(f"{experiment.name}: the loss '{loss}' needs labels, but some clips are unlabelled")
    return clips


def pretraining_state(experiment: Experiment, clips: pd.DataFrame, seed: int, runs: Path) -> Path:
    """The file of a pre-training, the same for all runs that share it."""
    settings = snapshot(experiment)
    own = {name: settings[name] for name in ("features", "model", "augmentation", "pretraining")}
    known = clips[[name for name in ("path", "speaker", "label", "sha256") if name in clips]]
    return runs / "pretrained" / f"{short_key(own, known.astype(str).to_numpy().tolist(), seed, code_digests())}.state"


def pseudo_label(model: nn.Module, experiment: Experiment, split: Split, share: float) -> pd.DataFrame:
    """The share of the unlabelled clips with the highest confidence, labelled with their predictions."""
    if split.unlabelled is None:
        raise InputError(f"{experiment.name}: self-training needs unlabelled clips, but the split has none")
    assert experiment.self_training is not None
    features, _ = clip_features(split.unlabelled, experiment.features)
    floor = experiment.features.floor
    posteriors = smoothed_posteriors(
        predict(model, features, floor),
        embed(model, features, floor),
        split.unlabelled["speaker"].to_numpy(str),
        experiment.self_training.neighbours,
    )
    rows, digits = pseudo_labels(posteriors, share)
    return split.unlabelled.iloc[rows.tolist()].assign(label=digits.numpy())
