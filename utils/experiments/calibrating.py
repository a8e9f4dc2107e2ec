"""Calibration of a trained model: on its training speakers, leaving one out at a time, or on held-out speakers."""

from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import Path

import joblib
import pandas as pd
import torch
from torch import Tensor, nn

from utils import InputError
from utils.data.metadata import read_metadata
from utils.evaluation import results
from utils.experiments import checkpoints
from utils.experiments.checkpoint_folder import CALIBRATION
from utils.experiments.clips import room_noises, split_clips
from utils.experiments.config import Experiment
from utils.experiments.runs import checkpoint_folder, has_run, run
from utils.features.augmentation import Augmenter
from utils.features.batches import SpokenDigits
from utils.features.extraction import clip_features
from utils.features.strings import StringComposer
from utils.files import check_target
from utils.inference import calibration
from utils.inference.calibration import ACCEPTED, AS_IS, Calibration
from utils.paths import find_metadata
from utils.progress import Progress
from utils.training.prediction import predict_logits

STRINGS, BATCH = 1000, 8  # strings that the Platt scaling is fitted to; those of a batch lie in the same kind of noise


def calibrate(
    experiment: Experiment,
    seed: int,
    jobs: int | None = None,
    store: Path = results.STORE,
    accepted: float = ACCEPTED,
) -> Calibration:
    """Set the temperature and the threshold of a trained model, and save them with its checkpoint.

    Each TRAIN speaker of the table is left out in turn, and a model trained on the others predicts that speaker's
    digits. The confidences are therefore those for unseen speakers. No clip of DEV or TEST is used. Models that have
    been trained before are loaded from `runs/`.

    Args:
        experiment: with the protocol "course" or "split". Its checkpoint has to be in `runs/`.
        seed: of the checkpoint, and of the models that leave a speaker out.
        jobs: number of models trained in parallel; None: one per core.
        store: the folder of the results.
        accepted: the share of unseen speakers' digits that the threshold accepts.

    Raises:
        InputError: the experiment has not been trained with these settings, has another protocol, or has only one
            TRAIN speaker.
    """
    data = experiment.data
    table = read_metadata(find_metadata(data.metadata))
    speakers = sorted(table.loc[table["split"] == "TRAIN", "speaker"].unique())
    if len(speakers) < 2:
        raise InputError(f"{data.metadata}: calibration leaves each TRAIN speaker out in turn, but there is only one")
    if data.protocol not in ("course", "split"):
        raise InputError(f"protocol {data.protocol}: calibration uses the TRAIN speakers of 'course' or 'split'")
    folder, _ = _trained(experiment, seed)
    left_out = [replace(data, protocol="inside-train", fold=name, also_test=()) for name in speakers]
    split_clips(replace(experiment, data=left_out[0]))  # synthesise clips once, before parallel runs need them
    work = joblib.Parallel(n_jobs=min(jobs or joblib.cpu_count(), len(speakers)), return_as="generator")(
        joblib.delayed(_logits)(replace(experiment, data=data), seed, store) for data in left_out
    )
    logits, labels = zip(*Progress(work, "speakers left out", total=len(speakers), unit="run"), strict=True)
    calibrated = calibration.calibrate(torch.cat(logits), torch.cat(labels), accepted, data.learns_non_digits)
    checkpoints.save_calibration(folder, calibrated)
    return calibrated


def calibrate_on_held_out(experiment: Experiment, seed: int, accepted: float = ACCEPTED) -> Calibration:
    """As `calibrate`, on the digits of speakers whom the experiment holds out of further tables: nothing is trained.

    They are the DEV speakers of the tables `also_train`, and the TEST speakers of the tables `also_test`. Of a model of
    strings, the probabilities of digits in strings are scaled as well, so that they match the accuracy.

    Raises:
        InputError: there are no such speakers, or the experiment has not been trained with these settings.
    """
    data = experiment.data
    folder, model = _trained(experiment, seed)
    parts = [(name, "DEV") for name in data.also_train] + [(name, "TEST") for name in data.also_test]
    clips = [table[table["split"] == part] for name, part in parts for table in [read_metadata(find_metadata(name))]]
    if not sum(map(len, clips)):
        raise InputError(f"{experiment.name}: no speakers are held out of also_train (DEV) or also_test (TEST)")
    digits = pd.concat(clips, ignore_index=True)
    features, labels = clip_features(digits, experiment.features)
    logits = predict_logits(model, features, experiment.features.floor)
    calibrated = calibration.calibrate(logits, labels, accepted, data.learns_non_digits)
    if experiment.strings is not None:
        calibrated = replace(calibrated, strings=calibration.fit_platt_scaling(*recognised(model, experiment, digits)))
    checkpoints.save_calibration(folder, calibrated)
    return calibrated


def recognised(model: nn.Module, experiment: Experiment, digits: pd.DataFrame) -> tuple[list[float], list[bool]]:
    """The digits that a model recognises in strings, which are composed and augmented as in training.

    Args:
        model: of strings.
        experiment: that it was trained for.
        digits: the clips, rows of `read_metadata`.

    Returns:
        The probability of each digit recognised, before any scaling, and whether it was spoken there.
    """
    assert experiment.strings is not None and experiment.augmentation is not None
    recogniser, generator = checkpoints.make_recogniser(model, experiment, AS_IS), torch.Generator().manual_seed(0)
    words = SpokenDigits(digits, recogniser.sample_rate, noises=room_noises(experiment))
    config = replace(experiment.strings, number=STRINGS)
    composer = StringComposer(words, recogniser.sample_rate, config, BATCH, generator)
    augmenter = Augmenter(experiment.augmentation, experiment.features, generator, words.noises)
    probabilities: list[float] = []
    correct: list[bool] = []
    for batch in Progress(composer, "strings", total=len(composer), unit="batch"):
        waveforms, lengths = augmenter.change_waveforms(*batch.waveforms)
        for waveform, length, labels in zip(waveforms, lengths.tolist(), batch.labels.tolist(), strict=True):
            predictions = [word.prediction for word in recogniser.recognise_words(waveform[:length].numpy())]
            found = [prediction.digit for prediction in predictions]
            matches = SequenceMatcher(None, labels, found, autojunk=False).get_matching_blocks()
            spoken = {index for _, start, size in matches for index in range(start, start + size)}
            probabilities += [prediction.probability for prediction in predictions]
            correct += [index in spoken for index in range(len(found))]
    return probabilities, correct


def _trained(experiment: Experiment, seed: int) -> tuple[Path, nn.Module]:
    """The checkpoint of a run and its model.

    Raises `InputError` if there is none with these settings, or its calibration cannot be written.
    """
    folder = checkpoint_folder(experiment, experiment.data.split_name, seed)
    if not folder.exists():
        raise InputError(f"{folder}: no such checkpoint; train it first (`sdr train`)")
    check_target(folder / CALIBRATION)
    model, trained = checkpoints.load(folder)
    if trained != experiment:
        raise InputError(f"{folder}: trained with other settings than those of the config now; train it again")
    return folder, model


def _logits(experiment: Experiment, seed: int, store: Path) -> tuple[Tensor, Tensor]:
    """The logits of a model for its TEST clips, (clips, classes), and their labels. Trains the model if necessary."""
    split = split_clips(experiment, seed)
    folder = checkpoint_folder(experiment, split.name, seed)
    if not folder.exists() or not has_run(experiment, seed, store):
        run(experiment, seed, store=store)
    model, _ = checkpoints.load(folder)
    features, labels = clip_features(split.tests["TEST"], experiment.features)
    return predict_logits(model, features, experiment.features.floor), labels
