"""The precision of a network's arithmetic in training."""

from contextlib import AbstractContextManager, ExitStack
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def arithmetic(precision: str) -> AbstractContextManager:
    """A block in which networks compute in a precision. Weights and sums stay float32.

    A processor without instructions for bfloat16 computes the same from float32 (see `RoundedFactors`).
    """
    dtype, block = PRECISIONS[precision], ExitStack()
    block.enter_context(torch.autocast("cpu", dtype, enabled=dtype != torch.float32))
    if dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        block.enter_context(RoundedFactors())
    return block


class RoundedFactors(TorchFunctionMode):
    """Convolutions and linear layers in bfloat16, by float32 instructions: factors are rounded to bfloat16, sums after.

    Where there are instructions for bfloat16, they add the products up in float32 as well, so only the order of the
    additions differs. Without them, PyTorch's own way of doing this takes about nine times as long.
    """

    ROUNDED = (torch.conv1d, torch.conv2d, F.linear)

    def __torch_function__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if function not in self.ROUNDED or not torch.is_autocast_enabled("cpu"):
            return function(*args, **kwargs)
        if any(isinstance(value, Tensor) and value.device.type != "cpu" for value in args):
            return function(*args, **kwargs)
        with torch.autocast("cpu", enabled=False):
            return function(
                *map(_rounded, args), **{name: _rounded(value) for name, value in kwargs.items()}
            ).bfloat16()


def _rounded(value: Any) -> Any:
    return value.bfloat16().float() if isinstance(value, Tensor) else value
