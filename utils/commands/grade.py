"""`sdr grade`: what a submitted model is worth on clips that its author has never had."""

import argparse
import json
from pathlib import Path

from utils import InputError
from utils.commands import arguments

HELP = "grade a submitted model on clips that its author has never had"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    what = "a checkpoint, a fork of the repository with one, or a ZIP of either; with --output, a folder of these"
    add("submission", type=Path, help=what)
    columns = "TSV file with the columns identifier, speaker, split, label, file; its split TEST is graded on"
    add("--metadata", type=Path, required=True, metavar="TSV", help=columns)
    add("--root", type=Path, metavar="DIR", help="the folder of the clips (default: that of the TSV file)")
    add(
        "--claimed",
        type=arguments.accuracy,
        metavar="X",
        help="the accuracy that is claimed, from 0 to 1 (default: what the checkpoint's metrics.json states)",
    )
    add("--json", action="store_true", help="print JSON")
    add("--html", type=Path, metavar="FILE", help="also write a web page with pictures, and players of the clips")
    add("--output", type=Path, metavar="CSV", help="grade each submission in a folder; one row each goes to this file")
    add("--jobs", type=arguments.jobs, metavar="N", help="with --output: graded in parallel (default: one per core)")
    add(
        "--seconds",
        type=arguments.whole(1, 86_400),
        default=300,
        help="time limit of the submission's code (default: %(default)s)",
    )
    add(
        "--memory",
        type=arguments.whole(1, 1024),
        default=4,
        metavar="GB",
        help="memory limit of the submission's code (default: %(default)s)",
    )
    parser.epilog = "Exit status: 0 if it was graded, whatever the grade, 2 if it cannot be graded."


def run(given: argparse.Namespace) -> None:
    import joblib

    from utils.applications.grading.grade import grade
    from utils.applications.grading.gradebook import grade_all
    from utils.applications.grading.page import write_page
    from utils.applications.grading.sandbox import Limits
    from utils.applications.grading.text import text
    from utils.data.metadata import read_split
    from utils.files import check_target

    for option in ("html", "json"):
        if given.output is not None and getattr(given, option):
            raise InputError(f"--{option} is for one submission, --output for a folder of them")
    if given.html is not None:
        check_target(given.html)
    clips = read_split(given.metadata, "TEST", given.root)
    limits = Limits(given.seconds, given.memory * 2**30)
    if given.output is not None:
        jobs = given.jobs or joblib.cpu_count()
        table = grade_all(given.submission, clips, given.output, given.claimed, limits, jobs)
        graded = table["problem"] == ""
        print(f"{given.output}: {graded.sum()} graded, {len(table) - graded.sum()} with a problem")
        for row in table[~graded].itertuples():
            print(f"  {row.submission}: {row.problem}")
        return
    outcome = grade(given.submission, clips, given.claimed, limits)
    if given.html is not None:
        write_page(outcome, given.html)
    print(json.dumps(outcome.to_dict()) if given.json else text(outcome))
