"""`sdr push`: publish a checkpoint on the Hugging Face Hub."""

import argparse
from pathlib import Path

from utils import InputError

HELP = "publish a checkpoint with its model card on the Hugging Face Hub"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("model", metavar="OWNER/NAME", help="name of the model on the Hub; it is created if it is new")
    add("checkpoint", nargs="?", type=Path, help="a folder (default: checkpoints/digits)")
    add("--private", action="store_true", help="a new model can be seen by its owner only")


def run(given: argparse.Namespace) -> None:
    from utils.experiments import checkpoints, hub
    from utils.experiments.checkpoint_folder import CARD, DEFAULT, EXPORTED, FILES, METRICS, is_exported_current
    from utils.files import read_json

    if not hub.NAME.fullmatch(given.model):
        raise InputError(f"'{given.model}' is not the name of a model: expected OWNER/NAME")
    folder = given.checkpoint or DEFAULT
    if not folder.is_dir():
        raise InputError(f"{folder}: not a checkpoint: no such folder")
    checkpoints.load_recogniser(folder)  # nothing damaged is published
    if (folder / METRICS).exists():
        read_json(folder / METRICS)
    if (folder / EXPORTED).exists() and not is_exported_current(folder):
        raise InputError(
            f"{folder / EXPORTED}: damaged, or not of these weights; `sdr export {folder} --keep` makes it anew"
        )
    if not (folder / CARD).is_file():
        raise InputError(f"{folder}: has no model card ({CARD}), without which nobody knows what it is good for")
    files = [folder / name for name in FILES if name != CARD and (folder / name).is_file()]
    print(hub.upload(given.model, files, folder / CARD, given.private))
