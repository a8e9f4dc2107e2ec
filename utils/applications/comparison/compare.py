"""Models compared on the same clips: accuracy, paired tests, cost, and the clips that only one of them recognises."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import pandas as pd

from utils import InputError
from utils.data.metadata import read_split
from utils.evaluation import results, significance
from utils.evaluation.metrics import bootstrap_interval, cost
from utils.evaluation.tables import Table
from utils.experiments import checkpoints, runs
from utils.experiments.checkpoint_folder import is_checkpoint
from utils.experiments.config import Experiment, made_by
from utils.settings import nearest

CLIP = ["identifier", "speaker", "label"]
ALPHA = 0.05  # significance level of the verdicts


@dataclass(frozen=True)
class Model:
    """A model to compare: the predictions of its runs on the same clips, and its cost.

    Attributes:
        name: as the user gave it.
        predictions: by seed, one row per clip, or of folds that share their test clips one for each fold: `identifier
            speaker label predicted`, in the order of `identifier`.
        parameters, multiply_adds: see `utils.evaluation.metrics.cost`.
        train_seconds: the mean over the runs; None for checkpoints, in which it is not stored.
        experiments: of one seed, one for each fold.
    """

    name: str
    predictions: dict[int, pd.DataFrame]
    parameters: int
    multiply_adds: int
    train_seconds: float | None
    experiments: list[Experiment]

    @property
    def right(self) -> pd.DataFrame:
        """Which clips were recognised (see `utils.evaluation.significance.correct`)."""
        return significance.correct_by_seed(self.predictions)


@dataclass(frozen=True)
class Comparison:
    """The outcome.

    Attributes:
        part: the name of the test set.
        clips: `identifier speaker label`, one row per clip.
        models: one dict for each model, in the order given (see `to_dict`).
        pairs: one dict for each pair of models (see `to_dict`).
        only: for each model, the identifiers of clips that it alone recognises, in most of its seeds.
        paths: the files of the clips, by identifier; empty if they are not on this machine or were not looked for.
    """

    part: str
    clips: pd.DataFrame
    models: list[dict]
    pairs: list[dict]
    only: dict[str, list[str]]
    paths: dict[str, str]

    def to_dict(self) -> dict:
        """Plain values for JSON. p-values are corrected for the number of pairs; None: the test does not apply."""
        return {
            "split": self.part,
            "clips": len(self.clips),
            "speakers": sorted(set(self.clips["speaker"])),
            "models": self.models,
            "pairs": self.pairs,
            "only": self.only,
        }


def compare(
    names: Sequence[str],
    table: Table,
    part: str = "TEST",
    metadata: Path | None = None,
    root: Path | None = None,
    store: Path = results.STORE,
    files: bool = False,
) -> Comparison:
    """Compare models on the same clips.

    Args:
        names: checkpoints, results, folders of either, or models of the store (see `load_model`).
        table: where an experiment has runs on several splits, those of this table are compared.
        part: the name of the test set.
        metadata, root: the clips on which checkpoints are tested; by default those that each was made to be tested on.
        store: the folder of the results.
        files: look for the files of the clips, too.

    Raises:
        InputError: there are fewer than two models, one cannot be found, or they were tested on different clips.
    """
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise InputError("name at least two models, each once, for example `sdr compare cnn1d resnet`")
    clips = None if metadata is None else read_split(metadata, part, root)
    models = [load_model(name, table, part, clips, store) for name in names]
    first = models[0]
    for model in models:
        for predictions in model.predictions.values():
            _check_same_clips(first, model, predictions)
    share = {model.name: model.right.drop(columns="speaker").mean(axis=1) for model in models}
    most = pd.DataFrame({name: right > 0.5 for name, right in share.items()})
    alone = most[most.sum(axis=1) == 1]
    return Comparison(
        part,
        next(iter(first.predictions.values()))[CLIP].drop_duplicates(ignore_index=True),
        [_describe(model) for model in models],
        _pairs(models),
        {name: alone.index[alone[name]].tolist() for name in share},
        _files(first, part, clips) if files else {},
    )


def load_model(name: str, table: Table, part: str, clips: pd.DataFrame | None, store: Path) -> Model:
    """Find a model and its predictions.

    Args:
        name: a checkpoint; a result (`seed-0.json`); a folder with one of either for each seed, or with such folders
            for the splits of the table; or an experiment of the store.
        table, part: see `compare`.
        clips: on which checkpoints are tested, or None.
        store: the folder of the results.
    """
    by_seed = _find(name, table, store)
    predictions, costs, seconds, experiments = {}, [], [], []
    for seed, folds in by_seed.items():
        read = [_read(path, part, clips) for path in folds]
        tables = pd.concat([found for found, _, _ in read])
        predictions[seed] = tables.sort_values("identifier", kind="stable").reset_index(drop=True)
        costs += [(measured["parameters"], measured["multiply_adds"]) for _, measured, _ in read]
        seconds += [measured["train_seconds"] for _, measured, _ in read if "train_seconds" in measured]
        experiments = [experiment for _, _, experiment in read]
    if len(set(costs)) > 1:
        raise InputError(f"{name}: its runs are not of the same model, as their numbers of parameters differ")
    return Model(name, predictions, *costs[0], fmean(seconds) if seconds else None, experiments)


def _find(name: str, table: Table, store: Path) -> dict[int, list[Path]]:
    """The results or checkpoints of a model: for each seed one for each fold."""
    place = Path(name)
    if place.is_file() or (place.is_dir() and is_checkpoint(place)):
        return {_seed(place): [place]}
    if not place.is_dir():
        place = store / name
    if not place.is_dir():
        known = sorted(folder.name for folder in store.glob("*/"))
        what = "not a checkpoint, a result, a folder of them, or a model of the tables"
        raise InputError(f"{name}: {what}; {nearest(name, known) if known else f'{store} has none'}")
    folds = [_by_seed(place)]
    if not folds[0]:
        if table.repetitions != (None,):
            raise InputError(f"{name}: has several rows in table {table.name}; name one of the folders in {place}")
        folds = [_by_seed(place / split) for split in table.splits()]
    seeds = sorted(set.intersection(*(set(paths) for paths in folds)))
    if not seeds:
        raise InputError(f"{name}: no runs of table {table.name} in {place} ({', '.join(table.splits())})")
    return {seed: [paths[seed] for paths in folds] for seed in seeds}


def _by_seed(folder: Path) -> dict[int, Path]:
    """The results or checkpoints in a folder, by seed."""
    found = [path for path in folder.glob("seed-*") if path.suffix == ".json" or is_checkpoint(path)]
    return {_seed(path): path for path in found if path.stem.removeprefix("seed-").isdecimal()}


def _seed(path: Path) -> int:
    seed = path.stem.removeprefix("seed-")
    return int(seed) if seed.isdecimal() else 0


def _read(path: Path, part: str, clips: pd.DataFrame | None) -> tuple[pd.DataFrame, dict, Experiment]:
    """The predictions of a result or a checkpoint, its cost, and its experiment."""
    if path.is_file():
        result = results.load(path)
        if "peer" in result["config"]:
            raise InputError(f"{path}: of an off-the-shelf recogniser; only models of this project are compared")
        table = results.load_predictions(path)
        if part not in set(table["split"]):
            raise InputError(f"{path}: not tested on {part}; it was on {', '.join(dict.fromkeys(table['split']))}")
        return table[table["split"] == part], result, made_by(result)
    model, experiment = checkpoints.load(path)
    _, table = runs.evaluate(model, experiment, runs.test_clips(experiment, part) if clips is None else clips)
    return table, cost(model, experiment.features), experiment


def _files(model: Model, part: str, clips: pd.DataFrame | None) -> dict[str, str]:
    """The files of the clips that a model was tested on, by identifier; none if they are not on this machine."""
    try:
        tested = [runs.test_clips(experiment, part) for experiment in model.experiments] if clips is None else [clips]
    except InputError:
        return {}
    return {name: path for table in tested for name, path in zip(table["identifier"], table["path"], strict=True)}


def _check_same_clips(first: Model, model: Model, predictions: pd.DataFrame) -> None:
    """Raise unless these predictions of `model` are for the clips of the first model."""
    expected = next(iter(first.predictions.values()))[CLIP]
    if expected.equals(predictions[CLIP]):
        return
    odd = next(iter(set(expected["identifier"]) ^ set(predictions["identifier"])), None)
    why = f"only one of them on '{odd}'" if odd else "their labels or speakers differ"
    raise InputError(f"{first.name} and {model.name} were not tested on the same clips: {why}; see --split and --table")


def _describe(model: Model) -> dict:
    """A model as one dict: accuracies, interval, cost, and accuracy by speaker."""
    right = model.right
    scores, speakers = right.drop(columns="speaker"), right["speaker"].to_numpy()
    share = scores.mean(axis=1)
    by_seed = {seed: float(scores[seed].mean()) for seed in scores}
    if len(by_seed) == 1 and share.isin([0, 1]).all():  # as in the result of the run
        interval = bootstrap_interval(share.to_numpy() == 1, speakers)
    else:
        _, *interval, _ = significance.paired_bootstrap(share.to_numpy(), np.zeros(len(share)), speakers)
    return {
        "name": model.name,
        "accuracy": fmean(by_seed.values()),
        "interval": interval,
        "by_seed": by_seed,
        "parameters": model.parameters,
        "multiply_adds": model.multiply_adds,
        "train_seconds": model.train_seconds,
        "per_speaker": {str(name): float(part.mean()) for name, part in share.groupby(speakers)},
    }


def _pairs(models: Sequence[Model]) -> list[dict]:
    """Each pair of models with its tests, corrected for the number of pairs, and the verdict in words."""
    table = significance.compare_scores({model.name: model.right for model in models})
    accuracy = {model.name: model.right.drop(columns="speaker").mean().to_dict() for model in models}
    over_seeds = []
    for better, worse in zip(table["better"], table["worse"], strict=True):
        common = accuracy[better].keys() & accuracy[worse].keys()
        over_seeds.append(significance.over_seeds(accuracy[better], accuracy[worse])[1] if common else np.nan)
    applies = ~np.isnan(over_seeds)
    corrected = np.full(len(table), np.nan)
    corrected[applies] = significance.holm([p for p in over_seeds if not np.isnan(p)])
    pairs = []
    for row, seeds in zip(table.to_dict("records"), corrected.tolist(), strict=True):
        pair = {
            "better": row["better"],
            "worse": row["worse"],
            "difference": row["difference"] / 100,
            "interval": [row["low"] / 100, row["high"] / 100],
            "p_clips": row["p bootstrap"],
            "p_mcnemar": row["p McNemar"],
            "p_seeds": None if np.isnan(seeds) else seeds,
        }
        single = all(len(accuracy[name]) == 1 for name in (row["better"], row["worse"]))
        pairs.append(pair | {"verdict": _verdict(pair, single)})
    return pairs


def _verdict(pair: dict, single: bool) -> str:
    """ "better" if every test that applies is significant, "unclear" if only some are, otherwise "no difference".

    McNemar's test counts only between two single runs: over several seeds it is but the median over pairs of runs.
    """
    tests = [pair["p_clips"], pair["p_seeds"], pair["p_mcnemar"] if single else None]
    significant = [p < ALPHA for p in tests if p is not None]
    return "better" if all(significant) else "unclear" if any(significant) else "no difference"
