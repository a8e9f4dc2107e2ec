"""Training of a language's model: first on synthesis alone, then, if there are recordings, on both.

Every training is bounded by the number of clips that it sees, so that it takes about as long for many clips as for few.
"""

import copy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from utils.experiments.config import DataConfig, Experiment, load_experiment, make_model, snapshot
from utils.experiments.fingerprints import code_digests, short_key
from utils.features.augmentation import AugmentationConfig, Augmenter
from utils.features.batches import SpokenDigits
from utils.features.extraction import clip_features
from utils.features.log_mel import pad
from utils.files import sha256
from utils.paths import CONFIGS
from utils.training.loop import train
from utils.training.objectives import Supervised
from utils.training.prediction import predict

CLIPS_SEEN = 60_000  # by the training on synthesis: about four minutes on one core
CLIPS_SEEN_AGAIN = 15_000  # by each training on recordings besides, which continues from there: about one minute
MOST_EPOCHS = 40  # of each, as more do not help if there are only few clips, but at least FEWEST_STEPS
FEWEST_STEPS = 400  # as fewer steps leave the averaged weights (`ema_decay`) near those at the start
LEARNING_RATE = 1e-3  # of the latter, a third of the former
MOST_FOLDS = 4  # of cross-validation
MOST_REPEATED = 3  # how often a clip is listed, to balance engines, or recordings and synthesis
ROOMS = 5  # in which each test clip is placed


@dataclass(frozen=True)
class Fold:
    """Speakers left out of a training, and what is predicted for their clips, in the order of `clips`."""

    clips: pd.DataFrame
    before: np.ndarray  # by the model of synthesis alone
    after: np.ndarray  # by one that was trained on the other speakers' recordings besides


def language_experiment(name: str, data: DataConfig) -> Experiment:
    """The small residual network in rooms, at 16 kHz."""
    return replace(load_experiment(CONFIGS / "synthesis.yaml", "zero_arabic"), name=name, data=data)


def learn_synthesis(experiment: Experiment, clips: pd.DataFrame, states: Path, progress: bool) -> nn.Module:
    """Train on synthetic clips, the engines balanced. Goes on where an interrupted training stopped (`states`)."""
    torch.manual_seed(0)
    model = make_model(experiment)
    _learn(model, experiment, balance(clips, "engine"), CLIPS_SEEN, states, "training", progress)
    return model


def learn_recordings(
    model: nn.Module,
    experiment: Experiment,
    synthetic: pd.DataFrame,
    recordings: pd.DataFrame,
    states: Path,
    progress: bool,
    title: str = "training on recordings",
) -> nn.Module:
    """Continue the training of a copy of a model with recordings as well."""
    assert experiment.training is not None
    slower = replace(experiment, training=replace(experiment.training, learning_rate=LEARNING_RATE))
    spoken = balance(synthetic, "engine")
    together = balance(pd.concat([spoken.assign(part="synthesis"), recordings.assign(part="recordings")]), "part")
    model = copy.deepcopy(model)
    _learn(model, slower, together, CLIPS_SEEN_AGAIN, states, title, progress)
    return model


def cross_validate(
    model: nn.Module,
    experiment: Experiment,
    synthetic: pd.DataFrame,
    recordings: pd.DataFrame,
    states: Path,
    progress: bool,
) -> list[Fold]:
    """Leave each speaker out in turn, or each group of speakers if there are more than `MOST_FOLDS`.

    Empty for a single speaker, since then nothing would remain to train on.
    """
    speakers = np.random.default_rng(0).permutation(sorted(recordings["speaker"].unique())).tolist()
    number = min(len(speakers), MOST_FOLDS)
    folds = []
    for group in (speakers[start::number] for start in range(number if len(speakers) > 1 else 0)):
        unseen = recordings["speaker"].isin(group)
        title = f"without {group[0]}" + (f" and {len(group) - 1} more" if len(group) > 1 else "")
        other = learn_recordings(model, experiment, synthetic, recordings[~unseen], states, progress, title)
        clips = recordings[unseen]
        folds.append(Fold(clips, recognise(model, experiment, clips), recognise(other, experiment, clips)))
    return folds


def recognise(model: nn.Module, experiment: Experiment, clips: pd.DataFrame) -> np.ndarray:
    """The digits predicted for clips, shape (clips,)."""
    features, _ = clip_features(clips, experiment.features)
    return predict(model, features, experiment.features.floor).argmax(1).numpy()


def recognise_in_rooms(model: nn.Module, experiment: Experiment, clips: pd.DataFrame) -> np.ndarray:
    """The digits predicted for clips in several noisy rooms each, shape (clips, ROOMS)."""
    augmenter = Augmenter(AugmentationConfig(room=1.0), experiment.features, torch.Generator().manual_seed(0))
    waveforms = SpokenDigits(clips, experiment.features.sample_rate).waveforms
    order = np.argsort([len(waveform) for waveform in waveforms], kind="stable")
    predicted = np.zeros((len(waveforms), ROOMS), dtype=int)
    for room in range(ROOMS):
        for batch in np.array_split(order, -(-len(order) // 32)):
            features, frames = augmenter(*pad([waveforms[i] for i in batch]))
            spoken = [clip[:length] for clip, length in zip(features, frames.tolist(), strict=True)]
            predicted[batch, room] = predict(model, spoken, experiment.features.floor).argmax(1).numpy()
    return predicted


def balance(clips: pd.DataFrame, column: str) -> pd.DataFrame:
    """List clips several times where their kind is rarer than the others, at most `MOST_REPEATED` times."""
    counts = clips[column].value_counts()
    times = (counts.max() / clips[column].map(counts)).round().clip(1, MOST_REPEATED).astype(int)
    return clips.iloc[np.repeat(np.arange(len(clips)), times)]


def _learn(
    model: nn.Module, experiment: Experiment, clips: pd.DataFrame, seen: int, states: Path, title: str, progress: bool
) -> None:
    """Train in place until about `seen` clips have been seen, or all of them `MOST_EPOCHS` times.

    A training that is complete is read from `states`.
    """
    assert experiment.training is not None and experiment.augmentation is not None
    epochs = min(max(1, round(seen / len(clips))), MOST_EPOCHS)
    steps = min(FEWEST_STEPS, seen // experiment.training.batch_size)
    config = replace(experiment.training, epochs=epochs, min_steps=steps)
    settings = snapshot(replace(experiment, training=config))
    begun = [weight.double().sum().item() for weight in model.parameters()]
    contents = [[sha256(clip.path), int(clip.label)] for clip in clips.itertuples()]
    key = short_key({**settings, "data": None}, begun, contents, code_digests())
    waveforms = SpokenDigits(clips, experiment.features.sample_rate, progress=progress)
    torch.manual_seed(0)
    objective = Supervised(waveforms, experiment.features, experiment.augmentation, config)
    state = states / f"{key}.state"
    train(model, objective, config, seed=0, state=state, progress=progress, title=title)
    state.touch()  # in use: see `remove_old_states`


def remove_old_states(states: Path, started: float) -> None:
    """Remove the trainings that were not used since a time, as they were of other words or settings."""
    for state in states.glob("*.state"):
        if state.stat().st_mtime < started:
            state.unlink()
