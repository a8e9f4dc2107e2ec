"""A run: one experiment, fold and seed give a trained model and a result."""

import time
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import torch
from torch import nn

from utils import InputError
from utils.data import splits
from utils.data.metadata import read_metadata, tables_sha256, verify
from utils.evaluation import results
from utils.evaluation.metrics import cost, metrics
from utils.experiments import checkpoints
from utils.experiments.clips import split_clips, synthetic_speakers
from utils.experiments.config import Experiment, made_by, snapshot
from utils.experiments.field_tests import field_tests, noisy_clips
from utils.experiments.fingerprints import code_digests, short_key
from utils.experiments.fitting import fit
from utils.experiments.mixtures import NOISE
from utils.features.extraction import clip_features
from utils.files import check_replaceable, check_writable, one_process, run_folder
from utils.paths import RUNS, find_metadata
from utils.training.distributed import this_process
from utils.training.objectives import NON_DIGIT
from utils.training.prediction import embed, predict
from utils.training.self_training import adapted_posteriors


def checkpoint_folder(experiment: Experiment, split: str, seed: int, runs: Path = RUNS) -> Path:
    """The folder of a run's checkpoint. `split` is the protocol with its fold, for example "loso-george"."""
    return run_folder(runs, experiment.name, split) / f"seed-{seed}"


def run(
    experiment: Experiment,
    seed: int,
    *,
    store: Path = results.STORE,
    runs: Path = RUNS,
    progress: bool = False,
) -> dict:
    """Train and test a model, and write a checkpoint to `runs` and a result to `store`.

    The same arguments give the same numbers. A killed run resumes after its last complete epoch. Under `torchrun`, only
    the first process writes.

    Args:
        experiment: the settings.
        seed: for the initial weights, the order of the clips and the augmentation.
        store: the folder of the results.
        runs: the folder of checkpoints and of interrupted runs.
        progress: show progress bars.

    Returns:
        The result as it was written (see `utils.evaluation.results`).
    """
    torch.set_num_threads(1)  # sums depend on the number of threads, and parallel runs use the cores anyway
    with this_process().first_alone():  # it synthesises any missing clips
        split = split_clips(experiment, seed)
        field = field_tests(experiment.data, split) if experiment.data.tested_in_field else None
    tests = split.tests | (field.noisy if field else {})
    folder = checkpoint_folder(experiment, split.name, seed, runs)
    config, clips_sha256 = snapshot(experiment), tables_sha256(experiment.sources)
    # the key prevents resuming after a change of config, clips or code
    state = folder.parent / f".seed-{seed}-{short_key(config, clips_sha256, code_digests())}.state"
    voices = synthetic_speakers(experiment.data)
    digits = split.train[split.train["label"] != NON_DIGIT]
    for folder_to_write in (store, runs):
        check_writable(folder_to_write)
    check_replaceable(folder, checkpoints.FILES)
    # two processes with the same run would disturb each other's state; under torchrun, all processes share one run
    alone = one_process(folder) if this_process().rank == 0 else nullcontext()
    with alone:
        for clips in tests.values():
            clip_features(clips, experiment.features)  # cached for later; unreadable clips are reported before training
        started = time.perf_counter()
        model, history = fit(experiment, split, seed, state, runs, progress)
        seconds = time.perf_counter() - started
        measured, tables = {}, []
        for name, clips in tests.items():
            measured[name], table = evaluate(model, experiment, clips)
            tables.append(table.assign(split=name))
        result = {
            "experiment": experiment.name,
            "protocol": split.name,
            "seed": seed,
            "config": config,
            "metadata_sha256": clips_sha256,
            "train_speakers": sorted(set(digits["speaker"]) - voices),
            "train_clips": split.train["path"].nunique(),
            "metrics": measured,
            **({"field": field.measure(model, experiment)} if field else {}),
            **cost(model, experiment.features),
            # the sum includes epochs before an interruption; a linear model has no epochs
            "train_seconds": sum(row["seconds"] for row in history) if history else seconds,
            "history": history,
            "environment": results.environment(),
        }
        if this_process().rank > 0:
            return result
        checkpoints.save(folder, model, experiment, result)
        results.save(results.result_path(store, experiment.name, split.name, seed), result, pd.concat(tables))
        for finished in state.parent.glob(f"{state.stem}*.state"):
            finished.unlink()
    return result


def evaluate(
    model: nn.Module, experiment: Experiment, clips: pd.DataFrame, adapt: bool = False
) -> tuple[dict, pd.DataFrame]:
    """The metrics of a model on clips (see `utils.evaluation.metrics`), and a table of its predictions.

    With `adapt`, each prediction uses all of the speaker's clips, unlabelled (see `adapted_posteriors`). Raises
    `InputError` if the model has no `embed`.
    """
    features, labels = clip_features(clips, experiment.features)
    posteriors = predict(model, features, experiment.features.floor)
    if adapt:
        embeddings = embed(model, features, experiment.features.floor)
        posteriors = adapted_posteriors(posteriors, embeddings, clips["speaker"].to_numpy(str))
    probability, predicted = posteriors.max(1)
    table = clips[["identifier", "speaker", "split", "label"]].assign(
        predicted=predicted.numpy(), probability=probability.numpy().round(4)
    )
    return metrics(labels.numpy(), predicted.numpy(), clips["speaker"].to_numpy()), table


def test_clips(experiment: Experiment, part: str) -> pd.DataFrame:
    """The clips of one of an experiment's test sets, by its name in the results: "TEST", "arabic", "10" (in noise).

    Unlike `split_clips`, it needs none of the clips to train on. Errors as there, and if there is no such test set.
    """
    data = experiment.data
    also = {Path(name).stem: name for name in data.also_test}
    if part in NOISE and data.tested_in_field:
        return noisy_clips(data, test_clips(experiment, "TEST"))[part]
    clips = read_metadata(find_metadata(also.get(part, data.metadata)))
    verify(clips)
    if part in also:
        return clips[clips["split"] == "TEST"]
    tests = splits.apply(data.protocol, clips, data.fold).tests
    if part not in tests:
        raise InputError(f"{experiment.name}: is not tested on {part}; it is on {', '.join([*tests, *also])}")
    return tests[part]


def has_run(experiment: Experiment, seed: int, store: Path) -> bool:
    """Whether the store has this run, made with the same config and the same clips."""
    path = results.result_path(store, experiment.name, experiment.data.split_name, seed)
    if not path.exists():
        return False
    result = results.load(path)
    same_clips = result["metadata_sha256"] == tables_sha256(experiment.sources)
    return same_clips and made_by(result) == experiment
