"""Makes the runs that the tables need and the results store lacks, several in parallel."""

import itertools
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from statistics import median

import joblib
import torch

from utils import InputError, count
from utils.evaluation import results
from utils.evaluation.tables import load_tables
from utils.experiments.clips import split_clips, synthetic_music, synthetic_non_digits, synthetic_voices
from utils.experiments.cluster import cluster
from utils.experiments.config import Experiment, find_experiment, make_model
from utils.experiments.runs import has_run, run
from utils.experiments.stages import pretrain, pretraining_clips, pretraining_state
from utils.inference.peers import PEERS
from utils.paths import CONFIGS, RUNS
from utils.progress import Progress
from utils.settings import nearest


def reproduce(
    tables: Sequence[str] = (),
    model: str | None = None,
    also: str | None = None,
    seeds: int | None = None,
    jobs: int | None = None,
    again: bool = False,
    scheduler: str | None = None,
    store: Path = results.STORE,
) -> None:
    """Make the missing runs of tables in parallel, with a progress bar.

    Args:
        tables: their names; empty: all tables.
        model: only this experiment of the tables.
        also: only this experiment, which the tables need not name.
        seeds: number of seeds of each experiment, at most that of the tables; None: all of them.
        jobs: number of parallel runs, one thread each; None: one per core.
        again: repeat the runs that are in the store.
        scheduler: the address of a Dask scheduler, whose workers make the runs (see `cluster`); None: this machine.
        store: the folder of the results.
    """
    planned = planned_runs(tables, model, also, seeds)
    missing = [(chosen, seed) for chosen, seed in planned if again or not has_run(chosen, seed, store)]
    print(f"{count(len(planned), 'run')}, {len(planned) - len(missing)} of them in the results already")
    shared = {}  # pre-trainings used by several runs: done once, before the parallel runs
    for chosen, seed in missing:
        if chosen.pretraining is not None:
            clips = pretraining_clips(chosen, split_clips(chosen, seed))
            shared[pretraining_state(chosen, clips, seed, RUNS)] = chosen, seed
    for state in shared if again else ():
        state.unlink(missing_ok=True)
    if not missing:
        return
    here = min(jobs, len(missing)) if jobs else joblib.cpu_count()
    with nullcontext(here) if scheduler is None else cluster(scheduler, store) as workers:
        print(_forecast(missing, list(shared.values()), workers, store), flush=True)
        for make in (synthetic_voices, synthetic_non_digits, synthetic_music):  # before parallel runs need them
            for number in {getattr(chosen.data, make.__name__) for chosen, _ in missing} - {0}:
                make(number)
        parallel = joblib.Parallel(n_jobs=workers, return_as="generator_unordered")
        tasks = (joblib.delayed(_only_pretrain)(chosen, seed) for chosen, seed in shared.values())
        for _ in Progress(parallel(tasks), "pre-training", total=len(shared), unit="run", shown=bool(shared)):
            pass
        work = parallel(joblib.delayed(run)(chosen, seed, store=store) for chosen, seed in missing)
        bar = Progress(work, "runs", total=len(missing), unit="run")
        for result in bar:
            bar.set_postfix_str(f"{result['experiment']} {result['protocol']} seed {result['seed']}")


def planned_runs(
    tables: Sequence[str] = (), model: str | None = None, also: str | None = None, seeds: int | None = None
) -> list[tuple[Experiment, int]]:
    """The experiments and seeds of tables (arguments of `reproduce`). Runs that several tables need are listed once."""
    known = load_tables()
    wanted = {name: known[name] for name in tables or known if name in known}
    models = list(dict.fromkeys(name for table in wanted.values() for name in table.experiments))
    for kind, names, all_names in (("table", tables, known), ("model", [model] if model else [], models)):
        for unknown in set(names) - set(all_names):
            hint = f" (`--with {unknown}` runs an experiment that no table names)" if kind == "model" else ""
            hint = f" (`sdr reproduce peers --model {unknown}` tests it)" if unknown in PEERS else hint
            raise InputError(f"unknown {kind} '{unknown}'; {nearest(unknown, all_names)}{hint}")
    planned = {}
    for table in wanted.values():
        if also is not None:
            chosen = {also: table.experiments.get(also, max(table.experiments.values()))}
        elif model is not None:
            chosen = {model: table.experiments.get(model, 0)}
        else:
            chosen = table.experiments
        for name, most in chosen.items():
            config = find_experiment(name, CONFIGS)
            for fold, repetitions in itertools.product(table.folds, table.repetitions):
                data = replace(config.data, protocol=table.protocol, fold=fold, repetitions=repetitions)
                for seed in range(min(seeds or most, most)):
                    planned[name, data, seed] = replace(config, data=data), seed
    return list(planned.values())


def _only_pretrain(experiment: Experiment, seed: int) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    pretrain(make_model(experiment), experiment, split_clips(experiment, seed), seed, RUNS)


def _forecast(
    missing: list[tuple[Experiment, int]], pretrained: list[tuple[Experiment, int]], jobs: int, store: Path
) -> str:
    """A line with the expected duration of runs and their shared pre-trainings, estimated from stored results."""
    took: dict[str, list[float]] = {}  # by the experiment, without pre-training; and by the experiment's pre-training
    for path in sorted(store.glob("*/*/seed-*.json")):
        result = results.load(path)
        if "peer" in result["config"]:
            continue
        pretraining = sum(row["seconds"] for row in result["history"] if row.get("stage") == "pre-training")
        took.setdefault(result["experiment"], []).append(result["train_seconds"] - pretraining)
        took.setdefault(f"{result['experiment']}, pre-training", []).append(pretraining)
    names = [chosen.name for chosen, _ in missing] + [f"{chosen.name}, pre-training" for chosen, _ in pretrained]
    known = [median(took[name]) for name in names if name in took]
    new = sum(chosen.name not in took for chosen, _ in missing)
    if new == len(missing):
        return f"{count(new, 'run')} of unknown duration, {jobs} in parallel"
    minutes = max(1, round((sum(known) + len(missing)) / jobs / 60))  # loading and testing take about a second
    unknown = f", plus {count(new, 'run')} of unknown duration" if new else ""
    return f"about {count(minutes, 'minute')}, {jobs} in parallel{unknown}"
