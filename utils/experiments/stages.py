"""What networks learn before and beside labels: contrastive pre-training, and labels that the model gives by itself."""

from pathlib import Path

import pandas as pd
from torch import nn

from utils import InputError
from utils.data.splits import Split
from utils.experiments.config import Experiment, snapshot
from utils.experiments.fingerprints import code_digests, short_key
from utils.features.batches import SpokenDigits
from utils.features.extraction import clip_features
from utils.training.loop import train
from utils.training.objectives import UNLABELLED, Contrastive
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
    """Contrastive pre-training in place, on the training clips and the unlabelled ones: its history (see `train`).

    Runs that pre-train the same model on the same clips find it in `runs` once one of them has done it.
    """
    config, clips = experiment.pretraining, pretraining_clips(experiment, split)
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
    clips = split.train if split.unlabelled is None else pd.concat([split.train, split.unlabelled])
    clips = clips.sort_values("identifier")  # who is labelled and who is not makes no difference here
    if experiment.pretraining.contrastive.loss in UNLABELLED:
        return clips.assign(label=-1)
    if split.unlabelled is not None:
        loss = experiment.pretraining.contrastive.loss
        raise InputError(f"{experiment.name}: the loss '{loss}' needs labels, and there are clips without")
    return clips


def pretraining_state(experiment: Experiment, clips: pd.DataFrame, seed: int, runs: Path) -> Path:
    """The file of a pre-training: that of all runs whose pre-training is the same."""
    settings = snapshot(experiment)
    what = {name: settings[name] for name in ("features", "model", "augmentation", "pretraining")}
    known = clips[[name for name in ("path", "speaker", "label", "sha256") if name in clips]]
    return runs / "pretrained" / f"{short_key(what, known.astype(str).to_numpy().tolist(), seed, code_digests())}.state"


def pseudo_label(model: nn.Module, experiment: Experiment, split: Split, share: float) -> pd.DataFrame:
    """The unlabelled clips that the model is surest of, with the labels that it gives them."""
    if split.unlabelled is None:
        raise InputError(f"{experiment.name}: self-training needs clips without labels, and the split has none")
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
