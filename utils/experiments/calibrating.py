"""Calibration of a trained model on its training speakers, leaving one out at a time."""

from dataclasses import replace
from pathlib import Path

import joblib
import torch
from torch import Tensor
from tqdm.auto import tqdm

from utils import InputError
from utils.data.metadata import read_metadata
from utils.data.splits import split_name
from utils.evaluation import results
from utils.experiments import checkpoints
from utils.experiments.clips import split_clips
from utils.experiments.config import Experiment
from utils.experiments.runs import checkpoint_folder, has_run, run
from utils.features.extraction import clip_features
from utils.inference import calibration
from utils.inference.calibration import ACCEPTED, Calibration
from utils.paths import find_metadata
from utils.training.prediction import predict_logits


def calibrate(experiment: Experiment, seed: int, jobs: int | None = None, store: Path = results.STORE) -> Calibration:
    """Set the temperature and the threshold of a trained model, and save them with its checkpoint.

    Each TRAIN speaker of the table is left out in turn, and a model trained on the others predicts that speaker's
    digits. The confidences are therefore those for unseen speakers. No clip of DEV or TEST is used. Models that have
    been trained before are loaded from `runs/`.

    Args:
        experiment: with the protocol "course" or "split". Its checkpoint has to be in `runs/`.
        seed: of the checkpoint, and of the models that leave a speaker out.
        jobs: number of models trained in parallel; None: one per core.
        store: the folder of the results.

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
    folder = checkpoint_folder(experiment, split_name(data.protocol, data.fold, data.repetitions), seed)
    if not folder.exists():
        raise InputError(f"{folder}: no such checkpoint; train it first (`sdr train`)")
    if checkpoints.load(folder)[1] != experiment:
        raise InputError(f"{folder}: trained with other settings than those of the config now; train it again")
    left_out = [replace(data, protocol="inside-train", fold=name, also_test=()) for name in speakers]
    split_clips(replace(experiment, data=left_out[0]))  # synthesise clips once, before parallel runs need them
    work = joblib.Parallel(n_jobs=jobs or joblib.cpu_count(), return_as="generator")(
        joblib.delayed(_logits)(replace(experiment, data=data), seed, store) for data in left_out
    )
    logits, labels = zip(*tqdm(work, "speakers left out", total=len(speakers), unit="run"), strict=True)
    made = calibration.calibrate(torch.cat(logits), torch.cat(labels), ACCEPTED, data.learns_non_digits)
    checkpoints.save_calibration(folder, made)
    return made


def _logits(experiment: Experiment, seed: int, store: Path) -> tuple[Tensor, Tensor]:
    """The logits of a model for its TEST clips, (clips, classes), and their labels. Trains the model if necessary."""
    split = split_clips(experiment, seed)
    folder = checkpoint_folder(experiment, split.name, seed)
    if not folder.exists() or not has_run(experiment, seed, store):
        run(experiment, seed, store=store)
    model, _ = checkpoints.load(folder)
    features, labels = clip_features(split.tests["TEST"], experiment.features)
    return predict_logits(model, features, experiment.features.floor), labels
