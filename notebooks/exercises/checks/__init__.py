"""Checks of a student's answers, one module for each exercise.

A check takes what the student wrote and calls it on inputs that tell right from wrong. It prints one line if the answer
is right, and otherwise raises `NotYet`, whose message says what is wrong with the answer, not what the answer is.
"""

from typing import Any

import numpy as np
import torch


class NotYet(AssertionError):
    """An answer is not right yet. Jupyter shows the message alone, without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"Not yet: {self}"]


def require(right: bool, message: str) -> None:
    """Raise `NotYet` unless the answer is right."""
    if not right:
        raise NotYet(message)


def right(what: str) -> None:
    """Say that an answer is right."""
    print(f"Right: {what}")


def array(answer: Any, shape: tuple[int, ...], what: str) -> np.ndarray:
    """The answer, a NumPy array or a tensor, as an array of float64. It must be finite and have this shape."""
    require(answer is not None, f"{what} is nothing. Does your function end with `return ...`?")
    values = np.asarray(answer.detach() if isinstance(answer, torch.Tensor) else answer)
    require(values.dtype != object, f"{what} is of the type {type(answer).__name__}, and not numbers.")
    require(values.shape == shape, f"{what} has the shape {values.shape}, not {shape}.")
    values = values.astype(float)
    require(bool(np.isfinite(values).all()), f"{what} has values that are infinite or not a number.")
    return values


def near(answer: np.ndarray, expected: np.ndarray, tolerance: float = 1e-5) -> bool:
    """Whether two arrays agree, relative to the largest value expected."""
    return bool(np.abs(answer - expected).max() <= tolerance * (1 + np.abs(expected).max()))
