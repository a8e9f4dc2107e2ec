"""One ONNX file from a clip's waveform to the digits' probabilities. The front end lies inside, so it needs no Python.

`onnxruntime` runs it on a computer, a phone or in a browser. PyTorch's exporter cannot take the batched front end (how
long a trimmed clip is depends on the clip), so `OneClip` says the same for one clip; a test holds the two together.
"""

import logging
import math
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import librosa
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils import InputError, experiments, recognition
from utils.audio import read_audio
from utils.features import FeatureConfig, centre
from utils.files import write_whole
from utils.rejection import AS_IS, Calibration

LARGEST_CONSTANT = 1024  # numbers; the larger ones, as the Fourier transform's, are computed when the file is loaded


class OneClip(nn.Module):
    """`utils.features.LogMel` for one clip, in operations that ONNX has: waveform (1, samples) to (1, frames, mels).

    A discrete Fourier transform of every window at once is a convolution with cosines and sines. Half of the work is
    saved by one step of the fast one (Cooley and Tukey 1965): what the even samples give at frequency k, E, and what
    the odd ones give, O, make frequency k as E + O, and n_fft / 2 - k as the conjugate of E - O.
    """

    def __init__(self, config: FeatureConfig):
        super().__init__()
        self.config = config
        if config.n_fft % 4:
            raise InputError("a front end is exported only where n_fft is a multiple of 4")
        edges = librosa.mel_frequencies(config.n_mels + 2, fmin=config.f_min, fmax=config.f_max)
        self.register_buffer("edges", torch.from_numpy(edges).float())

    def forward(self, waveform: Tensor) -> Tensor:
        config, quarter = self.config, self.config.n_fft // 4
        if config.seconds is not None:
            length = torch.full((1,), waveform.shape[1])
            waveform, _ = centre(waveform, length, round(config.seconds * config.sample_rate))
        taps = config.win_length + config.win_length % 2  # an odd window ends with one that is 0
        sample = torch.arange(taps, dtype=torch.float32)
        window = 0.5 - 0.5 * torch.cos(sample * (2 * math.pi / config.win_length))  # Hann's
        angle = torch.arange(quarter + 1).unsqueeze(1) * (2 * math.pi / config.n_fft) * sample
        waves = (torch.cat([torch.cos(angle), torch.sin(angle)]) * window).unsqueeze(1)
        before = config.n_fft // 2 - (config.n_fft - config.win_length) // 2  # a frame is centred, as torch.stft has it
        even, odd = (
            F.conv1d(F.pad(waveform.unsqueeze(1), silence), waves[:, :, first::2], None, config.hop_length, dilation=2)
            for first, silence in ((0, (before, taps - 1 - before)), (1, (before - 1, taps - before)))
        )
        hertz = torch.arange(2 * quarter + 1).unsqueeze(1) * (config.sample_rate / config.n_fft)
        low, top, high = self.edges[:-2], self.edges[1:-1], self.edges[2:]  # a triangle for each band
        triangles = torch.minimum((hertz - low) / (top - low), (high - hertz) / (high - top)).clamp_min(0)
        bank = triangles * (2 / (high - low))
        lower, upper = bank[: quarter + 1], bank[quarter + 1 :].flip(0)  # the frequency between them is in `lower`
        upper = F.pad(upper, (0, 0, 0, 1))
        # each stands twice: for the squares of the cosines and of the sines
        mel = (even + odd).square().transpose(1, 2) @ lower.repeat(2, 1)
        mel = mel + (even - odd).square().transpose(1, 2) @ upper.repeat(2, 1)
        if config.trim_db is not None:
            mel = _trim(mel, config.trim_db)
        mel = mel.clamp_min(config.least_power)
        ratio = mel / mel.max() if config.level == "clip_max" else mel
        level_db = (10 / math.log(10)) * torch.log(ratio)
        return (level_db.clamp_min(-config.range_db) - config.mean_db) / config.std_db


def _trim(mel: Tensor, trim_db: float) -> Tensor:
    """As in `utils.features`: the frames from the first loud one to the last."""
    energy = mel.sum(2).squeeze(0)
    loud = (energy >= energy.max() * 10 ** (-trim_db / 10)).float()
    begun, not_ended = loud.cumsum(0) > 0, loud.flip(0).cumsum(0).flip(0) > 0
    return mel.index_select(1, (begun & not_ended).nonzero().squeeze(1))


class Network(nn.Module):
    """A model for one clip: features (1, frames, mels) to probabilities (1, 10)."""

    def __init__(self, model: nn.Module, calibration: Calibration):
        super().__init__()
        self.model, self.calibration = model.eval(), calibration

    def forward(self, features: Tensor) -> Tensor:
        return self.calibration.probabilities(self.model(features, torch.full((1,), features.shape[1])))


def export_checkpoint(checkpoint: str | Path, path: str | Path | None = None, int8: bool = False) -> Path:
    """Write a checkpoint as one ONNX file (see `export`), with its temperature, and its threshold among the facts.

    Without a `path` it is named after the model and lies in the current folder.

    With `int8`, the ranges of its 8-bit integers are those that the digits of twelve synthetic voices need: no
    recordings are wanted.
    """
    recogniser = recognition.load(checkpoint)
    clips = ()
    if int8:
        voices = experiments.synthetic_voices(12)
        clips = [read_audio(file, recogniser.features.sample_rate) for file in voices["path"]]
    return export(
        path or f"{recogniser.name}{'-int8' if int8 else ''}.onnx",
        recogniser.model,
        recogniser.features,
        recogniser.calibration,
        facts={"name": recogniser.name, "threshold": str(recogniser.calibration.threshold)},
        clips=clips,
    )


def export(
    path: str | Path,
    model: nn.Module,
    config: FeatureConfig,
    calibration: Calibration = AS_IS,
    *,
    facts: dict[str, str] | None = None,
    clips: Sequence[np.ndarray] = (),
) -> Path:
    """Write a model as one ONNX file, whole or not at all.

    Its input is `waveform`, float32 (1, samples) within [-1, 1] at the config's sample rate, of any length up to ten
    seconds; its output `probabilities`, float32 (1, 10).

    Args:
        path: of the file.
        model: of `utils.config.ALL_MODELS`, trained.
        config: of the features that it was trained on.
        calibration: makes probabilities of the logits; its threshold is left to who uses the file.
        facts: what the file says of itself, as its metadata. "sample_rate" is among them in any case.
        clips: some waveforms (samples,). Where they are given the network's weights and activations
            are 8-bit integers, whose ranges are those that these clips need; the front end stays in floating point.

    Raises:
        InputError: onnx, onnxscript or onnxruntime is not installed, the model has an operation that the exporter
            does not know, or the file cannot be written.
    """
    try:
        import onnx
        import onnxruntime  # noqa: F401 (its quantisation is needed later)
        import onnxscript  # noqa: F401 (PyTorch's exporter needs it)
    except ImportError as error:
        raise InputError(f"exporting needs {error.name}: `pip install onnx onnxscript onnxruntime`") from None
    front_end = OneClip(config).eval()
    clip = torch.sin(torch.arange(config.sample_rate // 2) / 3.0).unsqueeze(0)
    with torch.no_grad():
        features = front_end(clip)
    # ten seconds are the longest that `read_audio` reads
    hearing = _convert(front_end, clip, "waveform", "features", (2, 10 * config.sample_rate))
    if config.seconds is None:
        naming = _convert(Network(model, calibration), features, "features", "probabilities", (2, 1000))
    else:
        naming = _convert(Network(model, calibration), features, "features", "probabilities", None)
    if clips:
        naming = _in_8_bits(naming, [front_end(torch.as_tensor(clip).unsqueeze(0)).numpy() for clip in clips])
    whole = onnx.compose.merge_models(hearing, naming, [("features", "features")])
    onnx.helper.set_model_props(whole, {"sample_rate": str(config.sample_rate), **(facts or {})})
    onnx.checker.check_model(whole, full_check=True)
    write_whole(path, lambda file: onnx.save(whole, file))
    return Path(path)


def _convert(part: nn.Module, example: Tensor, name: str, output: str, lengths: tuple[int, int] | None):
    """A module as an ONNX model whose input is of any length within `lengths` (or of one length alone)."""
    import onnx
    from onnxscript import opset18, optimizer

    def divided(dividend, divisor):
        """Lengths are never negative, so ONNX's division of whole numbers will do, in place of seven operations."""
        return opset18.Div(dividend, divisor)

    for noisy in ("torch.onnx", "onnxscript"):  # warn of what is no concern of the user's
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
        raise InputError(f"this model cannot be exported: PyTorch's exporter refuses it ({why})") from None
    optimizer.optimize(program.model, output_size_limit=LARGEST_CONSTANT)
    model = program.model_proto
    _unmask(model)
    optimizer.remove_unused_nodes(model)
    graph = model.graph
    for described in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        described.ClearField("doc_string")
        del described.metadata_props[:]  # where in PyTorch's code each operation comes from
    del graph.value_info[:], graph.metadata_props[:], model.metadata_props[:]
    return onnx.compose.add_prefix(model, f"{output[0]}.", rename_inputs=False, rename_outputs=False)


def _unmask(model) -> None:
    """Let masks be true, as nothing of one clip is padding, and what chooses by them have chosen.

    A mask is where the frames' numbers, 0, 1, 2, ..., are less than the clip's length.
    """
    import onnx

    made_by = {name: node for node in model.graph.node for name in node.output}
    used_by: dict[str, list] = {}
    for node in model.graph.node:
        for name in node.input:
            used_by.setdefault(name, []).append(node)

    def counts_frames(name: str) -> bool:
        node = made_by.get(name)
        passes_on = node is not None and node.op_type in ("Cast", "Unsqueeze")
        return counts_frames(node.input[0]) if passes_on else node is not None and node.op_type == "Range"

    def masks_only(name: str) -> bool:
        """Whether one truth for all frames will do: what is made of it is only multiplied or chosen by."""
        return all(
            masks_only(node.output[0])
            if node.op_type in ("Cast", "Not", "Unsqueeze")
            else node.op_type in ("Mul", "Where")
            for node in used_by.get(name, [])
        )

    def choose(name: str, truth: bool) -> None:
        for node in used_by.get(name, []):
            if node.op_type in ("Cast", "Not", "Unsqueeze"):
                choose(node.output[0], truth != (node.op_type == "Not"))
            elif node.op_type == "Where":
                kept = node.input[1 if truth else 2]
                node.CopyFrom(onnx.helper.make_node("Identity", [kept], node.output))

    for node in model.graph.node:
        if node.op_type == "Less" and counts_frames(node.input[0]) and masks_only(node.output[0]):
            choose(node.output[0], True)
            always = onnx.helper.make_tensor("always", onnx.TensorProto.BOOL, [1, 1], [True])
            node.CopyFrom(onnx.helper.make_node("Constant", [], [node.output[0]], value=always))


def _in_8_bits(model, examples: list[np.ndarray]):
    """A network in 8-bit integers, by onnxruntime's static quantisation: each channel of weights has its own scale."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Examples(CalibrationDataReader):
        """Hands out the clips' features one by one."""

        def __init__(self):
            self.rest: Iterator[np.ndarray] = iter(examples)

        def get_next(self) -> dict[str, np.ndarray] | None:
            features = next(self.rest, None)
            return None if features is None else {"features": features}

    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder) / "before.onnx", Path(folder) / "after.onnx"
        quant_pre_process(model, before, skip_optimization=True, skip_symbolic_shape=True)
        quantize_static(
            before,
            after,
            Examples(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            op_types_to_quantize=["Conv", "Gemm", "MatMul"],
            weight_type=QuantType.QInt8,
        )
        return onnx.load(after)
