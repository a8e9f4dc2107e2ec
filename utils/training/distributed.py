"""Data-parallel training: `torchrun` starts several processes, on one machine or many, and gradients are averaged.

Every process draws the same batches and augments them in the same way, then trains on its share of each batch. Where
the shares are of equal size, the gradient equals that of a single process, with two exceptions. Dropout is drawn by
each process for its own clips. On the CPU, each process normalises by the batch statistics of its own share, and adopts
the running statistics of the first process after each epoch (on GPUs they are computed over the whole batch).
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

from utils import InputError


@dataclass(frozen=True)
class Process:
    """This process: its `rank` among `world_size` processes, and the device that it computes on."""

    rank: int
    world_size: int
    device: torch.device

    def share(self, *batch: Tensor) -> tuple[Tensor, ...]:
        """This process's share of a batch's tensors, on its device."""
        return tuple(part[self.rank :: self.world_size].to(self.device) for part in batch)

    def whole(self, *batch: Tensor) -> tuple[Tensor, ...]:
        """A batch's tensors, undivided, on this device: a contrastive loss, for example, compares all of its clips.

        Raises `InputError` if there are several processes.
        """
        if self.world_size > 1:
            raise InputError(
                "pre-training, contrastive learning and training on strings run in a single process; start it without "
                "torchrun"
            )
        return self.share(*batch)

    def wrap(self, model: nn.Module) -> nn.Module:
        """Wrap the model for training by several processes; with a single process, return it as it is."""
        if self.world_size == 1:
            return model
        if self.device.type == "cuda":
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return DistributedDataParallel(model)

    def sync_buffers(self, *models: nn.Module) -> None:
        """Adopt the first process's running statistics, so that all processes get the same validation results."""
        if self.world_size > 1:
            for model in models:
                for buffer in model.buffers():
                    dist.broadcast(buffer, 0)

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """A block that the first process runs before the others, so that they find the files that it has written."""
        if self.rank > 0:
            dist.barrier()
        yield
        if self.rank == 0 and self.world_size > 1:
            dist.barrier()

    def mean(self, value: float) -> float:
        """The mean of a number over all processes."""
        if self.world_size == 1:
            return value
        total = torch.tensor(value, device=self.device)
        dist.all_reduce(total)
        return total.item() / self.world_size


def unwrapped(model: nn.Module) -> nn.Module:
    """The model itself, without the wrapper that `Process.wrap` may have added."""
    return model.module if isinstance(model, DistributedDataParallel) else model


@functools.cache
def this_process() -> Process:
    """This process, from the environment variables that `torchrun` sets. Uses a GPU if there is one."""
    world_size, gpu = int(os.environ.get("WORLD_SIZE", 1)), torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if gpu else torch.device("cpu")
    if world_size > 1:
        dist.init_process_group("nccl" if gpu else "gloo")
    return Process(int(os.environ.get("RANK", 0)), world_size, device)
