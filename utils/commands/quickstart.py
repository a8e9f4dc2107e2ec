"""`sdr quickstart`: the first two minutes."""

import argparse

HELP = "fetch the clips, train two models, test them on unseen speakers: about two minutes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(given: argparse.Namespace) -> None:
    from utils.experiments import quickstart

    quickstart.run()
