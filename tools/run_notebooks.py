"""Run the notebooks.

    python tools/run_notebooks.py [--small] [NAME ...]

A full run saves the output of the cells. With `--small`, the same cells run in seconds and nothing is saved.
"""

import argparse
import base64
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from utils import InputError
from utils.evaluation.figures import compress
from utils.files import write_text
from utils.paths import PROJECT
from utils.progress import Progress

NOTEBOOKS = PROJECT / "notebooks"
METADATA = {  # of every saved notebook
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def main(arguments: list[str] | None = None) -> None:
    """Run notebooks. Exit status 2 if one fails or the input is bad, 130 if interrupted."""
    parser = argparse.ArgumentParser(description="Run the notebooks and save them.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="for example 00_the_data, or solutions/01_log_mel (default: all)"
    )
    parser.add_argument("--small", action="store_true", help="run the same cells in seconds and save nothing")
    given = parser.parse_args(arguments)
    try:
        run(given.names, given.small)
    except InputError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def run(names: Sequence[str] = (), small: bool = False) -> None:
    """Execute notebooks from top to bottom, each in a new kernel, with a progress bar.

    Args:
        names: of files in `notebooks/` and of `solutions/NAME`, with or without the suffix; empty: all of them.
        small: set SDR_SMALL for the cells, and save nothing.

    Raises:
        InputError: there is no such notebook; or some have failed, which are not saved. Raised after all have run, with
            one line for each failed notebook.
    """
    found = sorted(NOTEBOOKS.glob("*.ipynb")) + sorted(NOTEBOOKS.glob("solutions/*.ipynb"))
    paths = {path.relative_to(NOTEBOOKS).with_suffix("").as_posix(): path for path in found}
    for name in names:
        if name.removesuffix(".ipynb") not in paths:
            raise InputError(f"unknown notebook '{name}'; known are {', '.join(paths)}")
    chosen = [paths[name.removesuffix(".ipynb")] for name in names] or list(paths.values())
    notebooks = {path: nbformat.read(path, as_version=4) for path in chosen}
    failures = []
    with Progress(total=sum(len(notebook.cells) for notebook in notebooks.values()), unit="cell") as bar:
        for path, notebook in notebooks.items():
            bar.set_description(path.stem)
            failure = _execute(notebook, path.parent, small, bar)
            if failure:
                failures.append(f"{path.relative_to(NOTEBOOKS).as_posix()}, {failure}")
            elif not small:
                write_text(path, nbformat.writes(_clean(notebook)) + "\n")
    if failures:
        raise InputError("\n".join(failures))


def _execute(notebook, folder: Path, small: bool, bar: Progress) -> str | None:
    """Run the cells of a notebook in place. Returns None, or a line with the failed cell and its error."""
    # more threads slow down small models, and make sums depend on the number of threads
    environment = os.environ | {"SDR_SMALL": "1" if small else "", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (str(PROJECT), os.environ.get("PYTHONPATH"))))
    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        extra_arguments=["--IPKernelApp.log_level=ERROR"],  # hide the warning about the connection to the kernel
        resources={"metadata": {"path": str(folder)}},
        coalesce_streams=True,
        record_timing=False,
        store_widget_state=False,
    )
    number = 0  # of the code cell, as Jupyter counts
    try:
        with client.setup_kernel(env=environment):
            for index, cell in enumerate(notebook.cells):
                number += cell.cell_type == "code"
                client.execute_cell(cell, index)
                bar.update()
    except CellExecutionError as error:
        return " ".join(f"cell {number}: {error.ename}: {error.evalue}".split())
    except DeadKernelError:
        return f"cell {number}: the kernel died"
    return None


def _clean(notebook):
    """Remove what differs between runs and machines (versions, time stamps), and compress the pictures."""
    notebook.metadata = METADATA
    for cell in notebook.cells:
        cell.metadata = {key: cell.metadata[key] for key in ("tags", "nbgrader") if key in cell.metadata}
        for data in (output.get("data", {}) for output in cell.get("outputs", [])):
            if "image/png" in data:
                data["image/png"] = base64.b64encode(compress(base64.b64decode(data["image/png"]))).decode()
    return notebook


if __name__ == "__main__":
    main()
