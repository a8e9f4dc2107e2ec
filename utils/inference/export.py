"""Export front end and model as one ONNX file, from a clip's waveform to the probabilities of the digits.

`onnxruntime` runs it without Python on a computer, on a phone or in a browser. PyTorch's exporter cannot convert the
batched front end, since the length of a trimmed clip depends on the clip. `OneClip` computes the same for one clip, and
a test checks that both agree.
"""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from utils import InputError
from utils.features.log_mel import FeatureConfig
from utils.files import write_atomically
from utils.inference.calibration import AS_IS, Calibration
from utils.inference.onnx_front_end import OneClip
from utils.inference.onnx_graph import quantise, remove_masks

LARGEST_CONSTANT = 1024  # numbers; larger constants, such as the Fourier transform's, are computed on loading


class Network(nn.Module):
    """A model for a single clip: features (1, frames, mels) to probabilities (1, 10)."""

    def __init__(self, model: nn.Module, calibration: Calibration):
        super().__init__()
        self.model, self.calibration = model.eval(), calibration

    def forward(self, features: Tensor) -> Tensor:
        return self.calibration.probabilities(self.model(features, torch.full((1,), features.shape[1])))


def export(
    path: str | Path,
    model: nn.Module,
    config: FeatureConfig,
    calibration: Calibration = AS_IS,
    *,
    facts: dict[str, str] | None = None,
    clips: Sequence[np.ndarray] = (),
) -> Path:
    """Write a model as one ONNX file, atomically.

    Its input is `waveform`, float32 (1, samples) within [-1, 1] at the config's sample rate, up to ten seconds long;
    its output is `probabilities`, float32 (1, 10).

    Args:
        path: of the file.
        model: a trained model of `utils.experiments.models`.
        config: of the features that the model was trained on.
        calibration: converts logits to probabilities. The threshold is not part of the file: the caller applies it.
        facts: metadata stored in the file; "sample_rate" is always added.
        clips: waveforms (samples,), to quantise the network's weights and activations to 8-bit integers with ranges
            measured on these clips; the front end stays in floating point. None by default: nothing is quantised.

    Raises:
        InputError: onnx, onnxscript or onnxruntime is not installed, the model has an operation that the exporter
            does not support, or the file cannot be written.
    """
    try:
        import onnx
        import onnxruntime  # noqa: F401 (needed for quantisation)
        import onnxscript  # noqa: F401 (PyTorch's exporter needs it)
    except ImportError as error:
        raise InputError(f"exporting needs {error.name}: `pip install onnx onnxscript onnxruntime`") from None
    front_end = OneClip(config).eval()
    clip = torch.sin(torch.arange(config.sample_rate // 2) / 3.0).unsqueeze(0)
    with torch.no_grad():
        features = front_end(clip)
    # `read_audio` reads ten seconds at most
    front_end_model = _convert(front_end, clip, "waveform", "features", (2, 10 * config.sample_rate))
    if config.seconds is None:
        network = _convert(Network(model, calibration), features, "features", "probabilities", (2, 1000))
    else:
        network = _convert(Network(model, calibration), features, "features", "probabilities", None)
    if clips:
        network = quantise(network, [front_end(torch.as_tensor(clip).unsqueeze(0)).numpy() for clip in clips])
    whole = onnx.compose.merge_models(front_end_model, network, [("features", "features")])
    onnx.helper.set_model_props(whole, {"sample_rate": str(config.sample_rate), **(facts or {})})
    onnx.checker.check_model(whole, full_check=True)
    write_atomically(path, lambda file: onnx.save(whole, file))
    return Path(path)


def _convert(part: nn.Module, example: Tensor, name: str, output: str, lengths: tuple[int, int] | None):
    """A module as an ONNX model, whose input may have any length within `lengths` (None: the example's length)."""
    import onnx
    from onnxscript import opset18, optimizer

    def divided(dividend, divisor):
        """Lengths are never negative, so one integer division of ONNX replaces seven operations."""
        return opset18.Div(dividend, divisor)

    for noisy in ("torch.onnx", "onnxscript"):  # their warnings do not concern the user
        logging.getLogger(noisy).setLevel("ERROR")
    shapes = None if lengths is None else ({1: torch.export.Dim("length", min=lengths[0], max=lengths[1])},)
    try:
        with warnings.catch_warnings(action="ignore"):
            program = torch.onnx.export(
                part,
                (example,),
                input_names=[name],
                output_names=[output],
                dynamo=True,
                dynamic_shapes=shapes,
                optimize=False,
                custom_translation_table={torch.ops.aten.floor_divide.default: divided},
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        why = str(error.__cause__ or error).strip().splitlines()[0]
        raise InputError(f"this model cannot be exported by PyTorch ({why})") from None
    assert program is not None
    optimizer.optimize(program.model, output_size_limit=LARGEST_CONSTANT)
    model = program.model_proto
    remove_masks(model)
    optimizer.remove_unused_nodes(model)
    graph = model.graph
    for described in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        described.ClearField("doc_string")
        del described.metadata_props[:]  # the PyTorch source lines of each operation
    del graph.value_info[:], graph.metadata_props[:], model.metadata_props[:]
    return onnx.compose.add_prefix(model, f"{output[0]}.", rename_inputs=False, rename_outputs=False)
