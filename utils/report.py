"""Tables: rendered from the results store into the README and the notebooks, and checked against it."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev

from tqdm import tqdm

from utils import InputError, results
from utils.config import Experiment, find_experiment, load_experiments, parse_experiment, snapshot
from utils.files import write_whole
from utils.metadata import PROJECT, tables_sha256
from utils.protocols import split_name

CONFIGS = PROJECT / "configs"
TRAIN_SPEAKERS = ("george", "jackson", "nicolas", "theo")
HELD_OUT = ("lucas", "yweweler")  # DEV and TEST: no setting was chosen on them
# seeds of each; a linear model has one solution, whatever the seed
EXPERIMENTS = {"linear": 1, "cnn1d": 5, "gru": 5, "vit": 5, "resnet": 5, "resnet_voices": 5}
COURSE = EXPERIMENTS | {"cnn1d_voices": 5}
LOSO = {"linear": 1, "cnn1d": 5, "resnet": 5, "resnet_voices": 5}
CONTRASTIVE = {f"{loss}_{use}": 5 for loss in ("nt_xent", "swav", "supcon", "triplet") for use in ("probe", "tuned")}
ABLATION = dict.fromkeys(load_experiments(CONFIGS / "ablation.yaml"), 3)
FEW_LABELS = {"cnn1d": 5, "few_swav": 5, "few_self_trained": 5, "few_swav_self_trained": 5}
ONE_SPEAKER = {
    f"one_{kind}": 5
    for kind in (
        "plain",
        "waveform",
        "spectrogram",
        "both",
        "contrastive",
        "self_trained",
        "contrastive_self_trained",
        "voices",
        "voices_self_trained",
    )
}
ACROSS = dict.fromkeys(load_experiments(CONFIGS / "corpora.yaml"), 5)
EACH_SPEAKER = {f"one_{kind}": 5 for kind in ("plain", "both", "contrastive", "self_trained", "voices")}


@dataclass(frozen=True)
class Table:
    """A protocol, its folds, and how a row of the table reads in Markdown. A row is the mean over the folds."""

    protocol: str
    folds: tuple[str | None, ...]
    columns: dict[str, Callable[[dict], str]]
    experiments: dict[str, int]  # which are compared, and the seeds of each
    takes: tuple[int | None, ...] = (None,)  # how many are labelled (see `few_takes`): a row for each

    def splits(self, takes: int | None = None) -> list[str]:
        """The protocol with each of its folds, as the results store names them."""
        return [split_name(self.protocol, fold, takes) for fold in self.folds]


def percent(values: list[float]) -> str:
    """Mean ± standard deviation over seeds, in percent."""
    spread = f" ± {100 * stdev(values):.1f}" if len(values) > 1 else ""
    return f"{100 * fmean(values):.1f}{spread}"


COST = {
    "seeds": lambda row: str(row["seeds"]),
    "parameters": lambda row: f"{row['parameters']:,}",
    "multiply-adds a second": lambda row: f"{row['multiply_adds'] / 1e6:.2f} M",
    "training": lambda row: f"{row['train_seconds']:.0f} s",
    "command": lambda row: f"`{row['command']}`",
}


def costs(*names: str) -> dict[str, Callable[[dict], str]]:
    """Some of the columns of `COST`."""
    return {name: COST[name] for name in names}


def by_speaker(protocol: str, speakers: tuple[str, ...]) -> dict[str, Callable[[dict], str]]:
    """The columns of a table with a fold for each speaker: the mean over the folds, and each fold's over the seeds."""
    folds = {name: lambda row, name=name: f"{100 * fmean(row['folds'][f'{protocol}-{name}']):.1f}" for name in speakers}
    return {"mean, %": lambda row: percent(row["accuracy"]), **folds, **costs("seeds", "command")}


TEST = {"TEST accuracy, %": lambda row: percent(row["accuracy"])}
ACCURACY = TEST | {"DEV accuracy, %": lambda row: percent(row["dev_accuracy"])}
F1 = {"TEST macro F1, %": lambda row: percent(row["macro_f1"])}
TRAINED = ACCURACY | costs("seeds", "training", "command")
TAKES = {"takes": lambda row: str(row["takes"])} | ACCURACY | costs("seeds", "command")
CORPORA = {
    title: lambda row, part=part: percent(row["tests"][part]) if part in row["tests"] else ""
    for title, part in (
        ("course TEST, %", "SDR_metadata"),
        ("AudioMNIST speaker 02, %", "audiomnist_02"),
        ("Arabic TEST, %", "arabic"),
    )
} | costs("seeds", "parameters", "command")
UNHEARD = {"lucas and yweweler, %": lambda row: percent(row["held_out"])}
INSIDE = by_speaker("inside-train", TRAIN_SPEAKERS)
SIX = TRAIN_SPEAKERS + HELD_OUT
TABLES = {
    "course": Table("course", (None,), ACCURACY | F1 | COST, COURSE),
    "loso": Table("loso", SIX, UNHEARD | by_speaker("loso", SIX), LOSO),
    "inside-train": Table("inside-train", TRAIN_SPEAKERS, INSIDE, EXPERIMENTS),
    "ablation": Table("inside-train", TRAIN_SPEAKERS, INSIDE, ABLATION),
    "contrastive": Table("course", (None,), TRAINED, {"cnn1d": 5} | CONTRASTIVE | {"joint": 5}),
    "labels": Table("course", (None,), TAKES, FEW_LABELS, takes=(1, 2, 5, 10)),
    "george": Table("one-speaker", ("george",), TRAINED, ONE_SPEAKER),
    "one-speaker": Table("one-speaker", TRAIN_SPEAKERS, by_speaker("one-speaker", TRAIN_SPEAKERS), EACH_SPEAKER),
    "george-labels": Table(
        "one-speaker", ("george",), TAKES, {"one_both": 5, "one_contrastive": 5}, takes=(1, 2, 5, 10)
    ),
    "corpora": Table("course", (None,), CORPORA, ACROSS),
    "arabic": Table("split", (None,), TEST | F1 | COST, {"arabic_cnn": 5, "arabic_small": 5}),
}


def rows(name: str, store: Path = results.STORE) -> list[dict]:
    """A table's rows as numbers: one for each experiment of which every fold has been run with some seed.

    Returns:
        Dicts of `table`, `model`, `protocol`, `accuracy_mean` and `accuracy_std` of TEST over the seeds (a seed's
        accuracy is the mean over the folds), `seeds`, `parameters`, and more that the table shows.

    Raises:
        InputError: no such table, or runs of one row that do not belong together: of different configs or clips.
    """
    if name not in TABLES:
        raise InputError(f"unknown table '{name}'; known are {', '.join(TABLES)}")
    table = TABLES[name]
    made = (_row(name, table, experiment, takes, store) for experiment in table.experiments for takes in table.takes)
    return [row for row in made if row is not None]


def _row(name: str, table: Table, experiment: str, takes: int | None, store: Path) -> dict | None:
    splits = table.splits(takes)
    paths = {seed: [results.result_path(store, experiment, split, seed) for split in splits] for seed in range(100)}
    seeds = [seed for seed, own in paths.items() if all(path.exists() for path in own)]
    complete = [[results.load(path) for path in paths[seed]] for seed in seeds]
    if not complete:
        return None
    _check_belong([run for folds in complete for run in folds], experiment)

    def over_seeds(value: Callable[[dict], float], splits: list[str] | None = None) -> list[float]:
        """A value of each run, averaged over the folds: one number a seed."""
        return [fmean(value(run) for run in folds if splits is None or run["protocol"] in splits) for folds in complete]

    accuracy = over_seeds(lambda run: run["metrics"]["TEST"]["accuracy"])
    row = {
        "table": name,
        "model": experiment,
        "protocol": split_name(table.protocol, None, takes),
        "takes": takes,
        "accuracy_mean": fmean(accuracy),
        "accuracy_std": stdev(accuracy) if len(accuracy) > 1 else 0.0,
        "seeds": len(complete),
        "parameters": complete[0][0]["parameters"],
        "multiply_adds": complete[0][0]["multiply_adds"],
        "train_seconds": fmean(over_seeds(lambda run: run["train_seconds"])),
        "command": f"sdr reproduce {name} --model {experiment}",
        "accuracy": accuracy,
        "by_seed": dict(zip(seeds, accuracy, strict=True)),
        "macro_f1": over_seeds(lambda run: run["metrics"]["TEST"]["macro_f1"]),
        "folds": {split: over_seeds(lambda run: run["metrics"]["TEST"]["accuracy"], [split]) for split in splits},
    }
    if all("DEV" in run["metrics"] for folds in complete for run in folds):
        row["dev_accuracy"] = over_seeds(lambda run: run["metrics"]["DEV"]["accuracy"])
    own = Path(complete[0][0]["config"]["data"]["metadata"]).stem
    row["tests"] = {
        own if part == "TEST" else part: over_seeds(lambda run, part=part: run["metrics"][part]["accuracy"])
        for part in complete[0][0]["metrics"]
    }
    if set(HELD_OUT) <= set(table.folds):
        held_out = [f"{table.protocol}-{speaker}" for speaker in HELD_OUT]
        row["held_out"] = over_seeds(lambda run: run["metrics"]["TEST"]["accuracy"], held_out)
    return row


def _check_belong(runs: list[dict], experiment: str) -> None:
    """The runs of a row were made by the config that lies in `configs/`, from the clips that it names."""
    config = find_experiment(experiment, CONFIGS)
    clips_sha256, now = tables_sha256(config.data.tables), snapshot(config)
    for run in runs:
        where = f"results of {experiment}, {run['protocol']}, seed {run['seed']}"
        if run["metadata_sha256"] != clips_sha256:
            raise InputError(f"{where}: not made from the clips of {', '.join(config.data.tables)}")
        then = snapshot(made_by(run))
        for key in ("protocol", "fold", "takes"):  # they are the table's
            now["data"][key] = then["data"][key]
        for section in now.keys() | then.keys():
            if now.get(section) != then.get(section):
                raise InputError(f"{where}: made with another '{section}' than its config has now; run it again")
        for cost in ("parameters", "multiply_adds"):
            if run[cost] != runs[0][cost]:
                raise InputError(f"{where}: its {cost} are not those of the other runs of {experiment}")


def made_by(result: dict) -> Experiment:
    """The experiment that a result was made by. Settings that were added since have their defaults: not used."""
    return parse_experiment(result["config"], f"results of {result['experiment']}", result["experiment"])


def markdown(name: str, store: Path = results.STORE) -> str:
    """A table in Markdown, between two comments by which `update` finds it again."""
    made = rows(name, store)
    columns = TABLES[name].columns
    lines = [["model", *columns], ["---"] * (len(columns) + 1)]
    lines += [[row["model"], *(cell(row) for cell in columns.values())] for row in made]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"<!-- table {name} -->\n{table}\n<!-- end of table -->"


PLACE = re.compile(r"<!-- table ([\w-]+) -->\n(?:(?!<!--).*\n)*<!-- end of table -->")
MARK = re.compile(r"<!--\s*(?:end of )?table\b", re.IGNORECASE)


def update(check: bool = False, project: Path = PROJECT, store: Path = results.STORE) -> list[str]:
    """Put the tables of the README and of the notebooks up to date.

    Args:
        check: change nothing, but raise an `InputError` for the first table that is not what the results say, and
            for a result whose metrics are not those of its predictions.

    Returns:
        The names of the files that changed.
    """
    changed = []
    if check:
        for path in tqdm(sorted(store.glob("*/*/seed-*.json")), "checking results", leave=False, disable=None):
            results.verify(path)
    for path in [project / "README.md", *sorted((project / "notebooks").glob("*.ipynb"))]:
        text = path.read_text(encoding="utf-8")
        try:
            new = _update_notebook(text, store) if path.suffix == ".ipynb" else _update_text(text, store)
        except ValueError as error:  # of a table's marks, or of JSON
            raise InputError(f"{path}: {error}") from None
        if new != text and check:
            raise InputError(f"{path}: a table is not what the results say; `sdr report` renders it anew")
        if new != text:
            write_whole(path, lambda file, new=new: file.write_text(new, encoding="utf-8"))
            changed.append(path.name)
    return changed


def _update_text(text: str, store: Path) -> str:
    places = PLACE.findall(text)
    if len(MARK.findall(text)) != 2 * len(places):
        last = f"; the last whole one is '{places[-1]}'" if places else ""
        raise ValueError(
            "a table is to stand between '<!-- table NAME -->' and '<!-- end of table -->', each on a line of its own; "
            f"one of these marks is missing or misspelt{last}"
        )
    return PLACE.sub(lambda place: markdown(place[1], store), text)


def _update_notebook(text: str, store: Path) -> str:
    """Only Markdown that a cell put out holds tables; it is either one string or a list of lines."""
    notebook = json.loads(text)
    for output in (output for cell in notebook["cells"] for output in cell.get("outputs", [])):
        data = output.get("data", {})
        if "text/markdown" in data:
            old = "".join(data["text/markdown"])
            new = _update_text(old, store)
            data["text/markdown"] = data["text/markdown"] if new == old else new.splitlines(keepends=True)
    new_text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
    return text if json.loads(text) == notebook else new_text
