"""`sdr data check`: what may be wrong with a corpus, before anybody trains on it."""

import argparse
import json
import sys
from pathlib import Path

HELP = "find faults in a corpus before training on it: leakage, copies, wrong labels, bad recordings"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    columns = "TSV file with the columns identifier, speaker, split, label, file"
    add("table", type=Path, metavar="TSV", help=columns)
    add("--root", type=Path, metavar="DIR", help="the folder of the clips (default: that of the TSV file)")
    add("--html", type=Path, metavar="FILE", help="also write a web page with charts, and players of the clips found")
    add("--json", action="store_true", help="print JSON")
    parser.epilog = "Exit status: 0 if there are no errors, 1 if there are, 2 if the table cannot be used."


def run(given: argparse.Namespace) -> None:
    from utils.applications.corpus_check.check import check_corpus
    from utils.applications.corpus_check.page import write_page
    from utils.files import check_target

    if given.html is not None:
        check_target(given.html)
    report = check_corpus(given.table, given.root)
    if given.html is not None:
        write_page(report, given.html)
    print(json.dumps(report.to_dict(), indent=1) if given.json else report)
    if report.count("error"):
        sys.exit(1)
