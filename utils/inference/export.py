"""Export front end and model as one ONNX file, from a waveform to the probabilities of the digits.

`onnxruntime` runs it without Python on a computer, on a phone or in a browser. PyTorch's exporter cannot convert the
batched front end, since the length of a trimmed clip depends on the clip. `OneClip` computes the same for one clip, and
a test checks that both agree.
"""

import copy
import functools
import logging
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from utils import InputError
from utils.features.log_mel import FeatureConfig
from utils.files import write_atomically
from utils.inference.calibration import AS_IS, Calibration
from utils.inference.onnx_front_end import OneClip
from utils.inference.onnx_graph import quantise, remove_masks, store_as_integers
from utils.inference.strings import StringRecogniser

LARGEST_CONSTANT = 1024  # numbers; larger constants, such as the Fourier transform's, are computed on loading


class Network(nn.Module):
    """A model for a single clip: features (1, frames, mels) to probabilities (1, 10)."""

    def __init__(self, model: nn.Module, calibration: Calibration):
        super().__init__()
        self.model, self.calibration = model.eval(), calibration

    def forward(self, features: Tensor) -> Tensor:
        return self.calibration.probabilities(self.model(features, torch.full((1,), features.shape[1])))


class Recurrent(nn.Module):
    """A `torch.nn.GRU` of one layer and any number of steps, as one operation of ONNX.

    PyTorch's exporter would fix the number of steps.
    """

    weight_ih_l0: Tensor
    weight_hh_l0: Tensor
    bias_ih_l0: Tensor
    bias_hh_l0: Tensor

    def __init__(self, layer: nn.GRU):
        super().__init__()
        self.units = layer.hidden_size
        for name, weights in layer.named_parameters():
            reset, update, new = weights.detach().chunk(3)
            self.register_buffer(name, torch.cat([update, reset, new]))  # the order of ONNX

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        weights = self.weight_ih_l0.unsqueeze(0), self.weight_hh_l0.unsqueeze(0)
        biases = torch.cat([self.bias_ih_l0, self.bias_hh_l0]).unsqueeze(0)
        hidden, state = torch.onnx.ops.symbolic_multi_out(
            "GRU",
            (x.transpose(0, 1), *weights, biases, None, state),
            {"hidden_size": self.units, "linear_before_reset": 1},
            dtypes=(x.dtype, x.dtype),
            shapes=((x.shape[1], 1, 1, self.units), state.shape),
        )
        return hidden.squeeze(1).transpose(0, 1), state


class Labeller(nn.Module):
    """Front end and model of strings for a piece of a sound, with the inputs and outputs of `export_strings`."""

    def __init__(self, model: Any, config: FeatureConfig):
        super().__init__()
        self.front_end = OneClip(config).eval()
        self.model: Any = copy.deepcopy(model).eval()
        self.model.recurrent = Recurrent(model.recurrent)

    def forward(self, waveform: Tensor, frames: Tensor, steps: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = self.front_end(waveform).index_select(1, frames)
        encoded, _ = self.model.encode(features, torch.full((1,), features.shape[1]))
        return self.model.label(encoded.index_select(1, steps), state)


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
    _check_packages()
    from onnx import compose

    front_end = OneClip(config).eval()
    with torch.no_grad():
        features = front_end(_example(config))
    lengths = {"features": (2, 1000)} if config.seconds is None else {}
    network = _convert(Network(model, calibration), {"features": features}, lengths, ["probabilities"])
    if clips:
        network = quantise(network, [front_end(torch.as_tensor(clip).unsqueeze(0)).numpy() for clip in clips])
    whole = compose.merge_models(_convert_front_end(config), network, [("features", "features")])
    return _write(path, whole, {"sample_rate": str(config.sample_rate), **(facts or {})})


@functools.cache  # it takes longer than most networks, and many models have the same
def _convert_front_end(config: FeatureConfig):
    most = 10 * config.sample_rate  # `read_audio` reads ten seconds at most
    return _convert(OneClip(config).eval(), {"waveform": _example(config)}, {"waveform": (2, most)}, ["features"])


def _example(config: FeatureConfig) -> Tensor:
    """A waveform (1, samples) of half a second."""
    return torch.sin(torch.arange(config.sample_rate // 2) / 3.0).unsqueeze(0)


def export_strings(path: str | Path, recogniser: StringRecogniser, int8: bool = False) -> Path:
    """Write a model of strings as one ONNX file, atomically. It labels the steps of a sound, piece by piece.

    Its inputs are those of a `utils.inference.strings.Label`: `waveform`, float32 (1, samples), a piece of the sound;
    `frames`, int64, the indices of its frames that count; `steps`, int64, which steps among these are wanted; and
    `state`, float32 (1, 1, units), zero at the beginning of a sound. Its outputs are `labels`, float32 (1, steps, 11),
    logarithms of the probabilities of the ten digits and the blank; `passed`, float32 (1, steps, 2); and `next`, the
    state for the steps that follow. `StepLabeller` says which pieces, frames and steps these are, and how the steps
    become digits is the business of the caller too (`prefix_beam`; `PlattScaling`, whose two numbers are metadata).

    Args:
        path: of the file.
        recogniser: the trained model.
        int8: store the weights as 8-bit integers with one scale per channel; all is computed in floating point.

    Raises:
        InputError: as for `export`.
    """
    _check_packages()
    config, calibration = recogniser.features, recogniser.calibration
    waveform = torch.sin(torch.arange(config.sample_rate) / 3.0).unsqueeze(0)
    state = torch.zeros(1, 1, recogniser.model.recurrent.hidden_size)
    inputs = {"waveform": waveform, "frames": torch.arange(2, 90), "steps": torch.arange(4, 16), "state": state}
    lengths = {"waveform": (config.n_fft, 2**20), "frames": (2, 2**16), "steps": (2, 2**16)}
    network = _convert(Labeller(recogniser.model, config), inputs, lengths, ["labels", "passed", "next"])
    if int8:
        store_as_integers(network)
    facts = {"name": recogniser.name, "sample_rate": config.sample_rate, "threshold": calibration.threshold}
    facts |= {"temperature": calibration.temperature, "rejects": int(calibration.rejects)}
    facts |= asdict(recogniser.divided) | asdict(recogniser.scaling)
    return _write(path, network, {name: str(fact) for name, fact in facts.items()})


def _check_packages() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401 (needed for quantisation)
        import onnxscript  # noqa: F401 (PyTorch's exporter needs it)
    except ImportError as error:
        raise InputError(f"exporting needs {error.name}: `pip install onnx onnxscript onnxruntime`") from None


def _write(path: str | Path, model, facts: dict[str, str]) -> Path:
    import onnx

    onnx.helper.set_model_props(model, facts)
    onnx.checker.check_model(model, full_check=True)
    write_atomically(path, lambda file: onnx.save(model, file))
    return Path(path)


def _convert(part: nn.Module, inputs: dict[str, Tensor], lengths: dict[str, tuple[int, int]], outputs: list[str]):
    """A module as an ONNX model.

    Args:
        part: the module.
        inputs: its inputs by their names, each an example of its shape.
        lengths: the least and the most of those that may have any length: (length,), or (1, length, ...).
        outputs: their names.
    """
    import onnx
    from onnxscript import opset18, optimizer

    def divided(dividend, divisor):
        """Lengths are never negative, so one integer division of ONNX replaces seven operations."""
        return opset18.Div(dividend, divisor)

    for noisy in ("torch.onnx", "onnxscript"):  # their warnings do not concern the user
        logging.getLogger(noisy).setLevel("ERROR")
    shapes = tuple(
        {min(1, example.ndim - 1): torch.export.Dim(f"{name}_length", min=lengths[name][0], max=lengths[name][1])}
        if name in lengths
        else None
        for name, example in inputs.items()
    )
    try:
        with warnings.catch_warnings(action="ignore"):
            program = torch.onnx.export(
                part,
                tuple(inputs.values()),
                input_names=list(inputs),
                output_names=outputs,
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
    return onnx.compose.add_prefix(model, f"{outputs[0][0]}.", rename_inputs=False, rename_outputs=False)
