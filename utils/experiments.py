"""Experiments: a config, a protocol's fold and a seed become a trained model and a result."""

import copy
import hashlib
import itertools
import json
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import joblib
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

import model_baseline
from utils import InputError, checkpoints, rejection, results
from utils.augmentation import AugmentationConfig
from utils.config import Experiment, find_experiment, make_model, snapshot
from utils.corpora import synthetic
from utils.dataset import Spectrograms, SpokenDigits, features_of
from utils.evaluation import DIGITS, cost, embed, logits_of, metrics, predict
from utils.files import check_writable
from utils.metadata import PROJECT, find_metadata, read_metadata, sha256, tables_sha256, verify
from utils.objectives import NO_DIGIT, UNLABELLED, Contrastive, Joint, Supervised
from utils.parallel import this_process
from utils.protocols import PROTOCOLS, Split, few_takes, split_name
from utils.rejection import Calibration
from utils.report import CONFIGS, TABLES, made_by
from utils.selftraining import opinions_of, pseudo_labels
from utils.training import train

ACCEPTED = 0.97  # of the digits of training speakers who were left out; the rest is taken for no digit
RUNS = PROJECT / "runs"  # checkpoints and interrupted runs; ignored by git


def checkpoint_folder(experiment: Experiment, split: str, seed: int, runs: Path = RUNS) -> Path:
    """Where a run leaves its checkpoint; `split` is the protocol and its fold, as "loso-george"."""
    return runs / experiment.name / split / f"seed-{seed}"


def split_of(experiment: Experiment, seed: int = 0) -> Split:
    """Apply the experiment's protocol to its metadata; errors as for `read_metadata` and `Split`.

    `seed` draws the takes that are labelled, where they are few.
    """
    data = experiment.data
    if data.protocol not in PROTOCOLS:
        raise InputError(f"unknown protocol '{data.protocol}'; known are {', '.join(PROTOCOLS)}")
    tables = {name: read_metadata(find_metadata(name), digits=name not in data.not_digits) for name in data.tables}
    for clips in tables.values():
        verify(clips)
    split = PROTOCOLS[data.protocol](tables[data.metadata], data.fold)
    tests = dict(split.tests)
    for name in data.also_test:
        if Path(name).stem in tests:
            raise InputError(f"also_test: the name '{Path(name).stem}' is taken by other clips; rename {name}")
        tests[Path(name).stem] = _part(tables[name], "TEST", name)
    train = [split.train, *(_part(tables[name], "TRAIN", name) for name in data.also_train)]
    split = replace(split, train=pd.concat(train, ignore_index=True), tests=tests)
    if data.takes:
        split = few_takes(split, data.takes, seed)
    if not data.unlabelled:
        split = replace(split, unlabelled=None)
    elif split.unlabelled is None:
        raise InputError(f"protocol {data.protocol}: all its clips have labels, so none are to be had without")
    if data.synthetic_voices:
        split = replace(split, train=pd.concat([split.train, synthetic_voices(data.synthetic_voices)]))
    others = [_part(tables[name], "TRAIN", name) for name in data.not_digits]
    if data.synthetic_others:
        others.append(_part(synthetic_others(data.synthetic_others), "TRAIN", "synthetic_others"))
    return replace(split, train=pd.concat([split.train, *(clips.assign(label=NO_DIGIT) for clips in others)]))


def _part(clips: pd.DataFrame, split: str, name: str) -> pd.DataFrame:
    chosen = clips[clips["split"] == split]
    if chosen.empty:
        raise InputError(f"{name}: no clips in the split {split}")
    return chosen


def synthetic_voices(number: int) -> pd.DataFrame:
    """Clips of so many synthetic voices, each saying every digit once; spoken the first time, kept in `.cache/`."""
    folder = PROJECT / ".cache" / f"voices-{number}"
    return read_metadata(synthetic.speak(folder, speakers=number, takes=1, progress=False)).assign(split="TRAIN")


def synthetic_others(number: int) -> pd.DataFrame:
    """Synthetic words that are no digits, and noises (see `synthetic.speak_others`); kept as `synthetic_voices`."""
    folder = PROJECT / ".cache" / f"others-{number}"
    return read_metadata(synthetic.speak_others(folder, clips=number, progress=False), digits=False)


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
        features, labels = features_of(split.train, experiment.features)
        if NO_DIGIT in labels:
            raise InputError("a linear model learns digits alone: not_digits and synthetic_others are for networks")
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
        surest = _label(model, experiment, split, share)
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
        Joint(width(model), *given) if config.contrastive_weight else Supervised(*given),
        config,
        seed=seed,
        validation=None if split.validation is None else features_of(split.validation, experiment.features),
        state=state,
        progress=progress,
    )


def _label(model: nn.Module, experiment: Experiment, split: Split, share: float) -> pd.DataFrame:
    """The unlabelled clips that the model is surest of, with the labels that it gives them."""
    if split.unlabelled is None:
        raise InputError(f"{experiment.name}: self-training needs clips without labels, and the split has none")
    features, _ = features_of(split.unlabelled, experiment.features)
    floor = experiment.features.floor
    opinions = opinions_of(
        predict(model, features, floor),
        embed(model, features, floor),
        split.unlabelled["speaker"].to_numpy(str),
        experiment.self_training.neighbours,
    )
    rows, digits = pseudo_labels(opinions, share)
    return split.unlabelled.iloc[rows.tolist()].assign(label=digits.numpy())


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
    config, clips = experiment.pretraining, _pretraining_clips(experiment, split)
    history = train(
        model,
        Contrastive(
            width(model),
            SpokenDigits(clips, experiment.features.sample_rate, progress=progress),
            experiment.features,
            experiment.augmentation,
            config,
        ),
        config,
        seed=seed,
        state=None if runs is None else _pretraining_state(experiment, clips, seed, runs),
        progress=progress,
        title="pre-training",
    )
    return [row | {"stage": "pre-training"} for row in history]


def _pretraining_clips(experiment: Experiment, split: Split) -> pd.DataFrame:
    clips = split.train if split.unlabelled is None else pd.concat([split.train, split.unlabelled])
    clips = clips.sort_values("identifier")  # who is labelled and who is not makes no difference here
    if experiment.pretraining.contrastive.loss in UNLABELLED:
        return clips.assign(label=-1)
    if split.unlabelled is not None:
        loss = experiment.pretraining.contrastive.loss
        raise InputError(f"{experiment.name}: the loss '{loss}' needs labels, and there are clips without")
    return clips


def _pretraining_state(experiment: Experiment, clips: pd.DataFrame, seed: int, runs: Path) -> Path:
    """The file of a pre-training: that of all runs whose pre-training is the same."""
    settings = snapshot(experiment)
    what = {name: settings[name] for name in ("features", "model", "augmentation", "pretraining")}
    known = clips[[name for name in ("path", "speaker", "label", "sha256") if name in clips]]
    return runs / "pretrained" / f"{_key(what, known.astype(str).to_numpy().tolist(), seed, _code())}.state"


def width(model: nn.Module) -> int:
    """The size of a network's last hidden layer: `head` is a dropout and a linear layer."""
    return model.head[-1].in_features


def test(model: nn.Module, experiment: Experiment, clips: pd.DataFrame) -> tuple[dict, pd.DataFrame]:
    """Metrics of a model on clips (see `utils.evaluation.metrics`), and the prediction for each clip."""
    features, labels = features_of(clips, experiment.features)
    probability, predicted = predict(model, features, experiment.features.floor).max(1)
    table = clips[["identifier", "speaker", "split", "label"]].assign(
        predicted=predicted.numpy(), probability=probability.numpy().round(4)
    )
    return metrics(labels.numpy(), predicted.numpy(), clips["speaker"].to_numpy()), table


def run(
    experiment: Experiment,
    seed: int,
    *,
    store: Path = results.STORE,
    runs: Path = RUNS,
    progress: bool = False,
) -> dict:
    """Train, test and write down: a checkpoint in `runs`, a result in `store`. The same inputs give the same numbers.

    A run that was killed goes on from its last whole epoch. Of several processes that `torchrun` started, the first
    writes.

    Returns:
        The result as it was written (see `utils.results`).
    """
    torch.set_num_threads(1)  # sums depend on the number of threads; and runs are many, so the cores are not idle
    with this_process().first_alone():  # it speaks what synthetic clips are wanted
        split = split_of(experiment, seed)
    folder = checkpoint_folder(experiment, split.name, seed, runs)
    config, clips_sha256 = snapshot(experiment), tables_sha256(experiment.data.tables)
    # another config, another table, or a model that was edited since never resumes from it
    state = folder.parent / f".seed-{seed}-{_key(config, clips_sha256, _code())}.state"
    voices = synthetic_voices(experiment.data.synthetic_voices)["speaker"] if experiment.data.synthetic_voices else ()
    digits = split.train[split.train["label"] != NO_DIGIT]
    for place in (store, runs):
        check_writable(place)
    for clips in split.tests.values():
        features_of(clips, experiment.features)  # kept for later; a clip that cannot be read is told now
    started = time.perf_counter()
    model, history = fit(experiment, split, seed, state, runs, progress)
    seconds = time.perf_counter() - started
    measured, tables = {}, []
    for name, clips in split.tests.items():
        measured[name], table = test(model, experiment, clips)
        tables.append(table.assign(split=name))
    result = {
        "experiment": experiment.name,
        "protocol": split.name,
        "seed": seed,
        "config": config,
        "metadata_sha256": clips_sha256,
        "train_speakers": sorted(set(digits["speaker"]) - set(voices)),
        "train_clips": len(split.train),
        "metrics": measured,
        **cost(model, experiment.features),
        # a network's epochs may lie on both sides of an interruption; a linear model has none
        "train_seconds": sum(row["seconds"] for row in history) if history else seconds,
        "history": history,
        "environment": results.environment(),
    }
    if this_process().rank > 0:
        return result
    checkpoints.save(folder, model, experiment, result)
    results.save(results.result_path(store, experiment.name, split.name, seed), result, pd.concat(tables))
    for done in state.parent.glob(f"{state.stem}*.state"):
        done.unlink()
    return result


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
    folder = checkpoint_folder(experiment, split_name(data.protocol, data.fold, data.takes), seed)
    if not folder.exists():
        raise InputError(f"{folder}: there is no such checkpoint; train it first (`sdr train`)")
    if checkpoints.load(folder)[1] != experiment:
        raise InputError(f"{folder}: trained with other settings than the config has now; train it again")
    left_out = [replace(data, protocol="inside-train", fold=name, also_test=()) for name in speakers]
    split_of(replace(experiment, data=left_out[0]))  # synthetic clips are spoken before several runs want them at once
    work = joblib.Parallel(n_jobs=jobs or joblib.cpu_count(), return_as="generator")(
        joblib.delayed(_logits)(replace(experiment, data=data), seed, store) for data in left_out
    )
    logits, labels = zip(*tqdm(work, "speakers left out", total=len(speakers), unit="run"), strict=True)
    made = rejection.calibrate(torch.cat(logits), torch.cat(labels), ACCEPTED, data.learns_others)
    checkpoints.save_calibration(folder, made)
    return made


def _logits(experiment: Experiment, seed: int, store: Path) -> tuple[Tensor, Tensor]:
    """What a model makes of its TEST clips (clips, 10), and their labels; it is trained first if need be."""
    split = split_of(experiment, seed)
    folder = checkpoint_folder(experiment, split.name, seed)
    if not folder.exists() or not _has(experiment, seed, store):
        run(experiment, seed, store=store)
    model, _ = checkpoints.load(folder)
    features, labels = features_of(split.tests["TEST"], experiment.features)
    return logits_of(model, features, experiment.features.floor), labels


def reproduce(
    tables: list[str], model: str | None, seeds: int | None, jobs: int | None, again: bool, store: Path = results.STORE
) -> None:
    """Run what tables need and the store does not have yet, several runs at a time, with a progress bar.

    Args:
        tables: names of `utils.report.TABLES`; none: all.
        model: only this experiment of them.
        seeds: how many seeds of each; None: what the tables have.
        jobs: runs at a time, one thread each; None: one a core. The runs go through joblib, so a backend that is
            registered with it (Dask, Ray) can take them to other machines.
        again: run also what the store has.
    """
    wanted = {name: TABLES[name] for name in tables or TABLES if name in TABLES}
    models = list(dict.fromkeys(name for table in wanted.values() for name in table.experiments))
    for kind, names, known in (("table", tables, TABLES), ("model", [model] if model else [], models)):
        for unknown in set(names) - set(known):
            raise InputError(f"unknown {kind} '{unknown}'; known are {', '.join(known)}")
    planned = {}  # by what tells runs apart: two tables may need the same one
    for table in wanted.values():
        for name, most in table.experiments.items() if model is None else [(model, table.experiments.get(model, 0))]:
            config = find_experiment(name, CONFIGS)
            for fold, takes in itertools.product(table.folds, table.takes):
                chosen = replace(config, data=replace(config.data, protocol=table.protocol, fold=fold, takes=takes))
                for seed in range(min(seeds or most, most)):
                    planned[name, chosen.data, seed] = chosen, seed
    missing = [(chosen, seed) for chosen, seed in planned.values() if again or not _has(chosen, seed, store)]
    jobs = jobs or joblib.cpu_count()
    print(f"{len(planned)} runs, {len(planned) - len(missing)} of them in the results already")
    shared = {}  # pre-trainings that several runs begin with: once each, before several runs do the same
    for chosen, seed in missing:
        if chosen.pretraining is not None:
            clips = _pretraining_clips(chosen, split_of(chosen, seed))
            shared[_pretraining_state(chosen, clips, seed, RUNS)] = chosen, seed
    for state in shared if again else ():
        state.unlink(missing_ok=True)
    if missing:
        print(_forecast(missing, list(shared.values()), jobs, store), flush=True)
    for number in {chosen.data.synthetic_voices for chosen, _ in missing} - {0}:
        synthetic_voices(number)  # before several runs want them at once
    for number in {chosen.data.synthetic_others for chosen, _ in missing} - {0}:
        synthetic_others(number)
    parallel = joblib.Parallel(n_jobs=jobs, return_as="generator_unordered")
    tasks = (joblib.delayed(_only_pretrain)(chosen, seed) for chosen, seed in shared.values())
    for _ in tqdm(parallel(tasks), "pre-training", total=len(shared), unit="run", disable=not shared):
        pass
    work = parallel(joblib.delayed(run)(chosen, seed, store=store) for chosen, seed in missing)
    bar = tqdm(work, "runs", total=len(missing), unit="run")
    for result in bar:
        bar.set_postfix_str(f"{result['experiment']} {result['protocol']} seed {result['seed']}")


def _only_pretrain(experiment: Experiment, seed: int) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    pretrain(make_model(experiment), experiment, split_of(experiment, seed), seed, RUNS)


def _forecast(
    missing: list[tuple[Experiment, int]], pretrained: list[tuple[Experiment, int]], jobs: int, store: Path
) -> str:
    """How long runs, and the pre-trainings that they share, will take, by what such took before: a line of text."""
    took: dict[str, list[float]] = {}  # by the experiment, without pre-training; and by the experiment's pre-training
    for path in sorted(store.glob("*/*/seed-*.json")):
        result = results.load(path)
        before = sum(row["seconds"] for row in result["history"] if row.get("stage") == "pre-training")
        took.setdefault(result["experiment"], []).append(result["train_seconds"] - before)
        took.setdefault(f"{result['experiment']}, pre-training", []).append(before)
    names = [chosen.name for chosen, _ in missing] + [f"{chosen.name}, pre-training" for chosen, _ in pretrained]
    known = [median(took[name]) for name in names if name in took]
    minutes = max(1, round((sum(known) + len(missing)) / jobs / 60))  # reading and testing take about a second
    new = sum(chosen.name not in took for chosen, _ in missing)
    unknown = f"; {new} runs of unknown length come on top" if new else ""
    return f"about {minutes} minute{'s' * (minutes > 1)}, {jobs} at a time{unknown}"


def _code() -> list[str]:
    """Digests of the files that say what is learned, and how."""
    names = ("audio", "augmentation", "dataset", "experiments", "features", "objectives", "selftraining", "training")
    files = [*sorted((PROJECT / "model_neural").glob("*.py")), *(PROJECT / "utils" / f"{name}.py" for name in names)]
    return [sha256(file) for file in files]


def _key(*what: object) -> str:
    """A short name for plain values."""
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:12]


def _has(experiment: Experiment, seed: int, store: Path) -> bool:
    """Whether the store holds this run, made by the same config from the same clips."""
    data = experiment.data
    path = results.result_path(store, experiment.name, split_name(data.protocol, data.fold, data.takes), seed)
    if not path.exists():
        return False
    result = results.load(path)
    same_clips = result["metadata_sha256"] == tables_sha256(data.tables)
    return same_clips and made_by(result) == experiment
