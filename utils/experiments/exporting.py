"""Export of a checkpoint to ONNX."""

from pathlib import Path

from utils.data.audio import read_audio
from utils.experiments.checkpoint_folder import CHECKSUMS, EXPORTED, SNAPSHOT, WEIGHTS, exported_sum, find
from utils.experiments.checkpoints import load_recogniser
from utils.experiments.clips import synthetic_voices
from utils.files import check_target, sha256, write_json
from utils.inference.export import export, export_strings
from utils.inference.strings import StringRecogniser


def export_checkpoint(checkpoint: str | Path, path: str | Path | None = None, int8: bool = False) -> Path:
    """Write a checkpoint as one ONNX file (see `export`, and `export_strings` for a model of strings).

    The threshold is stored in its metadata.

    Args:
        checkpoint: its folder, or its name on the Hugging Face Hub.
        path: of the file; None: named after the model, in the current folder.
        int8: quantise weights and activations to 8-bit integers. Their ranges are calibrated on the digits of twelve
            synthetic voices, so no recordings are needed. Of a model of strings, only the weights are quantised.

    Returns:
        The path of the file.

    Raises:
        InputError: as for `load_recogniser` and `export`.
    """
    recogniser = load_recogniser(checkpoint)
    path = path or f"{recogniser.name}{'-int8' if int8 else ''}.onnx"
    check_target(path)
    if isinstance(recogniser, StringRecogniser):
        return export_strings(path, recogniser, int8)
    clips = []
    if int8:
        clips = [read_audio(file, recogniser.sample_rate) for file in synthetic_voices(12)["path"]]
    return export(
        path,
        recogniser.model,
        recogniser.features,
        recogniser.calibration,
        facts={"name": recogniser.name, "threshold": str(recogniser.calibration.threshold)},
        clips=clips,
    )


def keep_exported(checkpoint: str | Path) -> Path:
    """Export a checkpoint into its own folder, from where `sdr predict` and `sdr listen` answer without PyTorch.

    The file belongs to the present weights and calibration: after a change to them, it is no longer used.
    """
    folder = find(checkpoint)
    path = export_checkpoint(folder, folder / EXPORTED)
    sums = {name: sha256(folder / name) for name in (WEIGHTS, SNAPSHOT)} | {EXPORTED: exported_sum(folder)}
    write_json(folder / CHECKSUMS, sums)
    return path
