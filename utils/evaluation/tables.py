"""Tables of results: rows of numbers from the results store, and their Markdown; `tables.yaml` specifies them."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev

from utils.data.splits import split_name
from utils.evaluation import results, verified
from utils.paths import CONFIGS
from utils.settings import build, load_yaml

SPECIFICATION = Path(__file__).with_suffix(".yaml")


@dataclass(frozen=True)
class Column:
    """A column's title, and the key of the value that it shows; a dot separates the keys of nested dicts."""

    title: str
    value: str


@dataclass(frozen=True)
class Table:
    """A protocol with its folds, and the experiments that it compares. A row is the mean over the folds."""

    name: str
    protocol: str
    columns: tuple[Column, ...]
    experiments: dict[str, int]  # with the number of seeds of each
    folds: tuple[str | None, ...] = (None,)
    repetitions: tuple[int | None, ...] = (None,)  # labelled ones (see `few_repetitions`), one row for each
    held_out: tuple[str, ...] = ()  # folds not used for any choice; their mean has its own column
    shown_as: dict[str, str] = field(default_factory=dict)  # what a row shows instead of its protocol, by experiment
    conditions: tuple[str, ...] = ()  # of the field tests, which the table is about; each has its own column
    peers: tuple[str, ...] = ()  # off-the-shelf recognisers, with rows below those of the experiments

    def splits(self, repetitions: int | None = None) -> list[str]:
        """The protocol with each of its folds, under the names that the results store uses."""
        return [split_name(self.protocol, fold, repetitions) for fold in self.folds]


@functools.cache
def load_tables() -> dict[str, Table]:
    """The tables of `tables.yaml`, by name."""
    values = load_yaml(SPECIFICATION)
    columns = {name: build(Column, column, f"{SPECIFICATION}: {name}") for name, column in values["columns"].items()}
    tables = {}
    for name, table in values["tables"].items():
        folds = tuple(table.get("folds", [None]))
        by_fold = [Column(fold, f"folds.{split_name(table['protocol'], fold, None)}") for fold in folds if fold]
        conditions = tuple(table.get("conditions", ()))
        several = {"folds": by_fold, "conditions": [Column(name, f"conditions.{name}") for name in conditions]}
        chosen = [several.get(column) or [columns[column]] for column in table["columns"]]
        tables[name] = Table(
            name=name,
            protocol=table["protocol"],
            columns=tuple(column for group in chosen for column in group),
            experiments=_experiments(table["experiments"]),
            folds=folds,
            repetitions=tuple(table.get("repetitions", [None])),
            held_out=tuple(table.get("held_out", ())),
            shown_as=table.get("shown_as", {}),
            conditions=conditions,
            peers=tuple(table.get("peers", ())),
        )
    return tables


def _experiments(named: dict[str, int]) -> dict[str, int]:
    """The number of seeds of each experiment; a file of `configs/` stands for all its variants."""
    seeds: dict[str, int] = {}
    for name, number in named.items():
        variants = load_yaml(CONFIGS / name)["variants"] if name.endswith(".yaml") else [name]
        seeds |= dict.fromkeys(variants, number)
    return seeds


def row(
    table: Table,
    experiment: str,
    repetitions: int | None,
    store: Path = results.STORE,
    check: Callable[[list[dict], str], None] = lambda runs, experiment: None,
) -> dict | None:
    """A row as numbers, over the seeds for which all folds have been run; None if there is nothing to show.

    Args:
        check: called with the row's runs and the experiment, to raise an error if they do not belong together.

    Returns:
        `table`, `model`, `protocol`, `accuracy_mean` and `accuracy_std` on TEST over the seeds (a seed's accuracy is
        the mean over the folds), `seeds`, `parameters` (None: not known), and other values that `tables.yaml` can show;
        of a table of field tests also `conditions`, the share of each over the seeds.
    """
    splits = table.splits(repetitions)
    paths = _complete_seeds(store, experiment, splits)
    if not paths:
        return None
    by_seed = {seed: [results.load_stored(path) for path in folds] for seed, folds in paths.items()}
    runs = [run for folds in by_seed.values() for run in folds]
    check(runs, experiment)
    values = _measured(table, splits, list(by_seed.values()))
    if table.conditions and not values["conditions"]:
        return None
    return {
        "table": table.name,
        "model": experiment,
        "protocol": table.shown_as.get(experiment, split_name(table.protocol, None, repetitions)),
        "repetitions": repetitions,
        **_mean_and_deviation(values["accuracy"]),
        "seeds": len(by_seed),
        "parameters": runs[0].get("parameters"),
        "multiply_adds": runs[0].get("multiply_adds"),
        "command": _command(table, experiment),
        "verified": verified.summary(store, [path for folds in paths.values() for path in folds]),
        "by_seed": dict(zip(by_seed, values["accuracy"], strict=True)),
        **values,
        "sampled": runs[0].get("sampled", {}),  # of a peer: on how few clips or strings, by part
        "strings": runs[0].get("strings", {}),  # of a peer: the number of strings, by part
        **results.load_costs(store).get(experiment, {}),
    }


def _complete_seeds(store: Path, experiment: str, splits: Sequence[str]) -> dict[int, list[Path]]:
    """The results of each seed with which all splits have been run, in their order."""
    seeds = results.seeds_of(store, experiment, splits[0])
    paths = {seed: [results.result_path(store, experiment, split, seed) for split in splits] for seed in seeds}
    return {seed: folds for seed, folds in paths.items() if all(path.exists() for path in folds)}


def _measured(table: Table, splits: Sequence[str], by_seed: Sequence[list[dict]]) -> dict:
    """What the runs of a row measured, with a run of each seed for each split. A list has a number for each seed."""
    runs = [run for folds in by_seed for run in folds]
    parts = [part for part in runs[0]["metrics"] if all(part in run["metrics"] for run in runs)]
    metadata = Path(runs[0]["config"]["data"]["metadata"]).stem

    def mean(value: Callable[[dict], float], splits: Sequence[str] = splits) -> list[float]:
        return [fmean(value(run) for run in folds if run["protocol"] in splits) for folds in by_seed]

    def accuracy(part: str, splits: Sequence[str] = splits) -> list[float]:
        return mean(lambda run: run["metrics"][part]["accuracy"], splits)

    values: dict = {
        "accuracy": accuracy("TEST"),
        "macro_f1": mean(lambda run: run["metrics"]["TEST"]["macro_f1"]),
        "folds": {split: accuracy("TEST", [split]) for split in splits},
        "tests": {metadata if part == "TEST" else part: accuracy(part) for part in parts},
    }
    if "train_seconds" in runs[0]:
        values["train_seconds"] = fmean(mean(lambda run: run["train_seconds"]))
    if "DEV" in parts:
        values["dev_accuracy"] = accuracy("DEV")
    if table.held_out:
        values["held_out"] = accuracy("TEST", [f"{table.protocol}-{fold}" for fold in table.held_out])
    shares = {name: [results.field_test(run, name) for run in runs] for name in table.conditions}
    return values | {"conditions": {name: share for name, share in shares.items() if None not in share}}


def _command(table: Table, experiment: str) -> str:
    """The command that makes a row."""
    if experiment in table.peers:
        return f"sdr reproduce peers --model {experiment}"
    return f"sdr reproduce {table.name} --{'model' if experiment in table.experiments else 'with'} {experiment}"


def by_condition(row: dict) -> list[dict]:
    """A row of a table of field tests as one row for each condition, which is its `protocol`; others as they are."""
    return [
        row | {"protocol": name, "accuracy": values} | _mean_and_deviation(values)
        for name, values in row["conditions"].items()
    ] or [row]


def _mean_and_deviation(values: Sequence[float]) -> dict[str, float]:
    """`accuracy_mean` and `accuracy_std` of one value for each seed."""
    return {"accuracy_mean": fmean(values), "accuracy_std": stdev(values) if len(values) > 1 else 0.0}


def markdown(table: Table, rows: Sequence[dict]) -> str:
    """Rows as a Markdown table."""
    lines = [["model", *(column.title for column in table.columns)], ["---"] * (len(table.columns) + 1)]
    lines += [[row["model"], *(cell(row, column.value) for column in table.columns)] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _three_digits(value: float) -> str:
    """A number with three significant digits, and all of those before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


PARTS = {"accuracy": "TEST", "macro_f1": "TEST", "dev_accuracy": "DEV"}  # what a value was measured on
FORMATS: dict[str, Callable] = {
    "parameters": "{:,}".format,
    "multiply_adds": lambda value: f"{value / 1e6:.2f} M",
    "train_seconds": "{:.0f} s".format,
    "milliseconds": _three_digits,
    "megabytes": _three_digits,
    "command": "`{}`".format,
}


def cell(row: dict, name: str) -> str:
    """A value of a row as text: accuracies in percent, those of a single fold without their deviation.

    Where a peer was tested on fewer clips or strings than models are, their number is given.
    """
    outer, _, inner = name.partition(".")
    value = row.get(outer, {}).get(inner) if inner else row.get(name)
    if value is None:
        return ""
    part = PARTS.get(name, inner)
    number, unit = row.get("sampled", {}).get(part), "strings" if part in row.get("strings", {}) else "clips"
    few = f" ({number} {unit})" if number else ""
    if outer == "folds":
        return f"{100 * fmean(value):.1f}"
    return percent(value) + few if isinstance(value, list) else FORMATS.get(name, str)(value)


def percent(values: Sequence[float]) -> str:
    """Mean ± standard deviation over seeds, in percent."""
    spread = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * fmean(values):.1f}{spread}"
