"""`sdr quickstart`: train and test two models in about two minutes."""

import argparse

HELP = "download the clips, train two models and test them on unseen speakers, in about two minutes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(given: argparse.Namespace) -> None:
    from utils.applications import quickstart

    quickstart.run()
