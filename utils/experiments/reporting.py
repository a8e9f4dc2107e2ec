"""The tables, as the results store has them and as documents show them: rendered, and checked against each other."""

from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from utils import InputError
from utils.data.metadata import tables_sha256
from utils.evaluation import documents, results, tables
from utils.evaluation.tables import load_tables
from utils.experiments.config import find_experiment, made_by, snapshot
from utils.files import write_atomically
from utils.paths import CONFIGS, PROJECT


def rows(name: str, store: Path = results.STORE, also: Sequence[str] = ()) -> list[dict]:
    """A table's rows as numbers (see `utils.evaluation.tables.row`), of which every fold has been run with some seed.

    Args:
        name: of a table.
        also: experiments that stand beside those of the table.

    Raises:
        InputError: no such table, or runs of one row that do not belong together: of different configs or clips.
    """
    known = load_tables()
    if name not in known:
        raise InputError(f"unknown table '{name}'; known are {', '.join(known)}")
    table, made = known[name], []
    for experiment in dict.fromkeys([*table.experiments, *also]):
        for repetitions in table.repetitions:
            row = tables.row(table, experiment, repetitions, store, _check_belong)
            made += [] if row is None else [row]
    return made


def markdown(name: str, store: Path = results.STORE, also: Sequence[str] = ()) -> str:
    """A table in Markdown, between the comments by which `update` finds it again."""
    made = rows(name, store, also)
    return documents.marked(name, tables.markdown(load_tables()[name], made))


def tables_with(experiment: str, store: Path = results.STORE) -> list[str]:
    """The tables that an experiment has been run for.

    Raises:
        InputError: there is no such experiment, or it has been run for none.
    """
    find_experiment(experiment, CONFIGS)
    made = {name: [row["model"] for row in rows(name, store, [experiment])] for name in load_tables()}
    names = [name for name, models in made.items() if experiment in models]
    if not names:
        raise InputError(
            f"no table has a row of {experiment} yet; `sdr reproduce course --with {experiment}` makes one"
        )
    return names


def update(check: bool = False, project: Path = PROJECT, store: Path = results.STORE) -> list[str]:
    """Bring the tables of the README, the pages of `docs/` and the notebooks up to date.

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
    pages = [project / "README.md", *sorted((project / "docs").glob("*.md"))]
    for path in [*pages, *sorted((project / "notebooks").glob("*.ipynb"))]:
        text = path.read_text(encoding="utf-8")
        update_document = documents.update_notebook if path.suffix == ".ipynb" else documents.update_text
        try:
            new = update_document(text, lambda name: markdown(name, store))
        except ValueError as error:  # of a table's marks, or of JSON
            raise InputError(f"{path}: {error}") from None
        if new != text and check:
            raise InputError(f"{path}: a table is not what the results say; `sdr report` renders it anew")
        if new != text:
            write_atomically(path, lambda file, new=new: file.write_text(new, encoding="utf-8"))
            changed.append(path.name)
    return changed


def _check_belong(runs: list[dict], experiment: str) -> None:
    """Raise unless the runs of a row were made by the config that lies in `configs/`, from the clips that it names."""
    config = find_experiment(experiment, CONFIGS)
    clips_sha256, now = tables_sha256(config.data.tables), snapshot(config)
    for run in runs:
        where = f"results of {experiment}, {run['protocol']}, seed {run['seed']}"
        if run["metadata_sha256"] != clips_sha256:
            raise InputError(f"{where}: not made from the clips of {', '.join(config.data.tables)}")
        then = snapshot(made_by(run))
        for key in ("protocol", "fold", "repetitions"):  # they are the table's
            now["data"][key] = then["data"][key]
        for section in now.keys() | then.keys():
            if now.get(section) != then.get(section):
                raise InputError(f"{where}: made with another '{section}' than its config has now; run it again")
        for cost in ("parameters", "multiply_adds"):
            if run[cost] != runs[0][cost]:
                raise InputError(f"{where}: its {cost} are not those of the other runs of {experiment}")
