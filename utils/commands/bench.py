"""`sdr bench`: speed and memory on this machine."""

import argparse
import json

HELP = "measure speed and memory on this machine"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(given: argparse.Namespace) -> None:
    from utils.applications.benchmark import measure

    measured = measure()
    if given.json:
        print(json.dumps(measured))
    else:
        for name, value in measured.items():
            print(f"{name:24} {value:g}")
