"""`sdr data mixtures`: the course's clips in noise and as strings of digits, as the tables of results test them."""

import argparse
from pathlib import Path

from utils.commands import arguments

HELP = "make the test sets of clips in noise and of strings of digits"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="where they go; each condition is a folder with a metadata.tsv")
    add("--fold", default="a", choices=("a", "b"), help="a: noise of ESC-10; b: of the other corpora (default: a)")
    add("--seed", type=arguments.seed, default=0, help="the same seed gives the same files (default: %(default)s)")


def run(given: argparse.Namespace) -> None:
    from utils.data.corpora.noises import FOLDS
    from utils.data.metadata import read_metadata, verify
    from utils.experiments.mixtures import NOISE, STRINGS, make_mixtures
    from utils.paths import COURSE_METADATA

    clips = read_metadata(COURSE_METADATA)
    clips = clips[clips["split"].isin(["DEV", "TEST"])]
    verify(clips)
    make_mixtures(given.folder, clips, FOLDS[given.fold][1], given.seed)
    print(f"{given.folder}: clips in noise ({', '.join(NOISE)}) and strings of digits ({', '.join(STRINGS)})")
