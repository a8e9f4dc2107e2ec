"""`sdr report`: update the tables of the README, `docs/` and the notebooks from the results."""

import argparse
import json

from utils import InputError

HELP = "update the tables of the README, docs/ and the notebooks from the results"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--check", action="store_true", help="change nothing; fail if a table does not match the results")
    add("--json", action="store_true", help="print the rows as JSON and change nothing")
    add(
        "--with",
        dest="also",
        metavar="NAME",
        help="print the tables with a row for this experiment, and change nothing",
    )

    parser.set_defaults(tables=())


def run(given: argparse.Namespace) -> None:
    from utils.evaluation.tables import by_condition, load_tables
    from utils.experiments import reporting

    if given.check and (given.also or given.json):
        raise InputError("--check cannot be combined with --with or --json")
    names = reporting.tables_with(given.also) if given.also else list(load_tables())
    names = [name for name in names if name in given.tables] or names
    also = [given.also] if given.also else []
    if given.json:
        rows = [row for name in names for row in reporting.rows(name, also=also)]
        print(json.dumps([condition for row in rows for condition in by_condition(row)], indent=1))
        return
    changed = [] if given.also else reporting.update(given.check)
    if not given.check:
        for name in names:
            print(reporting.markdown(name, also=also), end="\n\n")
    if not given.also:
        print("all tables match the results" if not changed else f"updated: {', '.join(changed)}")
