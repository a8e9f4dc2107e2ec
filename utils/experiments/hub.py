"""Checkpoints of the Hugging Face Hub: downloaded once, by their names."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

import pooch
import requests

from utils import InputError
from utils.paths import CACHE

NAME = re.compile(r"[\w.-]+/[\w.-]+")


def download(name: str, required: Sequence[str], optional: Sequence[str] = ()) -> Path:
    """The folder that the files of a model on the Hub, as "owner/name", have been downloaded to.

    Args:
        required: names of files; where the last of them lies, all has been downloaded.
        optional: names of files that not every model has.

    Raises:
        InputError: the Hub cannot be reached, or lacks a required file.
    """
    address, folder = os.environ.get("HF_ENDPOINT", "https://huggingface.co"), CACHE / "hub" / name
    pooch.get_logger().setLevel("WARNING")  # it would advise to pin a checksum, and a model has none
    if (folder / required[-1]).exists():
        return folder
    for file in (*optional, *required):
        url = f"{address}/{name}/resolve/main/{file}"
        try:
            pooch.retrieve(url, known_hash=None, path=folder, fname=file)
        except requests.RequestException as error:
            answer = getattr(error.response, "status_code", None) or type(error).__name__
            if file in optional and answer == 404:
                continue
            raise InputError(f"{name}: no such folder, and the Hub does not have it ({url}: {answer})") from None
    return folder
