"""What is fuzzed and killed: a small corpus, sounds of all formats, a network, its state and cache, results."""

import gc
import hashlib
import importlib
import io
import os
import pkgutil
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import made_recordings
import pytest
import soundfile
import torch
import trials
import yaml
from conftest import Corpus, give_defaults, settings, speak, use_table

import utils.evaluation.figures
from utils import InputError
from utils.commands import main
from utils.data.metadata import read_metadata
from utils.evaluation.tables import Column, Table
from utils.experiments import calibrating, clips, fitting, reporting, reproducing, runs, stages
from utils.experiments.checkpoints import save_calibration
from utils.features.cache import MEMORY
from utils.features.extraction import clip_features
from utils.features.log_mel import FeatureConfig
from utils.inference.calibration import Calibration
from utils.training import loop

NETWORK = {
    "model": {"channels": [8, 8], "dropout": 0.1},
    "training": {"epochs": 2, "batch_size": 16, "ema_decay": 0.9},
    "data": {"repetitions": 1},
    "augmentation": {"gain_db": [-6.0, 6.0]},
}


@dataclass(frozen=True)
class Base:
    """Whatever a trial starts from. Nothing in it is ever changed."""

    folder: Path  # of the clips
    metadata: Path
    table: str  # the metadata, with absolute paths
    sounds: list[Path]  # one of each format that libsndfile writes
    recordings: list[Path]  # of phones, and videos; without FFmpeg, none
    settings: dict  # of the network
    config: Path  # the same, as a file
    configs: list[dict]  # the settings of experiments of all kinds
    checkpoint: Path
    interrupted: Path  # the runs of a training that was killed after its first epoch
    cache: Path  # of the features that it needs
    features: str  # a checksum of them
    weights: str  # of the training if nothing disturbs it (see `weights_of`)
    project: Path  # results and a document with a table of them

    def use(self, project: Path) -> None:
        """Make `sdr report` and `sdr reproduce` of this process work in a copy of the project."""
        patch, store = pytest.MonkeyPatch(), project / "results" / "runs"
        give_defaults(patch, runs.run, store=store, runs=project / "runs")
        give_defaults(patch, runs.checkpoint_folder, runs=project / "runs")
        give_defaults(patch, calibrating.calibrate, store=store)
        give_defaults(patch, reproducing.reproduce, store=store)
        patch.setattr(reproducing, "RUNS", project / "runs")
        for function in (reporting.rows, reporting.markdown, reporting.tables_with):
            give_defaults(patch, function, store=store)
        for function in (reporting.update, reporting.draw_costs):
            give_defaults(patch, function, store=store, project=project)
        patch.setattr("utils.evaluation.results.STORE", store)
        patch.setattr("utils.paths.RUNS", project / "runs")
        columns = tuple(
            Column(name, name) for name in ("accuracy", "macro_f1", "parameters", "train_seconds", "command")
        )
        use_table(patch, Table("made", "loso", columns, {"little": 2}, ("eve", "finn")))
        for module in (reporting, reproducing):
            patch.setattr(module, "CONFIGS", self.config.parent / "configs")
        MEMORY.store_backend.location = str(project / "cache")


def make_base(corpus: Corpus, folder: Path) -> Base:
    """Prepare everything, in child processes: after work in several threads, this one could not be forked."""
    for module in pkgutil.walk_packages(utils.__path__, "utils."):
        importlib.import_module(module.name)  # or each trial would import what it needs
    importlib.import_module("torch._dynamo")  # as optimisers do, which takes longer than the training
    table = corpus.clips.assign(file=corpus.clips["path"]).drop(columns="path").to_csv(sep="\t", index=False)
    config = folder / "tiny.yaml"
    own = settings(corpus, "cnn1d", **NETWORK)
    config.write_text(yaml.safe_dump(own))
    (folder / "configs").mkdir()
    (folder / "configs" / "little.yaml").write_text(yaml.safe_dump(settings(corpus)))
    project = folder / "project"
    project.mkdir()
    (project / "README.md").write_text("# Made\n<!-- table made -->\n<!-- end of table -->\n")
    finished, interrupted, cache = folder / "finished", folder / "interrupted", folder / "cache"
    base = Base(
        corpus.folder, corpus.metadata, table, _sounds(folder), _recordings(folder), own, config, _configs(corpus),
        finished / "tiny" / "course-repetitions-1" / "seed-0", interrupted, cache, "", "", project,
    )  # fmt: skip

    def reproduce() -> None:
        base.use(project)
        main.main(["reproduce", "made", "--jobs", "1"])

    def train() -> None:
        train_here(config, finished, cache)
        save_calibration(base.checkpoint, Calibration(temperature=0.8, threshold=0.3))
        main.main(["export", str(base.checkpoint), "--keep"])

    actions = [train, lambda: save_features(corpus.metadata, cache), reproduce]
    for number, action in enumerate(actions):
        (place := folder / f"made-{number}").mkdir()
        outcome = trials.run(action, place, 300)
        assert outcome.status == 0, outcome
    (place := folder / "killed").mkdir()
    assert trials.run(lambda: _train_one_epoch(config, interrupted, cache), place, 300).status == -signal.SIGKILL
    assert list(interrupted.rglob("*.state"))
    gc.freeze()  # or each trial would copy the memory of all modules
    return replace(base, weights=weights_of(finished), features=(folder / "made-1" / "features").read_text())


def _sounds(folder: Path) -> list[Path]:
    """The same word in every format and subtype that libsndfile can write."""
    made, clip = [], speak(7, "eve", 0)
    for kind in soundfile.available_formats():
        for subtype in soundfile.available_subtypes(kind):
            path = folder / f"{kind}-{subtype}.{kind.lower().replace('wavex', 'wav')}"
            try:
                soundfile.write(path, clip, 8000, format=kind, subtype=subtype)
            except (soundfile.SoundFileError, AssertionError, TypeError, ValueError):
                path.unlink(missing_ok=True)  # not with one channel, or not at this rate
            else:
                made.append(path)
    usual = [path for path in made if path.name.startswith(("WAV-PCM_16", "FLAC-PCM_16", "OGG-VORBIS", "MP3-"))]
    return [*usual, *sorted(made)]


def _recordings(folder: Path) -> list[Path]:
    if not made_recordings.FFMPEG:
        return []
    clip = speak(7, "eve", 0)
    return [made_recordings.encode(folder / f"recording-{kind}", clip, kind) for kind in made_recordings.KINDS]


def _configs(corpus: Corpus) -> list[dict]:
    """Experiments of every stage that there is."""
    return [
        settings(corpus),
        settings(corpus, "cnn1d", **NETWORK),
        settings(
            corpus, "cnn1d", data={"protocol": "one-speaker", "fold": "ada", "unlabelled": True, "repetitions": 1},
            self_training={"rounds": [0.5]}, training={"mixup": 0.2, "label_smoothing": 0.1, "patience": 2},
        ),
        settings(corpus, "gru", augmentation={"speed": [0.9, 1.1], "noise_snr_db": [5.0, 30.0]}, model={"hidden": 8}),
        settings(corpus, "vit", pretraining={"epochs": 1, "contrastive": {"loss": "nt-xent"}}),
        settings(corpus, "resnet", model={"channels": [4, 4]}),
        settings(corpus, "crnn", features={"trim_db": None, "level": "none"}, strings={"number": 16, "most_words": 2}),
    ]  # fmt: skip


def train_here(
    config: Path,
    runs: Path = Path("runs"),
    cache: Path = Path("cache"),
    most_epochs: int = 999,
) -> None:
    """`sdr train` with all that it writes in the current folder, but no figures: they take longer than the training."""
    MEMORY.store_backend.location = str(cache.absolute())
    shorten(most_epochs)
    utils.evaluation.figures.save_run = lambda *given: None
    main.main(["train", str(config), "--runs", str(runs), "--store", "store"])


def save_features(metadata: Path, cache: Path) -> None:
    """Write a checksum of all features to the file `features`; they come from the cache if they are there."""
    MEMORY.store_backend.location = str(cache)
    features, _ = clip_features(read_metadata(metadata), FeatureConfig(n_mels=20))
    Path("features").write_text(hashlib.sha256(torch.cat(features).numpy().tobytes()).hexdigest())


def shorten(epochs: int) -> None:
    """Let no training of this process take long: a config may rightly ask for a year."""

    def train(model: torch.nn.Module, objective: Any, config: loop.Optimisation, **given: Any) -> list[dict]:
        weights = sum(weight.numel() for weight in model.parameters())
        if epochs < 9 and (weights > 1_000_000 or config.batch_size > 999):
            raise InputError("the config is right, but too large for this test")
        return loop.train(model, objective, replace(config, epochs=min(config.epochs, epochs), min_steps=0), **given)

    def refuse(*given: object, **named: object) -> Any:
        raise InputError("the config is right; it is not run in this test")

    for module in (fitting, stages):
        module.train = train  # type: ignore[attr-defined]
    synthetic = ("synthetic_voices", "synthetic_speech", "synthetic_non_digits", "synthetic_music")
    for name in (*synthetic, "noise_clips", "word_clips"):
        setattr(clips, name, refuse)
    stages.word_clips = refuse  # type: ignore[attr-defined]
    without_network()


def without_network() -> None:
    """Let every connection of this process fail at once."""

    def connect(*given: object) -> None:
        raise OSError("no network in this test")

    socket.socket.connect = connect  # type: ignore[method-assign, assignment]


def _train_one_epoch(config: Path, runs: Path, cache: Path) -> None:
    write: Callable = loop.write_atomically

    def write_and_die(path: Path, content: Callable) -> None:
        write(path, content)
        os.kill(os.getpid(), signal.SIGKILL)

    loop.write_atomically = write_and_die
    train_here(config, runs, cache)


def weights_of(runs: Path) -> str:
    """A checksum of the weights in the one checkpoint of a folder of runs; its file may have been written anew.

    A temporary folder that a kill left beside it does not count.
    """
    (path,) = runs.glob("*/*/seed-*/best_model.pt")
    state = torch.load(path, weights_only=True)["model_state"]
    content = io.BytesIO()
    for name, weight in sorted(state.items()):
        content.write(f"{name} {weight.dtype} {tuple(weight.shape)}".encode() + weight.numpy().tobytes())
    return hashlib.sha256(content.getvalue()).hexdigest()
