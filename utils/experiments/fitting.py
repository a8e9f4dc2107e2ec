"""A split's clips become a trained model, by all the stages that its experiment asks for."""

import copy
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from torch import nn

import model_baseline
from utils import InputError
from utils.data.splits import Split
from utils.evaluation.metrics import DIGITS
from utils.experiments.config import Experiment, make_model
from utils.experiments.stages import pretrain, pseudo_label
from utils.features.augmentation import AugmentationConfig
from utils.features.batches import Spectrograms, SpokenDigits
from utils.features.extraction import clip_features
from utils.training.loop import train
from utils.training.objectives import NON_DIGIT, Joint, Supervised
from utils.training.prediction import embedding_width


def fit(
    experiment: Experiment,
    split: Split,
    seed: int,
    state: Path | None = None,
    runs: Path | None = None,
    progress: bool = False,
) -> tuple[nn.Module, list[dict]]:
    """Train the experiment's model on the split's training clips: the model, and its history (see `train`).

    A history of several stages has the epochs of all, with a `stage`: "pre-training", "round 1" of self-training.
    `state` is the file that an interrupted training goes on from; what was pre-trained is kept in `runs` for whoever
    needs the same.
    """
    if experiment.training is None:
        features, labels = clip_features(split.train, experiment.features)
        if NON_DIGIT in labels:
            raise InputError("a linear model learns digits alone: non_digits and synthetic_non_digits are for networks")
        missing = sorted(set(DIGITS) - set(labels.tolist()))
        if missing:
            raise InputError(f"a linear model needs training clips of each digit; none are of {str(missing)[1:-1]}")
        return model_baseline.fit(experiment.model, features, labels, experiment.features.floor), []
    torch.manual_seed(seed)
    first = make_model(experiment)
    history = pretrain(first, experiment, split, seed, runs, progress) if experiment.pretraining else []
    model = copy.deepcopy(first)
    history += _learn(model, experiment, split, seed, state, progress)
    for number, share in enumerate(experiment.self_training.rounds if experiment.self_training else (), start=1):
        surest = pseudo_label(model, experiment, split, share)
        model = copy.deepcopy(first)  # learns anew, or it would stick to its own mistakes
        more = replace(split, train=pd.concat([split.train, surest]))
        own_state = None if state is None else state.with_suffix(f".{number}.state")
        rows = _learn(model, experiment, more, seed + 1000 * number, own_state, progress)
        history += [row | {"stage": f"round {number}"} for row in rows]
    return model, history


def _learn(
    model: nn.Module, experiment: Experiment, split: Split, seed: int, state: Path | None, progress: bool
) -> list[dict]:
    """Supervised training in place: the history."""
    config = experiment.training
    if experiment.augmentation == AugmentationConfig() and not config.contrastive_weight:
        clips = Spectrograms(split.train, experiment.features)
    else:
        clips = SpokenDigits(split.train, experiment.features.sample_rate, progress=progress)
    given = clips, experiment.features, experiment.augmentation, config
    torch.manual_seed(seed)
    return train(
        model,
        Joint(embedding_width(model), *given) if config.contrastive_weight else Supervised(*given),
        config,
        seed=seed,
        validation=None if split.validation is None else clip_features(split.validation, experiment.features),
        state=state,
        progress=progress,
    )
