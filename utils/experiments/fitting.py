"""Training of a model on the clips of a split, in all the stages of its experiment."""

import copy
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from torch import nn

import model_baseline
from utils import InputError
from utils.data.splits import Split
from utils.experiments.clips import room_noises
from utils.experiments.config import Experiment, make_model
from utils.experiments.stages import pretrain, pseudo_label
from utils.features.augmentation import AugmentationConfig
from utils.features.batches import Spectrograms, SpokenDigits
from utils.features.extraction import clip_features
from utils.training.contrastive_objectives import Joint
from utils.training.loop import train
from utils.training.objectives import NON_DIGIT, Objective, Supervised
from utils.training.prediction import embedding_width
from utils.training.string_objective import Strings


def fit(
    experiment: Experiment,
    split: Split,
    seed: int,
    state: Path | None = None,
    runs: Path | None = None,
    progress: bool = False,
) -> tuple[nn.Module, list[dict]]:
    """Train the model of an experiment on the training clips of a split.

    Args:
        experiment: the settings.
        split: the clips (see `utils.experiments.clips.split_clips`).
        seed: for the initial weights, the order of the clips and the augmentation.
        state: the file from which an interrupted training is resumed.
        runs: the folder for pre-trained networks, which several runs can share.
        progress: show a progress bar.

    Returns:
        The model, and its history: one row per epoch (see `train`). In an experiment of several stages, the rows have
        a `stage`: "pre-training", or "round 1" of self-training.
    """
    if experiment.training is None:
        features, labels = clip_features(split.train, experiment.features)
        if NON_DIGIT in labels:
            raise InputError("a linear model learns only digits; non_digits and synthetic_non_digits are for networks")
        missing = sorted(set(range(10)) - set(labels.tolist()))
        if missing:
            raise InputError(f"a linear model needs training clips of every digit; missing: {str(missing)[1:-1]}")
        return model_baseline.fit(experiment.model, features, labels, experiment.features.floor), []
    torch.manual_seed(seed)
    initial = make_model(experiment)
    history = pretrain(initial, experiment, split, seed, runs, progress) if experiment.pretraining else []
    model = copy.deepcopy(initial)
    history += _learn(model, experiment, split, seed, state, progress)
    for number, share in enumerate(experiment.self_training.rounds if experiment.self_training else (), start=1):
        pseudo_labelled = pseudo_label(model, experiment, split, share)
        model = copy.deepcopy(initial)  # train from scratch, so that early errors are not reinforced
        extended = replace(split, train=pd.concat([split.train, pseudo_labelled]))
        state_of_round = None if state is None else state.with_suffix(f".{number}.state")
        rows = _learn(model, experiment, extended, seed + 1000 * number, state_of_round, progress)
        history += [row | {"stage": f"round {number}"} for row in rows]
    return model, history


def _learn(
    model: nn.Module, experiment: Experiment, split: Split, seed: int, state: Path | None, progress: bool
) -> list[dict]:
    """Supervised training in place. Returns the history."""
    config, features, augmentation = experiment.training, experiment.features, experiment.augmentation
    assert config is not None and augmentation is not None

    def waveforms() -> SpokenDigits:
        return SpokenDigits(split.train, features.sample_rate, progress, room_noises(experiment))

    objective: Objective
    torch.manual_seed(seed)
    if experiment.strings is not None:
        objective = Strings(waveforms(), features, augmentation, config, experiment.strings)
    elif config.contrastive_weight:
        objective = Joint(embedding_width(model), waveforms(), features, augmentation, config)
    elif augmentation == AugmentationConfig():
        objective = Supervised(Spectrograms(split.train, features), features, augmentation, config)
    else:
        objective = Supervised(waveforms(), features, augmentation, config)
    return train(
        model,
        objective,
        config,
        seed=seed,
        validation=None if split.validation is None else clip_features(split.validation, features),
        state=state,
        progress=progress,
    )
