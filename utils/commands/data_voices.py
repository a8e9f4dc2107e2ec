"""`sdr data voices`: which synthetic words and voices models of the other engines understand."""

import argparse
import json
import sys

HELP = "find synthetic words that are probably mispronounced, and voices that do not pass for people"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("language", metavar="LANGUAGE", help="ISO 639-1 code of a language in the archive, such as en")
    add("--write", action="store_true", help="write them to the archive's list, for the setting synthetic_understood")
    add("--json", action="store_true", help="print JSON, with all words and voices")
    parser.epilog = "Exit status: 0 if all are understood, 1 if some are not, 2 if the language cannot be checked."


def run(given: argparse.Namespace) -> None:
    from utils.applications.synthesis_check import check_synthesis, write_list
    from utils.data.synthesis.archive import ARCHIVE, NOT_UNDERSTOOD

    report = check_synthesis(given.language)
    if given.write:
        write_list(report, ARCHIVE / given.language / NOT_UNDERSTOOD)
    print(json.dumps(report.to_dict(), indent=1, ensure_ascii=False) if given.json else report)
    if len(report.mispronounced()) or len(report.failing_voices()):
        sys.exit(1)
