"""`sdr reproduce`: the runs that the tables lack, and then the tables."""

import argparse

from utils.commands import arguments

HELP = "run all that the tables need and has not been run, then render them"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("tables", nargs="*", metavar="TABLE", help="as course or loso; an unknown name lists them all (default: all)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--model", help="only this model's rows")
    which.add_argument("--with", dest="also", metavar="NAME", help="only this experiment, which no table has to name")
    add("--seeds", type=arguments.positive, help="how many seeds, at most those of the tables (default: all of them)")
    add("--jobs", type=arguments.positive, help="runs at a time (default: one a core)")
    add("--again", action="store_true", help="also what has been run already")


def run(given: argparse.Namespace) -> None:
    from utils.commands import report
    from utils.experiments.reproducing import reproduce

    reproduce(given.tables, given.model, given.also, given.seeds, given.jobs, given.again)
    report.run(argparse.Namespace(check=False, json=False, also=given.also))
