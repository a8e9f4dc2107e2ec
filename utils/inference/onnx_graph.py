"""Changes to an exported ONNX graph: removal of padding masks, and 8-bit integers in place of floats."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

LARGE = 1000  # numbers of a layer's weights that are worth storing as integers


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


def store_as_integers(model) -> None:
    """Store the weights of layers as 8-bit integers with one scale for each output.

    The runtime makes them floats again when it loads the file (it computes all that is constant once), so the file is
    small, the activations stay exact, and the speed is that of floats.
    """
    import onnx

    graph, floats = model.graph, onnx.TensorProto.FLOAT
    layers = [each for each in graph.initializer if each.data_type == floats and each.dims[:1] > [1]]
    layers = [each for each in layers if np.prod(each.dims) >= LARGE]
    nodes = []
    for layer in layers:
        weights = onnx.numpy_helper.to_array(layer)
        scale = np.abs(weights).max(axis=tuple(range(1, weights.ndim)), keepdims=True) / 127
        scale = np.maximum(scale, np.finfo(np.float32).tiny)
        stored = {"int8": np.round(weights / scale).astype(np.int8), "scale": scale}
        graph.initializer.extend(onnx.numpy_helper.from_array(v, f"{layer.name}.{kind}") for kind, v in stored.items())
        nodes.append(onnx.helper.make_node("Cast", [f"{layer.name}.int8"], [f"{layer.name}.float"], to=floats))
        nodes.append(onnx.helper.make_node("Mul", [f"{layer.name}.float", f"{layer.name}.scale"], [layer.name]))
        graph.initializer.remove(layer)
    nodes.extend(graph.node)
    del graph.node[:]
    graph.node.extend(nodes)
