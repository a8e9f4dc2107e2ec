"""What was handed in: a checkpoint, a fork of the repository with one, or a ZIP of either."""

import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from utils import InputError
from utils.data.config import DataConfig
from utils.experiments.checkpoints import METRICS, SNAPSHOT, WEIGHTS
from utils.experiments.published import published_experiment
from utils.experiments.renames import current_names
from utils.features.log_mel import FeatureConfig
from utils.files import files_in, read_json, sha256
from utils.paths import CHECKPOINTS, PROJECT
from utils.settings import as_mapping, build, load_yaml
from utils.training.pretraining import PretrainingConfig, WordsConfig

MODELS = "model_neural"
JUDGED = ("utils/data/audio.py", "utils/features", "utils/evaluation", "model_baseline")  # as the grader has them
SKIPPED = {".git", ".venv", "venv", "node_modules", "__pycache__", ".cache", "__MACOSX", "speech_data"}
ENCRYPTED = 1  # a flag of a file in a ZIP
MOST_FILES, MOST_BYTES, MOST_LEVELS = 20_000, 2**30, 100  # of a ZIP, unpacked; levels of folders


@dataclass(frozen=True)
class Submission:
    """A submission.

    Attributes:
        name: of the file or folder that was handed in.
        checkpoint: the folder of its trained model.
        fork: its copy of the repository, if it is one.
        features: the settings of its front end.
        data: what it says that it was trained on.
        words: what it says that it was pre-trained on, if on words.
    """

    name: str
    checkpoint: Path
    fork: Path | None
    features: FeatureConfig
    data: DataConfig
    words: WordsConfig | None

    @property
    def models(self) -> Path | None:
        """The folder of its own networks."""
        return None if self.fork is None else self.fork / MODELS

    def changed(self) -> list[str]:
        """The fork's files that differ from those of this project and that the grader does not use."""
        if self.fork is None or self.fork == PROJECT:
            return []
        ours = [PROJECT / name for name in JUDGED]
        files = [file for place in ours for file in ([place] if place.is_file() else files_in(place))]
        names = [file.relative_to(PROJECT).as_posix() for file in files if file.suffix == ".py"]
        there = [name for name in names if (self.fork / name).is_file()]
        return [name for name in there if sha256(self.fork / name) != sha256(PROJECT / name)]


@contextmanager
def opened(path: Path) -> Iterator[Submission]:
    """The submission in a folder or a ZIP, which is unpacked for as long.

    Raises:
        InputError: in one line that can be sent to the student, why there is nothing to grade.
    """
    if path.is_dir():
        trained = path.name.startswith("seed-")  # by `sdr train`, in a folder named after it and the split
        yield find(path.resolve(), "/".join(path.parts[-3:]) if trained else path.name or str(path))
    elif path.is_file() and zipfile.is_zipfile(path):
        with tempfile.TemporaryDirectory(prefix="sdr-zip-") as folder:
            unpack(path, Path(folder))
            yield find(Path(folder).resolve(), path.name)
    elif path.exists():
        raise InputError(f"{path}: neither a folder nor a ZIP file, or only a part of one")
    else:
        raise InputError(f"{path}: there is no such file or folder")


def unpack(path: Path, folder: Path) -> None:
    """Unpack a ZIP. Raises `InputError` if it is damaged, far too large, or reaches outside the folder."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            if len(members) > MOST_FILES or size > MOST_BYTES:
                raise InputError(
                    f"{path.name}: {len(members):,} files of {size / 2**20:,.0f} MB; at most {MOST_FILES:,} files of "
                    f"{MOST_BYTES / 2**20:,.0f} MB are unpacked. Leave out recordings, caches and .venv"
                )
            if any(len(Path(member.filename).parts) > MOST_LEVELS for member in members):
                raise InputError(
                    f"{path.name}: its folders are nested too deeply; at most {MOST_LEVELS} levels are unpacked"
                )
            for member in members:
                name = member.filename.replace("\\", "/")  # some programs for Windows write backslashes
                target = (folder / name).resolve()
                if not target.is_relative_to(folder.resolve()):
                    raise InputError(f"{path.name}: the file {name[:100]!r} would lie outside the ZIP")
                if name.endswith("/") or stat.S_ISLNK(member.external_attr >> 16):
                    continue
                if target.exists():
                    raise InputError(f"{path.name}: holds {name[:100]!r} twice, so it is not known which one is meant")
                if member.flag_bits & ENCRYPTED:
                    raise InputError(f"{path.name}: is encrypted; hand it in without a password")
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, open(target, "wb") as copy:
                    shutil.copyfileobj(source, copy)
    except InputError:
        raise
    except Exception as error:  # zipfile and its decompressors raise a dozen kinds
        why = " ".join(str(error).replace(f"{folder.resolve()}/", "").split()) or type(error).__name__
        raise InputError(f"{path.name}: the ZIP file cannot be unpacked ({why})") from None


def find(folder: Path, name: str) -> Submission:
    """The submission in a folder: a checkpoint, with the fork that it lies in, or a fork, with the checkpoint in it."""
    if (folder / WEIGHTS).is_file() or (folder / SNAPSHOT).is_file():
        checkpoint, outermost = folder, Path(folder.anchor)
    else:
        checkpoint, outermost = find_checkpoint(folder, name), folder
    around = [place for place in (checkpoint, *checkpoint.parents) if place.is_relative_to(outermost)]
    models = [place / MODELS for place in around]  # a link may lead anywhere
    fork = next((place.parent for place in models if place.is_dir() and not place.is_symlink()), None)
    for needed in (WEIGHTS, SNAPSHOT):
        if not (checkpoint / needed).is_file():
            raise InputError(f"{name}: not a trained model: it has no {needed}; hand in what `sdr train` wrote")
    try:
        features, data, words = read_settings(checkpoint / SNAPSHOT)
    except InputError as error:
        raise InputError(f"{name}: {str(error).replace(f'{checkpoint}/', '')}") from None
    return Submission(name, checkpoint, None if fork == PROJECT else fork, features, data, words)


def find_checkpoint(folder: Path, name: str) -> Path:
    """The one trained model in a fork that is not a copy of this project's."""
    try:
        files = files_in(folder)
    except InputError as error:
        raise InputError(f"{name}: {str(error).removeprefix(f'{folder}: ')}") from None
    weights = [(path.parent, path.relative_to(folder).parts) for path in files if path.name == WEIGHTS]
    # a `sdr train` that was killed leaves a hidden folder beside the model
    found = [place for place, parts in weights if not SKIPPED & set(parts) and not any(p[0] == "." for p in parts)]
    known = {sha256(path) for path in CHECKPOINTS.glob(f"*/{WEIGHTS}")}
    trained = [path for path in found if sha256(path / WEIGHTS) not in known]
    if not trained:
        if inner := [path.name for path in files if path.suffix == ".zip"]:
            raise InputError(f"{name}: no trained model, but another ZIP, {inner[0]}; hand in what is in it")
        why = "no trained model but the project's own" if found else "no trained model: no folder has a " + WEIGHTS
        raise InputError(f"{name}: {why}; hand in what `sdr train` wrote, or a fork that holds it")
    if len(trained) > 1:
        places = ", ".join(path.relative_to(folder).as_posix() for path in trained[:5])
        more = f" and {len(trained) - 5} more" if len(trained) > 5 else ""
        raise InputError(f"{name}: {len(trained)} trained models ({places}{more}); hand in one, or grade one of these")
    return trained[0]


def read_settings(path: Path) -> tuple[FeatureConfig, DataConfig, WordsConfig | None]:
    """The front end of a snapshot, its clips and the words of its pre-training, without importing its model.

    Raises `InputError`, as for a config.
    """
    values, where = load_yaml(path), path.name
    if "dataset" in values:
        experiment = published_experiment(values, where)
        return experiment.features, experiment.data, None
    values = current_names(values)
    pretraining = build(PretrainingConfig, values.get("pretraining") or {}, f"{where}: pretraining")
    return (
        build(FeatureConfig, values.get("features", {}), f"{where}: features"),
        build(DataConfig, values.get("data", {}), f"{where}: data"),
        pretraining.words,
    )


def stated_accuracy(submission: Submission) -> tuple[float | None, str | None]:
    """The accuracy on TEST that the submission's own `metrics.json` states, if any, or why it cannot be told."""
    path = submission.checkpoint / METRICS
    if not os.path.lexists(path):
        return None, None
    try:
        test = as_mapping(as_mapping(read_json(path), METRICS).get("TEST", {}), f"{METRICS}: TEST")
    except InputError as error:
        return None, str(error).replace(f"{submission.checkpoint}/", "")
    if "accuracy" not in test:
        return None, None
    stated = test["accuracy"]
    if type(stated) not in (int, float) or not 0 <= stated <= 1:
        return None, f"{METRICS}: TEST: accuracy: expected a number from 0 to 1, not {repr(stated)[:60]}"
    return float(stated), None
