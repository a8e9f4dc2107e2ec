"""`sdr demo`: the page that hears you."""

import argparse

from utils.commands import arguments

HELP = "speak a digit: open the demo page, or the Gradio app where there is no Node"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--build", action="store_true", help="build the page anew, with the model of checkpoints/digits")
    add("--port", type=arguments.port, default=8000, help="of this machine (default: %(default)s)")
    add("--no-browser", action="store_true", help="only serve the page, and open no browser")


def run(given: argparse.Namespace) -> None:
    from utils.experiments import page

    page.serve(given.port, build=given.build, browser=not given.no_browser)
