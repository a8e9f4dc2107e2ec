"""Changes to an exported ONNX graph: removal of padding masks, and quantisation to 8-bit integers."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np


def remove_masks(model) -> None:
    """Make padding masks constantly true, since a single clip has no padding, and resolve the choices that use them.

    A mask compares the indices of the frames, 0, 1, 2, ..., to the clip's length.
    """
    import onnx

    made_by = {name: node for node in model.graph.node for name in node.output}
    used_by: dict[str, list] = {}
    for node in model.graph.node:
        for name in node.input:
            used_by.setdefault(name, []).append(node)

    def counts_frames(name: str) -> bool:
        node = made_by.get(name)
        if node is None:
            return False
        return counts_frames(node.input[0]) if node.op_type in ("Cast", "Unsqueeze") else node.op_type == "Range"

    def masks_only(name: str) -> bool:
        """Whether a mask can be a single value for all frames: it is only used to multiply or to choose."""
        return all(
            masks_only(node.output[0])
            if node.op_type in ("Cast", "Not", "Unsqueeze")
            else node.op_type in ("Mul", "Where")
            for node in used_by.get(name, [])
        )

    def resolve(name: str, truth: bool) -> None:
        for node in used_by.get(name, []):
            if node.op_type in ("Cast", "Not", "Unsqueeze"):
                resolve(node.output[0], truth != (node.op_type == "Not"))
            elif node.op_type == "Where":
                kept = node.input[1 if truth else 2]
                node.CopyFrom(onnx.helper.make_node("Identity", [kept], node.output))

    for node in model.graph.node:
        if node.op_type == "Less" and counts_frames(node.input[0]) and masks_only(node.output[0]):
            resolve(node.output[0], True)
            always = onnx.helper.make_tensor("always", onnx.TensorProto.BOOL, [1, 1], [True])
            node.CopyFrom(onnx.helper.make_node("Constant", [], [node.output[0]], value=always))


def quantise(model, examples: list[np.ndarray]):
    """Quantise a network to 8-bit integers by onnxruntime's static quantisation, with one scale per channel of weights.

    Args:
        examples: features (1, frames, mels) of clips, on which the ranges of activations are measured.
    """
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Examples(CalibrationDataReader):
        """Returns the features of the clips one by one."""

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
