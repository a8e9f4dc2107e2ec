"""Calibration of a trained experiment, on training speakers who are left out one by one."""

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
from utils.inference.calibration import Calibration
from utils.paths import find_metadata
from utils.training.prediction import predict_logits

ACCEPTED = 0.97  # of the digits of training speakers who were left out; the rest is taken for no digit


def calibrate(experiment: Experiment, seed: int, jobs: int | None = None, store: Path = results.STORE) -> Calibration:
    """Set a trained experiment's temperature and threshold on its training speakers, and write them beside it.

    Each TRAIN speaker of its table is left out in turn, and a model of all the others names that speaker's digits, so
    that the model is as unsure as it is of a stranger. Nobody of DEV or TEST is heard. Models that have been trained
    are taken from `runs/`.

    Args:
        experiment: of the protocol "course" or "split"; its checkpoint lies in `runs/`.
        seed: of the checkpoint, and of the models.
        jobs: models trained at a time; None: one a core.
    """
    data = experiment.data
    table = read_metadata(find_metadata(data.metadata))
    speakers = sorted(table.loc[table["split"] == "TRAIN", "speaker"].unique())
    if len(speakers) < 2:
        raise InputError(f"{data.metadata}: calibrating leaves each TRAIN speaker out in turn, and there is but one")
    if data.protocol not in ("course", "split"):
        raise InputError(f"protocol {data.protocol}: calibrated are models of 'course' or 'split', by TRAIN speakers")
    folder = checkpoint_folder(experiment, split_name(data.protocol, data.fold, data.repetitions), seed)
    if not folder.exists():
        raise InputError(f"{folder}: there is no such checkpoint; train it first (`sdr train`)")
    if checkpoints.load(folder)[1] != experiment:
        raise InputError(f"{folder}: trained with other settings than the config has now; train it again")
    left_out = [replace(data, protocol="inside-train", fold=name, also_test=()) for name in speakers]
    split_clips(replace(experiment, data=left_out[0]))  # makes synthetic clips before several runs need them
    work = joblib.Parallel(n_jobs=jobs or joblib.cpu_count(), return_as="generator")(
        joblib.delayed(_logits)(replace(experiment, data=data), seed, store) for data in left_out
    )
    logits, labels = zip(*tqdm(work, "speakers left out", total=len(speakers), unit="run"), strict=True)
    made = calibration.calibrate(torch.cat(logits), torch.cat(labels), ACCEPTED, data.learns_non_digits)
    checkpoints.save_calibration(folder, made)
    return made


def _logits(experiment: Experiment, seed: int, store: Path) -> tuple[Tensor, Tensor]:
    """What a model makes of its TEST clips (clips, 10), and their labels; it is trained first if need be."""
    split = split_clips(experiment, seed)
    folder = checkpoint_folder(experiment, split.name, seed)
    if not folder.exists() or not has_run(experiment, seed, store):
        run(experiment, seed, store=store)
    model, _ = checkpoints.load(folder)
    features, labels = clip_features(split.tests["TEST"], experiment.features)
    return predict_logits(model, features, experiment.features.floor), labels
