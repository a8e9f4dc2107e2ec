"""`sdr language`: from nothing to a model that recognises a language's digits."""

import argparse
from pathlib import Path

from utils import InputError
from utils.commands import arguments

HELP = "speak a language's digits with synthetic voices and train a model on them, in at most 20 minutes"
RESUMES = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("code", metavar="CODE", nargs="?", help="the language, for example pl or bn (--list shows all)")
    add("--list", action="store_true", help="list the languages and the engines that speak them")
    words = "the words for 0 to 9, one a line, or a TSV with a digit and its word per row; several as zero/oh"
    add("--words", metavar="FILE", help=f"{words} (default: words.tsv in the output folder, or those of the language)")
    add("--words-only", action="store_true", help="only show and write the words and how they are pronounced")
    add("--metadata", metavar="TSV", help="recordings to add to training (see docs/your_language.md)")
    add("--output", type=Path, metavar="FOLDER", help="where everything goes (default: runs/language-CODE)")
    add("--speakers", type=arguments.whole(), metavar="N", help="synthetic speakers (default: 200)")


def run(given: argparse.Namespace) -> None:
    if given.list == (given.code is not None):
        raise InputError("name a language, for example `sdr language pl`, or use --list")
    from utils.applications.language import build

    if given.list:
        print(build.list_languages())
        return
    build.build(
        given.code,
        given.output,
        words=given.words,
        metadata=given.metadata,
        speakers=given.speakers or build.SPEAKERS,
        words_only=given.words_only,
    )
