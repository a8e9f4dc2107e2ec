"""The stages besides the training on labelled digits: pre-training, and pseudo-labels for self-training."""

from pathlib import Path

import pandas as pd
from torch import nn

from utils import InputError
from utils.data.splits import NO_LABEL, Split
from utils.experiments.clips import room_noises, word_clips
from utils.experiments.config import Experiment, snapshot
from utils.experiments.fingerprints import code_digests, short_key
from utils.features.batches import SpokenDigits
from utils.features.extraction import clip_features
from utils.training.contrastive_objectives import UNLABELLED, Contrastive
from utils.training.loop import train
from utils.training.objectives import Objective
from utils.training.prediction import embed, embedding_width, predict
from utils.training.pretraining import WordClassification
from utils.training.self_training import pseudo_labels, smoothed_posteriors


def pretrain(
    model: nn.Module,
    experiment: Experiment,
    split: Split,
    seed: int,
    runs: Path | None = None,
    progress: bool = False,
) -> list[dict]:
    """Pre-train a model in place, on the clips of `pretraining_clips`. Returns the history (see `train`).

    The state is kept in `runs`, so that runs with the same model, settings, clips and seed share one pre-training.
    """
    config, clips = experiment.pretraining, pretraining_clips(experiment, split)
    features, augmentation = experiment.features, experiment.augmentation
    assert config is not None and augmentation is not None
    width = embedding_width(model)
    waveforms = SpokenDigits(clips, features.sample_rate, progress, room_noises(experiment))
    objective: Objective
    if config.words is None:
        objective = Contrastive(width, waveforms, features, augmentation, config.contrastive, config.batch_size)
    else:
        objective = WordClassification(width, waveforms, features, augmentation, config.batch_size)
    history = train(
        model,
        objective,
        config,
        seed=seed,
        state=None if runs is None else pretraining_state(experiment, clips, seed, runs),
        progress=progress,
        title="pre-training",
    )
    return [row | {"stage": "pre-training"} for row in history]


def pretraining_clips(experiment: Experiment, split: Split) -> pd.DataFrame:
    """The clips of a pre-training: words, or those of the split, without labels (`NO_LABEL`) for losses that use none.

    Raises:
        InputError: a loss needs labels that are hidden, or a speaker of the words is tested on.
    """
    assert experiment.pretraining is not None
    if experiment.pretraining.words is not None:
        words = word_clips(experiment.pretraining.words, experiment.data)
        Split(split.name, words, split.tests, split.validation)  # refuses a speaker who is on both sides
        return words
    clips = split.train if split.unlabelled is None else pd.concat([split.train, split.unlabelled])
    clips = clips.sort_values("identifier")  # so that the order does not depend on which are labelled
    loss = experiment.pretraining.contrastive.loss
    if loss in UNLABELLED:
        return clips.assign(label=NO_LABEL)
    if split.unlabelled is not None:
        raise InputError(f"{experiment.name}: the loss '{loss}' needs labels, but some clips are unlabelled")
    return clips


def pretraining_state(experiment: Experiment, clips: pd.DataFrame, seed: int, runs: Path) -> Path:
    """The file of a pre-training, the same for all runs that share it."""
    settings = snapshot(experiment)
    relevant = {name: settings[name] for name in ("features", "model", "augmentation", "pretraining")}
    relevant["noises"] = settings["data"]["noises"]
    known = clips[[name for name in ("path", "speaker", "label", "sha256") if name in clips]]
    key = short_key(relevant, known.astype(str).to_numpy().tolist(), seed, code_digests())
    return runs / "pretrained" / f"{key}.state"


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
