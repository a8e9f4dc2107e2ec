"""The folder of a checkpoint: its files, where it is found, and the exported model in it. Needs no PyTorch."""

import hashlib
from pathlib import Path

import numpy as np

from utils import InputError
from utils.data.audio import RATES
from utils.data.audio_names import is_audio_name
from utils.files import read_json, sha256
from utils.inference.recogniser import Recogniser
from utils.paths import CHECKPOINTS

WEIGHTS, SNAPSHOT, METRICS, CARD = "best_model.pt", "config_snapshot.yaml", "metrics.json", "README.md"
CALIBRATION = "calibration.json"  # only if the model has been calibrated
CHECKSUMS = "checksums.json"  # of the weights, the snapshot and the exported model; older checkpoints have none
EXPORTED = "model.onnx"  # only after `sdr export --keep`
FILES = (SNAPSHOT, WEIGHTS, METRICS, CARD, CALIBRATION, CHECKSUMS, EXPORTED, "figures/*.png")  # such a folder may hold
DEFAULT = CHECKPOINTS / "digits"  # the project's own model, for clips of one digit
STRINGS = CHECKPOINTS / "strings"  # and for strings of digits


def find(name: str | Path) -> Path:
    """The folder of a checkpoint: `name` itself, or the download of a model on the Hugging Face Hub.

    A name such as "owner/name" refers to the Hub if neither that folder nor its parent exists here. The model is
    downloaded once and kept in `.cache/`. Raises `InputError` if the Hub cannot be reached.
    """
    folder = Path(name)
    if folder.exists() or folder.parent.exists():
        return folder
    from utils.experiments import hub

    model = name if isinstance(name, str) else name.as_posix()  # on Windows, a path has backslashes
    if not hub.NAME.fullmatch(model):
        return folder
    return hub.download(model, required=(SNAPSHOT, WEIGHTS), optional=(CALIBRATION, CHECKSUMS))


def is_checkpoint(name: str | Path) -> bool:
    """Whether a command-line argument refers to a checkpoint rather than to audio."""
    path = Path(name)
    if path.exists():
        return path.is_dir() and any((path / file).exists() for file in (WEIGHTS, SNAPSHOT))
    return not is_audio_name(name)


def exported_sum(folder: Path) -> str:
    """One checksum for the exported model and all that it was made of: it belongs to these weights only."""
    files = (folder / name for name in (EXPORTED, WEIGHTS, SNAPSHOT, CALIBRATION))
    return hashlib.sha256(" ".join(sha256(file) if file.is_file() else "-" for file in files).encode()).hexdigest()


def is_exported_current(folder: Path) -> bool:
    """Whether the exported model of a checkpoint is what was written, for the weights and the calibration there now."""
    try:
        sums = read_json(folder / CHECKSUMS)
        if not isinstance(sums, dict) or sums.get(EXPORTED) != exported_sum(folder):
            return False
        return all(sums.get(name) == sha256(folder / name) for name in (WEIGHTS, SNAPSHOT))
    except InputError:
        return False


def load_exported(folder: Path) -> Recogniser | None:
    """The exported model of a checkpoint. None, if it has none, or not of these weights, or there is no onnxruntime."""
    try:
        if not is_exported_current(folder):
            return None
        from utils.inference.exported import load

        recogniser = load(folder / EXPORTED)
        return recogniser if _answers(recogniser) else None
    except Exception:  # of onnxruntime, which may be older than the file; whatever it is, PyTorch finds out or answers
        return None


def _answers(recogniser: Recogniser) -> bool:
    """Whether an exported model does what one should: a stranger's may have the right checksums, and be anything."""
    rate = recogniser.sample_rate
    if not RATES[0] <= rate <= RATES[1]:
        return False
    (prediction,) = recogniser.recognise([np.zeros(rate // 4, np.float32)])
    digits, probabilities = zip(*prediction.ranking, strict=True)
    return sorted(digits) == list(range(10)) and all(0 <= probability <= 1 for probability in probabilities)


def load_quickly(checkpoint: str | Path = DEFAULT) -> Recogniser:
    """The recogniser of a checkpoint: exported, if it is at hand, since PyTorch takes seconds to load.

    Raises:
        InputError: as for `utils.experiments.checkpoints.load`.
    """
    folder = find(checkpoint)
    if (exported := load_exported(folder)) is not None:
        return exported
    from utils.experiments.checkpoints import load_recogniser

    return load_recogniser(folder)
