"""`sdr demo`: the demo page."""

import argparse

from utils.commands import arguments

HELP = "open the demo page to speak a digit, or the Gradio app if Node.js is missing"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--build", action="store_true", help="rebuild the page with the model of checkpoints/digits")
    add("--port", type=arguments.port, default=8000, help="port on localhost (default: %(default)s)")
    add("--no-browser", action="store_true", help="serve the page without opening a browser")


def run(given: argparse.Namespace) -> None:
    from utils.applications import demo

    demo.serve(given.port, build=given.build, browser=not given.no_browser)
