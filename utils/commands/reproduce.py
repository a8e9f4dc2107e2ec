"""`sdr reproduce`: make the missing runs of the tables, then update the tables."""

import argparse

from utils import InputError
from utils.commands import arguments

HELP = "make the missing runs of the tables, then update the tables"
RESUMES = True
TABLES = (  # of utils/evaluation/tables.yaml
    "course",
    "loso",
    "inside-train",
    "ablation",
    "contrastive",
    "labels",
    "george",
    "one-speaker",
    "george-labels",
    "arabic-one",
    "corpora",
    "arabic",
    "zero",
    "zero-ablation",
    "noise",
    "strings",
    "rejection",
    "peers",
)
PEERS = "peers"  # the table whose name also stands for the tests of off-the-shelf recognisers


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "tables",
        nargs="*",
        metavar="TABLE",
        help=f"any of {', '.join(TABLES)} (default: all)",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--model", help="only this model's rows")
    which.add_argument("--with", dest="also", metavar="NAME", help="only this experiment, even if no table names it")
    add("--seeds", type=arguments.whole(), help="number of seeds, at most that of the tables (default: all of them)")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--jobs", type=arguments.jobs, help="runs in parallel (default: one per core)")
    where.add_argument("--scheduler", metavar="ADDRESS", help="have the workers of a Dask cluster make the runs")
    add("--again", action="store_true", help="repeat runs that have been made already")
    add(
        "--clips",
        type=arguments.whole(),
        help="clips of each test that the peers get, drawn by a seed (default: all)",
    )


def run(given: argparse.Namespace) -> None:
    from utils.commands import report
    from utils.experiments import reporting
    from utils.experiments.peer_results import reproduce_peers
    from utils.experiments.reproducing import reproduce

    if PEERS in given.tables:
        if given.tables != [PEERS] or given.also or given.seeds or given.jobs or given.scheduler:
            raise InputError(f"`sdr reproduce {PEERS}` has no other options than --model, --clips and --again")
        reproduce_peers(given.model, given.clips, given.again)
    elif given.clips:
        raise InputError(f"--clips is an option of `sdr reproduce {PEERS}`")
    else:
        reproduce(given.tables, given.model, given.also, given.seeds, given.jobs, given.again, given.scheduler)
    report.run(argparse.Namespace(check=False, json=False, also=given.also, tables=given.tables))
    if PEERS in given.tables:
        print(f"wrote {reporting.draw_costs()}")
