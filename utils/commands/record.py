"""`sdr record`: speakers read digits, and their recordings become a corpus."""

import argparse

from utils.commands import arguments

HELP = "record speakers who read digits, in the browser or in the terminal, as a corpus to train on"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folder", metavar="FOLDER", help="where the clips and their metadata.tsv go; an earlier session is continued")
    add(
        "--repetitions",
        type=arguments.whole(),
        default=5,
        metavar="N",
        help="how often each speaker reads each digit (default: %(default)s)",
    )
    add("--speaker", metavar="NAME", help="who speaks first; a pseudonym will do")
    words = "the words for 0 to 9, one a line, or a TSV with a digit and its word per row (default: English)"
    add("--words", metavar="FILE", help=words)
    add("--split", default="TRAIN", choices=("TRAIN", "DEV", "TEST"), help="for new speakers (default: %(default)s)")
    add("--terminal", action="store_true", help="prompt in the terminal, where there is no browser")
    add("--port", type=arguments.port, default=8001, help="port on localhost (default: %(default)s)")
    add("--no-browser", action="store_true", help="only serve the page, and open no browser")


def run(given: argparse.Namespace) -> None:
    from utils.applications.recording import server, terminal
    from utils.applications.recording.session import Session
    from utils.data.digit_words import read_words

    words = read_words(given.words) if given.words is not None else None
    session = Session(given.folder, words, given.repetitions, given.split)
    if given.speaker is not None:
        session.speaker(given.speaker)  # is the name possible?
    if given.terminal:
        terminal.record(session, given.speaker)
    else:
        server.serve(session, given.port, given.speaker, browser=not given.no_browser)
