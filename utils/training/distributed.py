"""One training by several processes: `torchrun` starts them, on one machine or many, and gradients are averaged.

Each process draws the same batches and augments them the same way, then learns from its share of each batch. So where
the shares are equal, the gradient of a step is that of one process, but for two things: dropout, which each process
draws for its own clips; and statistics of batch normalisation on the CPU, which are those of each share, and after an
epoch those of the first process (on GPUs they are those of the whole batch).
"""

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Process:
    """This process: its `rank` among so `many`, and the device it computes on."""

    rank: int
    many: int
    device: torch.device

    def share(self, *batch: Tensor) -> tuple[Tensor, ...]:
        """This process' part of a batch's tensors, on its device."""
        return tuple(part[self.rank :: self.many].to(self.device) for part in batch)

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model as the processes train it together; the model itself where there is one process."""
        if self.many == 1:
            return model
        if self.device.type == "cuda":
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return DistributedDataParallel(model)

    def agree(self, *models: nn.Module) -> None:
        """Take over the first process' statistics, which are no weights: or processes would validate differently."""
        for buffer in (buffer for model in models for buffer in model.buffers() if self.many > 1):
            dist.broadcast(buffer, 0)

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """A block that others enter once the first process has left it, as what it writes is for all of them."""
        if self.rank > 0:
            dist.barrier()
        yield
        if self.rank == 0 and self.many > 1:
            dist.barrier()

    def mean(self, value: float) -> float:
        """The mean of a number over all processes."""
        if self.many == 1:
            return value
        total = torch.tensor(value, device=self.device)
        dist.all_reduce(total)
        return total.item() / self.many


def unwrapped(model: nn.Module) -> nn.Module:
    """The model itself, of what `Process.wrap` made."""
    return model.module if isinstance(model, DistributedDataParallel) else model


@functools.cache
def this_process() -> Process:
    """Who we are, by the variables that `torchrun` sets; without them, the only one. On a GPU where there is one."""
    many, gpu = int(os.environ.get("WORLD_SIZE", 1)), torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if gpu else torch.device("cpu")
    if many > 1:
        dist.init_process_group("nccl" if gpu else "gloo")
    return Process(int(os.environ.get("RANK", 0)), many, device)
