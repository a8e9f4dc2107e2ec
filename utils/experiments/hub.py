"""Checkpoints on the Hugging Face Hub: downloaded once, or published."""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pooch
import requests

from utils import InputError
from utils.files import read_text
from utils.paths import CACHE

NAME = re.compile(r"[\w.-]+/[\w.-]+")
METADATA = """\
---
pipeline_tag: audio-classification
tags: [spoken-digits]
---
"""  # of a model card; the licence is for the owner to state


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
    address, folder = _address(), _folder(name)
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


def upload(name: str, files: Sequence[Path], card: Path, private: bool = False) -> str:
    """Publish files as a model in one commit; the model is created if it is new.

    Args:
        name: of the model, "owner/name".
        files: each keeps its own name. What the model has besides them stays.
        card: the model card, which becomes its README.md.
        private: if the model is created, only its owner can see it.

    Returns:
        The address of the model.

    Raises:
        InputError: the package huggingface_hub or a token is missing, or the Hub refuses or cannot be reached.
    """
    try:
        from huggingface_hub import CommitOperationAdd, HfApi, errors, get_token
    except ImportError:
        raise InputError("publishing requires huggingface_hub: `pip install huggingface_hub`") from None
    if (token := get_token()) is None:
        raise InputError("no token for the Hugging Face Hub: log in with `hf auth login`, or set HF_TOKEN")
    text = read_text(card)
    added = [CommitOperationAdd(file.name, file) for file in files]
    added.append(
        CommitOperationAdd("README.md", ("" if text.startswith("---\n") else METADATA).encode() + text.encode())
    )
    try:
        hub = HfApi(endpoint=_address(), token=token)
        hub.create_repo(name, private=private or None, exist_ok=True)
        hub.create_commit(name, added, commit_message="A checkpoint with its model card")
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        why = "the token gives no right to write there" if status in (401, 403) else error.server_message or "no reason"
        raise InputError(f"{name}: refused by the Hub ({status}: {why})") from None
    except (errors.HTTPError, OSError, ValueError) as error:  # from the network; from an answer that is not the Hub's
        why = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{name}: not published: is there a network? And is {_address()} the Hub? ({why})") from None
    shutil.rmtree(_folder(name), ignore_errors=True)  # a download of what it was before
    return f"{_address()}/{name}"


def _address() -> str:
    return os.environ.get("HF_ENDPOINT", "https://huggingface.co")


def _folder(name: str) -> Path:
    return CACHE / "hub" / name
