"""Checkpoints: a folder with a trained model and all that is needed to use it, written whole or not at all."""

import json
import os
import pickle
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import pooch
import requests
import torch
import yaml
from torch import nn

from utils import InputError
from utils.config import Experiment, build, load_yaml, make_model, parse_experiment, snapshot
from utils.files import whole_folder, write_whole
from utils.metadata import PROJECT
from utils.rejection import Calibration

WEIGHTS, SNAPSHOT, METRICS, CARD = "best_model.pt", "config_snapshot.yaml", "metrics.json", "README.md"
CALIBRATION = "calibration.json"  # only where the model has been calibrated
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
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

    The weights are read as tensors only: a file that holds pickled code is refused, not run. Checkpoints of the layout
    of fergarciadlc/audio-mnist-cnn can be read as well.

    Args:
        folder: or what else `find` takes.

    Raises:
        InputError: a file is missing or damaged, weights and snapshot do not belong together, or the Hub cannot be
            reached.
    """
    folder = find(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: not a checkpoint: there is no such folder")
    for name in (WEIGHTS, SNAPSHOT):
        if not (folder / name).is_file():
            raise InputError(f"{folder}: not a checkpoint: it has no {name}")
    values, where = load_yaml(folder / SNAPSHOT), str(folder / SNAPSHOT)
    published = "dataset" in values
    experiment = published_experiment(values, where) if published else parse_experiment(values, where, folder.name)
    model = make_model(experiment)
    try:
        with zipfile.ZipFile(folder / WEIGHTS) as parts:  # torch.load does not look at the checksums
            if parts.testzip() is not None:
                raise zipfile.BadZipFile("a checksum is wrong")
        state = torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True)["model_state"]
        model.load_state_dict(_renamed(state) if published else state)
    except DAMAGED as error:
        why = str(error).strip().splitlines()[:1]
        raise InputError(f"{folder / WEIGHTS}: not a file of weights, or a damaged one ({''.join(why)})") from None
    except RuntimeError as error:
        damaged = "zip" in str(error) or "archive" in str(error)
        why = "a damaged file" if damaged else f"its weights do not fit the model that {SNAPSHOT} describes"
        raise InputError(f"{folder / WEIGHTS}: {why}") from None
    return model.eval(), experiment


def find(name: str | Path) -> Path:
    """The folder of a checkpoint: `name` itself, or where a model of the Hugging Face Hub was downloaded to.

    A name is one of the Hub, as "owner/name", where there is neither such a folder nor one that it would lie in. The
    model is downloaded once and kept in `.cache/`. Raises `InputError` where the Hub cannot be reached.
    """
    folder = Path(name)
    is_there = folder.exists() or folder.parent.exists()
    return folder if is_there or not HUB_NAME.fullmatch(str(name)) else _from_hub(str(name))


def load_calibration(folder: str | Path, experiment: Experiment) -> Calibration:
    """A checkpoint's temperature and threshold; those that change nothing where it has none.

    Whether there is an eleventh answer follows from the experiment.

    Raises:
        InputError: the file is damaged.
    """
    path = Path(folder) / CALIBRATION
    others = experiment.data.learns_others
    if not path.is_file():
        return Calibration(others)
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise InputError(f"{path}: not JSON, or damaged") from None
    return replace(build(Calibration, values, str(path)), others=others)


def save_calibration(folder: str | Path, calibration: Calibration) -> None:
    """Put a temperature and a threshold beside a checkpoint."""
    values = {"temperature": calibration.temperature, "threshold": calibration.threshold}
    text = json.dumps(values, indent=1) + "\n"
    write_whole(Path(folder) / CALIBRATION, lambda path: path.write_text(text, encoding="utf-8"))


def published_experiment(values: dict, where: str) -> Experiment:
    """The experiment that a snapshot in the layout of fergarciadlc/audio-mnist-cnn describes.

    Its sections are `dataset`, `features` (of `audio`, `stft`, `mel`, `normalization`), `model` (of `backbone`, `head`,
    `output`) and `training`. Raises `InputError` where one describes something that `CNN2d` and `LogMel` are not.
    """
    try:
        features, model, training = values["features"], values["model"], values.get("training", {})
        audio, stft, mel, norm = (features[part] for part in ("audio", "stft", "mel", "normalization"))
        backbone, head, callbacks = model["backbone"], model["head"], training.get("callbacks") or {}
        for what, given, known in (
            ("features.type", features.get("type"), "mel_spectrogram_db"),
            ("features.mel.power", mel.get("power", 2.0), 2.0),
            ("features.normalization.strategy", norm["strategy"], "fixed"),
            ("model.backbone.kernels", backbone.get("kernels", 3), 3),
            ("model.backbone.batch_norm", backbone.get("batch_norm", True), True),
        ):
            if given != known:
                raise InputError(f"{where}: {what} is {given!r}; only {known!r} can be rebuilt")
        sections = {
            "data": {
                "metadata": "speech_data/audiomnist/metadata.tsv",
                "protocol": "ratio",
                "fold": str(values["dataset"]["split"]["seed"]),
            },
            "features": {
                "sample_rate": audio["sample_rate"],
                "seconds": audio["fixed_duration_sec"],
                **{name: stft[name] for name in ("n_fft", "win_length", "hop_length")},
                "n_mels": mel["n_mels"],
                "f_min": mel["fmin"],
                "f_max": mel["fmax"],
                "range_db": 80.0,
                "least_power": 1e-10,
                "trim_db": None,
                "mean_db": norm["mean"],
                "std_db": norm["std"],
            },
            "model": {
                "name": "cnn2d",
                "channels": backbone["filters"],
                "hidden": head["units"],
                "dropout": head.get("dropout", 0.3),
                "classes": model["output"]["num_classes"],
            },
            "training": {
                "epochs": training.get("epochs", 30),
                "batch_size": training.get("batch_size", 64),
                "learning_rate": training.get("learning_rate", 1e-3),
                "weight_decay": 0,
                "clip_norm": None,
                "schedule": "plateau",
                "patience": callbacks.get("early_stopping", {}).get("patience", 8),
                "label_smoothing": 0,
            },
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(f"{where}: not a snapshot of a known layout ({type(error).__name__}: {error})") from None
    return parse_experiment(sections, where, str(values.get("name", "audio-mnist-cnn")))


def _renamed(state: dict) -> dict:
    """Weights of the published layout under the names of `CNN2d`: its classifier's two linear layers."""
    layers = sorted({int(name.split(".")[1]) for name in state if name.startswith("classifier.")})
    if len(layers) != 2:
        raise LookupError(f"the classifier has {len(layers)} layers with weights, not 2")
    names = {f"classifier.{layers[0]}.": "hidden.1.", f"classifier.{layers[1]}.": "head.1."}
    for old, new in names.items():
        state = {name.replace(old, new): weight for name, weight in state.items()}
    return state


def _from_hub(name: str) -> Path:
    """The folder that a model of the Hugging Face Hub has been downloaded to."""
    address, folder = os.environ.get("HF_ENDPOINT", "https://huggingface.co"), PROJECT / ".cache" / "hub" / name
    pooch.get_logger().setLevel("WARNING")  # it would advise to pin a sum, and a model has none
    if (folder / WEIGHTS).exists():
        return folder
    for file in (CALIBRATION, SNAPSHOT, WEIGHTS):  # the weights last: where they are, all is there
        url = f"{address}/{name}/resolve/main/{file}"
        try:
            pooch.retrieve(url, known_hash=None, path=folder, fname=file)
        except requests.RequestException as error:
            answer = getattr(error.response, "status_code", None) or type(error).__name__
            if (file, answer) == (CALIBRATION, 404):  # not every model has one
                continue
            raise InputError(f"{name}: no such folder, and not to be had from the Hub ({url}: {answer})") from None
    return folder


CREDITS = {  # of corpora that are known, by the table's name; other corpora are called as their table is
    "SDR_metadata": "the Free Spoken Digit Dataset (CC BY-SA 4.0)",
    "arabic": "Arabic Speech Commands (CC BY 4.0)",
    "arabic_others": "other words of Arabic Speech Commands (CC BY 4.0)",
    "audiomnist_02": "AudioMNIST (MIT)",
}
CARD_TEXT = """\
# {name}: spoken digits 0-9

A `{model}` of {parameters:,} parameters on {n_mels} log-mels of {sample_rate} Hz audio. Trained by the protocol
{protocol} (seed {seed}) on {clips:,} clips of {corpora}; speakers: {speakers}.

| tested on | speakers, never heard in training | clips | accuracy | macro F1 |
|---|---|---|---|---|
{rows}

`sdr predict` and `sdr evaluate` take this folder; `config_snapshot.yaml` holds the whole configuration.

**Intended use.** Teaching and demonstrations, on short clips of one digit spoken close to a microphone.

**Limits.** Trained on few adult voices. {others}
Nothing that matters should depend on it.
"""
OTHERS = {
    False: "It always answers with a digit, to other words and to noise as well.",
    True: "It has learned to tell what is no digit, and is mistaken now and then (notebooks/08_use_it).",
}


def model_card(experiment: Experiment, result: dict) -> str:
    """The checkpoint's README.md: what it is, how well it does and on whom, what it is not for."""
    rows = [
        f"| {name} | {', '.join(m['per_speaker'])} | {m['n']} | {m['accuracy']:.3f} | {m['macro_f1']:.3f} |"
        for name, m in result["metrics"].items()
    ]
    data = experiment.data
    names = [Path(table).stem for table in (data.metadata, *data.also_train, *data.not_digits)]
    corpora = [CREDITS.get(name, name) for name in names]
    if data.synthetic_voices:
        corpora.append(f"{data.synthetic_voices} synthetic voices (eSpeak NG)")
    if data.synthetic_others:
        corpora.append("other words of synthetic voices, and noises")
    return CARD_TEXT.format(
        name=experiment.name,
        model=experiment.model_name,
        parameters=result["parameters"],
        n_mels=experiment.features.n_mels,
        sample_rate=experiment.features.sample_rate,
        protocol=result["protocol"],
        seed=result["seed"],
        clips=result["train_clips"],
        corpora=", ".join(corpora),
        others=OTHERS[experiment.data.learns_others],
        speakers=", ".join(result["train_speakers"]),
        rows="\n".join(rows),
    )
