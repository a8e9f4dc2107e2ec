"""The tables of results, rendered from the results store; and the check that the documents match it."""

import functools
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import matplotlib.pyplot as plt

from utils import InputError
from utils.data.metadata import tables_sha256
from utils.evaluation import documents, figures, results, tables
from utils.evaluation.tables import load_tables
from utils.experiments.config import find_experiment, made_by, snapshot
from utils.experiments.fingerprints import short_key
from utils.experiments.peer_results import settings_of
from utils.files import check_file, read_text, write_atomically, write_text
from utils.inference.peers import PEERS
from utils.paths import CONFIGS, PROJECT
from utils.progress import Progress
from utils.settings import nearest

COSTS = Path("docs") / "accuracy_and_cost.png"  # within the project


def rows(name: str, store: Path = results.STORE, also: Sequence[str] = ()) -> list[dict]:
    """The rows of a table as numbers (see `utils.evaluation.tables.row`).

    Experiments without a seed for which every fold has been run have no row.

    Args:
        name: of the table.
        store: the folder of the results.
        also: experiments to add to those of the table.

    Raises:
        InputError: there is no such table, or the runs of a row differ in their configs or clips.
    """
    known = load_tables()
    if name not in known:
        raise InputError(f"unknown table '{name}'; {nearest(name, known)}")
    table, found = known[name], []
    for experiment in dict.fromkeys([*table.experiments, *table.peers, *also]):
        for repetitions in table.repetitions:
            row = tables.row(table, experiment, repetitions, store, _check_belong)
            found += [] if row is None else [row]
    return found


def markdown(name: str, store: Path = results.STORE, also: Sequence[str] = ()) -> str:
    """A table in Markdown, between the comments that mark it for `update`."""
    found = rows(name, store, also)
    return documents.marked(name, tables.markdown(load_tables()[name], found))


def tables_with(experiment: str, store: Path = results.STORE) -> list[str]:
    """The names of the tables for which an experiment has been run.

    Raises:
        InputError: there is no such experiment, or it has not been run for any table.
    """
    find_experiment(experiment, CONFIGS)
    tables_by_runs: dict[tuple, str] = {}  # of several tables with the same runs (course, contrastive, ...) the first
    for name, table in load_tables().items():
        tables_by_runs.setdefault((table.protocol, table.folds, table.repetitions), name)
    naming_it = [name for name, table in load_tables().items() if experiment in table.experiments]
    candidates = naming_it or list(tables_by_runs.values())
    names = [name for name in candidates if any(row["model"] == experiment for row in rows(name, store, [experiment]))]
    if not names:
        raise InputError(
            f"no table has a row of {experiment} yet; `sdr reproduce course --with {experiment}` makes one"
        )
    return names


def update(check: bool = False, project: Path = PROJECT, store: Path = results.STORE) -> list[str]:
    """Update the tables in the README, the pages of `docs/` and the notebooks, and the figure of the costs.

    Args:
        check: change nothing. Instead raise an `InputError` for the first table or figure that does not match the
            results, and for any result whose metrics do not match its predictions.
        project: the folder with these documents.
        store: the folder of the results.

    Returns:
        The names of the files that changed.

    Raises:
        InputError: also if there are no results at all, as every table would lose its rows.
    """
    changed, paths = [], sorted(store.glob("*/*/seed-*.json"))
    if not paths:
        raise InputError(f"{store}: there are no results, so no table is changed; `sdr reproduce` makes them")
    if check:
        for path in Progress(paths, "checking results"):
            results.verify(path)
    pages = [project / "README.md", *sorted((project / "docs").glob("*.md"))]
    for path in [*pages, *sorted((project / "notebooks").glob("*.ipynb"))]:
        text = read_text(path)
        update_document = documents.update_notebook if path.suffix == ".ipynb" else documents.update_text
        try:
            new = update_document(text, lambda name: markdown(name, store))
        except ValueError as error:  # from the marks of a table, or from JSON
            raise InputError(f"{path}: {error}") from None
        if new != text and check:
            raise InputError(f"{path}: a table does not match the results; `sdr report` updates it")
        if new != text:
            write_text(path, new)
            changed.append(path.name)
    figure = project / COSTS
    if figure.exists():
        check_file(figure)
    if figure.exists() and figures.source_of(figure.read_bytes()) != short_key(*_costs(store)):
        if check:
            raise InputError(f"{figure}: does not match the results; `sdr report` draws it again")
        changed.append(draw_costs(project, store).name)
    return changed


def draw_costs(project: Path = PROJECT, store: Path = results.STORE) -> Path:
    """Draw accuracy over cost, of the rows of the table `peers`, for `docs/results.md`; returns the file."""
    points, noisy = _costs(store)
    buffer, path = io.BytesIO(), project / COSTS
    with plt.rc_context(figures.STYLE):
        figure, ax = plt.subplots(figsize=(6.5, 4))
        figures.accuracy_by_cost(points, tuple(PEERS), noisy, ax)
        figure.savefig(buffer, format="png", dpi=120)
        plt.close(figure)
    png = figures.compress(buffer.getvalue(), source=short_key(points, noisy))
    write_atomically(path, lambda new: new.write_bytes(png))
    return path


def _costs(store: Path) -> tuple[list[dict], dict[str, float]]:
    """What `draw_costs` draws: of the rows of the table `peers`; and by model, its accuracy at 10 dB."""
    shown = ("model", "milliseconds", "accuracy_mean")
    points = [{key: row[key] for key in shown} for row in rows("peers", store) if "milliseconds" in row]
    noise = [row for row in rows("noise", store) if "10" in row["conditions"]]
    return points, {row["model"]: fmean(row["conditions"]["10"]) for row in noise}


def _check_belong(runs: list[dict], experiment: str) -> None:
    """Raise unless all runs of a row used the current config and the clips that it names."""
    if experiment in PEERS:
        for run in runs:
            _check_peer(run)
        return
    config, checksum = find_experiment(experiment, CONFIGS), functools.cache(tables_sha256)
    for run in runs:
        where = f"results of {experiment}, {run['protocol']}, seed {run['seed']}"
        made = made_by(run)
        by_table = {key: getattr(made.data, key) for key in ("protocol", "fold", "repetitions")}  # not by the config
        wanted = replace(config, data=replace(config.data, **by_table))
        if run["metadata_sha256"] != checksum(wanted.sources):
            raise InputError(f"{where}: made from other clips than those of {', '.join(wanted.sources)}")
        then, now = snapshot(made), snapshot(wanted)
        for section in now.keys() | then.keys():
            if now.get(section) != then.get(section):
                raise InputError(f"{where}: made with another '{section}' than that of the config now; run it again")
        for cost in ("parameters", "multiply_adds"):
            if run[cost] != runs[0][cost]:
                raise InputError(f"{where}: its {cost} differ from those of the other runs of {experiment}")


def _check_peer(run: dict) -> None:
    """Raise unless a result of a peer used the current settings and clips."""
    config, where = settings_of(run["experiment"], run["protocol"]), f"results of {run['experiment']}"
    if run["metadata_sha256"] != tables_sha256([config["data"]["metadata"]]):
        raise InputError(f"{where}: made from other clips than those of {config['data']['metadata']}")
    if run["config"] != config:
        raise InputError(f"{where}: made with other settings than those now; `sdr reproduce peers` makes them again")
