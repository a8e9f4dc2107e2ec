"""`sdr compare`: which of several models is better, on the same clips."""

import argparse
import json
from pathlib import Path

from utils import InputError

HELP = "tell which of several models is better, on the same clips"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "models",
        nargs="+",
        metavar="MODEL",
        help="a checkpoint, a folder of checkpoints or of results by seed, a result, or a model of the tables",
    )
    add("--table", default="course", help="the table whose runs are compared (default: %(default)s)")
    add(
        "--split",
        default="TEST",
        help="the test set: TEST, DEV, or another one that all have results on, such as arabic (default: %(default)s)",
    )
    add("--metadata", type=Path, help="TSV file of the clips on which checkpoints are tested (default: their own)")
    add("--root", type=Path, help="the folder of these clips (default: that of the TSV file)")
    add("--html", type=Path, metavar="FILE", help="also write a web page, with players of the clips that differ")
    add("--json", action="store_true", help="print JSON")


def run(given: argparse.Namespace) -> None:
    from utils.applications.comparison.compare import compare
    from utils.applications.comparison.report import text, write_page
    from utils.evaluation import results
    from utils.evaluation.tables import load_tables
    from utils.files import check_target
    from utils.settings import nearest

    tables = load_tables()
    if given.table not in tables:
        raise InputError(f"unknown table '{given.table}'; {nearest(given.table, tables)}")
    if given.root is not None and given.metadata is None:
        raise InputError("--root says where the clips of --metadata are, so it needs --metadata")
    page, table = given.html, tables[given.table]
    if page is not None:
        check_target(page)
    found = compare(given.models, table, given.split, given.metadata, given.root, results.STORE, files=page is not None)
    if page is not None:
        write_page(found, page)
    print(json.dumps(found.to_dict()) if given.json else text(found))
