"""Tables of results: rows of numbers from the results store, and their Markdown; `tables.yaml` says what is in them."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from utils.data.splits import split_name
from utils.evaluation import results
from utils.paths import CONFIGS
from utils.settings import build, load_yaml

SPECIFICATION = Path(__file__).with_suffix(".yaml")


@dataclass(frozen=True)
class Column:
    """A column's title, and the value of a row that it shows; a dot leads into a value that is a dict itself."""

    title: str
    value: str


@dataclass(frozen=True)
class Table:
    """A protocol with its folds, and what is compared by it. A row is the mean over the folds."""

    name: str
    protocol: str
    columns: tuple[Column, ...]
    experiments: dict[str, int]  # and the number of seeds of each
    folds: tuple[str | None, ...] = (None,)
    repetitions: tuple[int | None, ...] = (None,)  # how many are labelled (see `few_repetitions`): a row for each
    held_out: tuple[str, ...] = ()  # folds on which nothing was chosen, whose mean is reported beside

    def splits(self, repetitions: int | None = None) -> list[str]:
        """The protocol with each of its folds, as the results store names them."""
        return [split_name(self.protocol, fold, repetitions) for fold in self.folds]


@functools.cache
def load_tables() -> dict[str, Table]:
    """The tables of `tables.yaml` by their names."""
    values = load_yaml(SPECIFICATION)
    columns = {name: build(Column, column, f"{SPECIFICATION}: {name}") for name, column in values["columns"].items()}
    tables = {}
    for name, table in values["tables"].items():
        folds = tuple(table.get("folds", [None]))
        by_fold = [Column(fold, f"folds.{split_name(table['protocol'], fold, None)}") for fold in folds if fold]
        chosen = [by_fold if column == "folds" else [columns[column]] for column in table["columns"]]
        tables[name] = Table(
            name,
            table["protocol"],
            tuple(column for some in chosen for column in some),
            _experiments(table["experiments"]),
            folds,
            tuple(table.get("repetitions", [None])),
            tuple(table.get("held_out", ())),
        )
    return tables


def _experiments(named: dict[str, int]) -> dict[str, int]:
    """Experiments with their numbers of seeds; a file of `configs/` stands for all its variants."""
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
    """A row as numbers, of the seeds with which every fold has been run; None where there is no such seed.

    Args:
        check: given the row's runs and the experiment, to raise where they do not belong together.

    Returns:
        `table`, `model`, `protocol`, `accuracy_mean` and `accuracy_std` of TEST over the seeds (a seed's accuracy is
        the mean over the folds), `seeds`, `parameters`, and more that `tables.yaml` may show.
    """
    splits = table.splits(repetitions)
    paths = {seed: [results.result_path(store, experiment, split, seed) for split in splits] for seed in range(100)}
    seeds = [seed for seed, own in paths.items() if all(path.exists() for path in own)]
    complete = [[results.load(path) for path in paths[seed]] for seed in seeds]
    if not complete:
        return None
    check([run for folds in complete for run in folds], experiment)
    first = complete[0][0]

    def over_seeds(value: Callable[[dict], float], splits: Sequence[str] = splits) -> list[float]:
        """A value of each run, averaged over the folds: one number a seed."""
        return [fmean(value(run) for run in folds if run["protocol"] in splits) for folds in complete]

    def accuracy_on(part: str, splits: Sequence[str] = splits) -> list[float]:
        return over_seeds(lambda run: run["metrics"][part]["accuracy"], splits)

    accuracy = accuracy_on("TEST")
    option = "--model" if experiment in table.experiments else "--with"
    own = Path(first["config"]["data"]["metadata"]).stem
    numbers = {
        "table": table.name,
        "model": experiment,
        "protocol": split_name(table.protocol, None, repetitions),
        "repetitions": repetitions,
        "accuracy_mean": fmean(accuracy),
        "accuracy_std": stdev(accuracy) if len(accuracy) > 1 else 0.0,
        "seeds": len(complete),
        "parameters": first["parameters"],
        "multiply_adds": first["multiply_adds"],
        "train_seconds": fmean(over_seeds(lambda run: run["train_seconds"])),
        "command": f"sdr reproduce {table.name} {option} {experiment}",
        "accuracy": accuracy,
        "by_seed": dict(zip(seeds, accuracy, strict=True)),
        "macro_f1": over_seeds(lambda run: run["metrics"]["TEST"]["macro_f1"]),
        "folds": {split: accuracy_on("TEST", [split]) for split in splits},
        "tests": {own if part == "TEST" else part: accuracy_on(part) for part in first["metrics"]},
    }
    if all("DEV" in run["metrics"] for folds in complete for run in folds):
        numbers["dev_accuracy"] = accuracy_on("DEV")
    if table.held_out:
        numbers["held_out"] = accuracy_on("TEST", [f"{table.protocol}-{fold}" for fold in table.held_out])
    return numbers


def markdown(table: Table, rows: Sequence[dict]) -> str:
    """Rows as a table in Markdown."""
    lines = [["model", *(column.title for column in table.columns)], ["---"] * (len(table.columns) + 1)]
    lines += [[row["model"], *(cell(row, column.value) for column in table.columns)] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


FORMATS: dict[str, Callable] = {
    "parameters": "{:,}".format,
    "multiply_adds": lambda value: f"{value / 1e6:.2f} M",
    "train_seconds": "{:.0f} s".format,
    "command": "`{}`".format,
}


def cell(row: dict, name: str) -> str:
    """A value of a row as it is shown: accuracies in percent, those of a single fold as their mean alone."""
    outer, _, inner = name.partition(".")
    value = row.get(outer, {}).get(inner) if inner else row.get(name)
    if value is None:
        return ""
    if outer == "folds":
        return f"{100 * fmean(value):.1f}"
    return percent(value) if isinstance(value, list) else FORMATS.get(name, str)(value)


def percent(values: Sequence[float]) -> str:
    """Mean ± standard deviation over seeds, in percent."""
    spread = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * fmean(values):.1f}{spread}"
