"""Checkpoints of the Hugging Face Hub, downloaded once."""

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
    """Download the files of a model, unless they are in `.cache/` already.

    Args:
        name: of the model, for example "owner/name".
        required: names of files. The last of them is downloaded last and marks a complete download.
        optional: names of files that not every model has.

    Returns:
        The folder of the files.

    Raises:
        InputError: the Hub cannot be reached, or a required file is missing.
    """
    address, folder = os.environ.get("HF_ENDPOINT", "https://huggingface.co"), CACHE / "hub" / name
    pooch.get_logger().setLevel("WARNING")  # hide its advice to pin a checksum, which is not known here
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
            raise InputError(f"{name}: no such folder, and not available on the Hub ({url}: {answer})") from None
    return folder
