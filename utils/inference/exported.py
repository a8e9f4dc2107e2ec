"""An exported model answers within a second: unlike PyTorch, onnxruntime takes hardly any time and memory to load."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from utils import InputError
from utils.inference.recogniser import Prediction, Recogniser
from utils.inference.strings import PlattScaling, Steps, StringRecogniser

SILENT = 4  # onnxruntime's errors are raised as well, and told in one line; its fallback would print to standard output


def load(path: Path) -> Recogniser:
    """The recogniser of an exported model: of strings, if it is a model of strings."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # a clip takes milliseconds
    options.log_severity_level = SILENT
    onnxruntime.set_default_logger_severity(SILENT)
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"], enable_fallback=False)
    facts = session.get_modelmeta().custom_metadata_map
    return (ExportedStringRecogniser if "stride" in facts else ExportedRecogniser)(session, facts)


class ExportedRecogniser(Recogniser):
    """A recogniser whose front end, model and temperature are one ONNX file (see `export`)."""

    def __init__(self, session: onnxruntime.InferenceSession, facts: dict[str, str]):
        self.session, self.facts = session, facts
        self.name = facts["name"]

    @property
    def sample_rate(self) -> int:
        return int(self.facts["sample_rate"])

    @property
    def threshold(self) -> float:
        return float(self.facts["threshold"])

    def _predict_each(self, clips: list[np.ndarray]) -> list[Prediction]:
        rows = [self._probabilities(clip) for clip in clips]
        orders = [np.argsort(-row, kind="stable") for row in rows]
        return [self._prediction(order.tolist(), row[order].tolist()) for row, order in zip(rows, orders, strict=True)]

    def _probabilities(self, clip: np.ndarray) -> np.ndarray:
        """Those of the ten digits (10,) in a clip (samples,)."""
        return self._run({"waveform": clip[None]}, (1, 10))[0][0]

    def _run(self, feeds: dict[str, np.ndarray], *shapes: tuple[int, ...]) -> list[np.ndarray]:
        """The outputs, finite and of these shapes; the first are probabilities or logarithms of them.

        Raises `InputError` if they are not: a stranger's file may be anything, and silence may not have told.
        """
        try:
            found = self.session.run(None, feeds)
            if [output.shape for output in found] != list(shapes):
                raise ValueError(f"outputs {', '.join(str(output.shape) for output in found)}")
            if not all(np.isfinite(output).all() for output in found) or not (found[0] < 1.001).all():
                raise ValueError("outputs that are no probabilities")
        except Exception as error:  # of many kinds, from onnxruntime
            why = " ".join(str(error).split())[:200]
            raise InputError(
                f"the exported model '{self.name[:100]}' does not answer ({why}); delete its model.onnx, and PyTorch "
                "answers"
            ) from None
        return found


class ExportedStringRecogniser(ExportedRecogniser, StringRecogniser):
    """A recogniser of strings whose front end and model are one ONNX file (see `export_strings`)."""

    def __init__(self, session: onnxruntime.InferenceSession, facts: dict[str, str]):
        super().__init__(session, facts)
        given = {field.name: float(facts[field.name]) for field in fields(PlattScaling) if field.name in facts}
        self._scaling = PlattScaling(**given)  # files of older versions have none

    @property
    def scaling(self) -> PlattScaling:
        return self._scaling

    @property
    def divided(self) -> Steps:
        return Steps(*(int(self.facts[field.name]) for field in fields(Steps)))

    def label(self, samples: np.ndarray, frames: range, steps: range, state: Any) -> tuple[np.ndarray, np.ndarray, Any]:
        labels, passed, state = self._label(samples, frames, steps, state)
        return np.exp(labels[0]), passed[0], state

    def _label(self, samples: np.ndarray, frames: range, steps: range, state: Any) -> list[np.ndarray]:
        feeds = {"waveform": samples[None], "frames": np.array(frames), "steps": np.array(steps)}
        if state is None:
            state = np.zeros(self.session.get_inputs()[-1].shape, np.float32)
        return self._run(feeds | {"state": state}, (1, len(steps), 11), (1, len(steps), 2), state.shape)

    def _probabilities(self, clip: np.ndarray) -> np.ndarray:
        """As by PyTorch: the log odds of hearing just this digit against hearing none, calibrated.

        In all paths that name one digit, it replaces the blank from one step to a later one.
        """
        frames = 1 + len(clip) // self.divided.hop
        labels, *_ = self._label(clip, range(frames), range(-(-frames // self.divided.stride)), None)
        odds = labels[0, :, :10].astype(float) - labels[0, :, 10:]
        until = odds.cumsum(0)
        begun = np.logaddexp.accumulate(odds - until)  # minus the odds until the step before
        logits = np.logaddexp.reduce(until + begun) / float(self.facts["temperature"])
        nothing = 0.0 if int(self.facts["rejects"]) else -np.inf
        return np.exp(logits - np.logaddexp.reduce(np.append(logits, nothing)))
