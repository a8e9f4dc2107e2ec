"""Export of a checkpoint to ONNX."""

from pathlib import Path

from utils.data.audio import read_audio
from utils.experiments.checkpoints import load_recogniser
from utils.experiments.clips import synthetic_voices
from utils.inference.export import export


def export_checkpoint(checkpoint: str | Path, path: str | Path | None = None, int8: bool = False) -> Path:
    """Write a checkpoint as one ONNX file (see `export`). The threshold is stored in its metadata.

    Args:
        checkpoint: its folder, or its name on the Hugging Face Hub.
        path: of the file; None: named after the model, in the current folder.
        int8: quantise weights and activations to 8-bit integers. Their ranges are calibrated on the digits of twelve
            synthetic voices, so no recordings are needed.

    Returns:
        The path of the file.
    """
    recogniser = load_recogniser(checkpoint)
    clips = []
    if int8:
        clips = [read_audio(file, recogniser.features.sample_rate) for file in synthetic_voices(12)["path"]]
    return export(
        path or f"{recogniser.name}{'-int8' if int8 else ''}.onnx",
        recogniser.model,
        recogniser.features,
        recogniser.calibration,
        facts={"name": recogniser.name, "threshold": str(recogniser.calibration.threshold)},
        clips=clips,
    )
