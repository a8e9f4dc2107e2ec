"""An exported model answers within a second: unlike PyTorch, onnxruntime takes hardly any time and memory to load."""

from pathlib import Path

import numpy as np
import onnxruntime

from utils.inference.recogniser import Prediction, Recogniser


class ExportedRecogniser(Recogniser):
    """A recogniser whose front end, model and temperature are one ONNX file (see `export`)."""

    def __init__(self, path: Path):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # a clip takes milliseconds
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        facts = self.session.get_modelmeta().custom_metadata_map
        self.name = facts["name"]
        self._sample_rate, self._threshold = int(facts["sample_rate"]), float(facts["threshold"])

    @property
    def sample_rate(self) -> int:
        return self._sample_rate

    @property
    def threshold(self) -> float:
        return self._threshold

    def _predict_each(self, clips: list[np.ndarray]) -> list[Prediction]:
        rows = [self.session.run(None, {"waveform": clip[None]})[0][0] for clip in clips]
        orders = [np.argsort(-row, kind="stable") for row in rows]
        return [self._prediction(order.tolist(), row[order].tolist()) for row, order in zip(rows, orders, strict=True)]
