"""Checkpoints: a folder with a trained model and all that is needed to use it, written whole or not at all."""

import json
import pickle
import zipfile
from pathlib import Path

import torch
import yaml
from torch import nn

from utils import InputError
from utils.config import Experiment, load_yaml, make_model, parse_experiment, snapshot
from utils.files import whole_folder
from utils.metadata import COURSE_METADATA, sha256

WEIGHTS, SNAPSHOT, METRICS, CARD = "best_model.pt", "config_snapshot.yaml", "metrics.json", "README.md"
# what reading a file raises that does not hold a model's weights
DAMAGED = (
    zipfile.BadZipFile,
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    TypeError,
    ValueError,
)


def save(folder: str | Path, model: nn.Module, experiment: Experiment, result: dict) -> None:
    """Write a checkpoint.

    Args:
        folder: takes the place of one that is already there.
        model: trained.
        experiment: what it was trained by.
        result: of `utils.experiments.run`, for `metrics.json` and the model card.
    """
    with whole_folder(folder) as new:
        torch.save({"model_state": model.state_dict()}, new / WEIGHTS)
        (new / SNAPSHOT).write_text(yaml.safe_dump(snapshot(experiment), sort_keys=False), encoding="utf-8")
        (new / METRICS).write_text(json.dumps(result["metrics"], indent=1) + "\n", encoding="utf-8")
        (new / CARD).write_text(model_card(experiment, result), encoding="utf-8")


def load(folder: str | Path) -> tuple[nn.Module, Experiment]:
    """Read a checkpoint: the model in evaluation mode, and its experiment, whose `features` it must be given.

    The weights are read as tensors only: a file that holds pickled code is refused, not run.

    Raises:
        InputError: a file is missing or damaged, or weights and snapshot do not belong together.
    """
    folder = Path(folder)
    for name in (WEIGHTS, SNAPSHOT):
        if not (folder / name).is_file():
            raise InputError(f"{folder}: not a checkpoint: it has no {name}")
    experiment = parse_experiment(load_yaml(folder / SNAPSHOT), str(folder / SNAPSHOT), folder.name)
    model = make_model(experiment)
    try:
        with zipfile.ZipFile(folder / WEIGHTS) as parts:  # torch.load does not look at the checksums
            if parts.testzip() is not None:
                raise zipfile.BadZipFile("a checksum is wrong")
        state = torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True)["model_state"]
        model.load_state_dict(state)
    except DAMAGED as error:
        why = str(error).strip().splitlines()[:1]
        raise InputError(f"{folder / WEIGHTS}: not a file of weights, or a damaged one ({''.join(why)})") from None
    except RuntimeError as error:
        damaged = "zip" in str(error) or "archive" in str(error)
        why = "a damaged file" if damaged else f"its weights do not fit the model that {SNAPSHOT} describes"
        raise InputError(f"{folder / WEIGHTS}: {why}") from None
    return model.eval(), experiment


CARD_TEXT = """\
# {name}: spoken digits 0-9

A `{model}` of {parameters:,} parameters on {n_mels} log-mels of {sample_rate} Hz audio. Trained by the protocol
{protocol} (seed {seed}) on {clips:,} clips of {corpus}{voices}; speakers: {speakers}.

| tested on | speakers, never heard in training | clips | accuracy | macro F1 |
|---|---|---|---|---|
{rows}

`sdr predict` and `sdr evaluate` take this folder; `config_snapshot.yaml` holds the whole configuration.

**Intended use.** Teaching and demonstrations, on short clips of one digit spoken close to a microphone.

**Limits.** Trained on few adult voices. It always answers with a digit, to other words and to noise as well.
Nothing that matters should depend on it.
"""


def model_card(experiment: Experiment, result: dict) -> str:
    """The checkpoint's README.md: what it is, how well it does and on whom, what it is not for."""
    rows = [
        f"| {name} | {', '.join(m['per_speaker'])} | {m['n']} | {m['accuracy']:.3f} | {m['macro_f1']:.3f} |"
        for name, m in result["metrics"].items()
    ]
    of_course = result["metadata_sha256"] == sha256(COURSE_METADATA)
    return CARD_TEXT.format(
        name=experiment.name,
        model=experiment.model_name,
        parameters=result["parameters"],
        n_mels=experiment.features.n_mels,
        sample_rate=experiment.features.sample_rate,
        protocol=result["protocol"],
        seed=result["seed"],
        clips=result["train_clips"],
        corpus="the Free Spoken Digit Dataset (CC BY-SA 4.0)" if of_course else Path(experiment.data.metadata).name,
        voices=f" and of {voices} synthetic voices (eSpeak NG)" if (voices := experiment.data.synthetic_voices) else "",
        speakers=", ".join(result["train_speakers"]),
        rows="\n".join(rows),
    )
