"""The training loop: minimises an objective, reproducibly, and resumes after an interruption."""

import hashlib
import io
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, OneCycleLR, ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from utils import InputError
from utils.files import check_file, write_atomically
from utils.progress import Progress
from utils.settings import check_limits
from utils.training import memory
from utils.training.distributed import this_process, unwrapped
from utils.training.prediction import predict

if TYPE_CHECKING:  # they import this module
    from utils.training.objectives import Objective

SCHEDULES = ("one-cycle", "cosine", "plateau", "constant")


@dataclass(frozen=True)
class Optimisation:
    """Settings of the optimiser, AdamW (Loshchilov and Hutter 2019), and of its schedule."""

    epochs: int = 40
    min_steps: int = 0  # with few clips, train for more epochs until there are this many steps
    batch_size: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 0.01
    schedule: str = "one-cycle"  # or "cosine", "constant", "plateau" (halved when the validation loss stops improving)
    ema_decay: float = 0.0  # of the exponential moving average of the weights (0.99: about the last 100 steps); 0: off
    clip_norm: float | None = 5.0  # gradients are clipped to this norm; null: off
    patience: int | None = None  # stop after this many epochs without a better validation accuracy; null: off

    def __post_init__(self):
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, not {self.schedule!r}")
        if self.learning_rate <= 0 or self.weight_decay < 0 or not 0 <= self.ema_decay < 1:
            raise ValueError("need learning_rate > 0, weight_decay >= 0 and ema_decay within [0, 1)")
        if self.clip_norm is not None and self.clip_norm <= 0:
            raise ValueError("clip_norm must be positive, or null")
        check_limits(self, epochs=(1, 100_000), patience=(1, 100_000), batch_size=(2, 2**16), min_steps=(0, 10**7))


def train(
    model: nn.Module,
    objective: "Objective",
    config: Optimisation,
    *,
    seed: int,
    validation: tuple[list[Tensor], Tensor] | None = None,
    state: Path | None = None,
    progress: bool = False,
    title: str = "training",
) -> list[dict]:
    """Train a model in place.

    The random numbers of an epoch (order, augmentation, dropout) depend on the seed and the epoch's number alone. So a
    run that is killed and resumes from the file `state`, after its last complete epoch, ends with the same weights.

    Args:
        model: `forward(features (batch, frames, mels), lengths (batch,)) -> logits (batch, 10)`.
        objective: see `objectives` and `contrastive_objectives`; has `batches`, `loss(model, batch)` and `generator`.
        config: the settings of the optimiser.
        seed: of all random numbers drawn here. The caller sets the initial weights.
        validation: features and labels (see `clip_features`) of speakers who are in neither the training nor the test
            set. Early stopping and the schedule "plateau" need them. With them, the weights of the epoch with the best
            validation accuracy are kept; otherwise those of the last epoch.
        state: the file to save to after every epoch, and to resume from if it exists.
        progress: whether to show a progress bar.
        title: of the progress bar.

    Returns:
        The history, one dict per epoch: `epoch`, `loss`, `learning_rate`, `seconds` and, with validation,
        `validation_loss` and `validation_accuracy`.

    Raises:
        InputError: the config needs validation and there is none, or the loss becomes infinite or NaN.
    """
    if validation is None and (config.patience is not None or config.schedule == "plateau"):
        raise InputError(
            "early stopping and the schedule 'plateau' need validation speakers, but this protocol has none"
        )
    memory.return_large_blocks()
    process = this_process()
    model.to(process.device, memory_format=_memory_format(model))  # type: ignore[call-overload]
    objective.to(process.device)
    weights = [*objective.trained(model), *objective.parameters()]
    optimizer = torch.optim.AdamW(weights, config.learning_rate, weight_decay=config.weight_decay)
    epochs = max(config.epochs, math.ceil(config.min_steps / len(objective.batches)))
    scheduler = make_scheduler(optimizer, config, steps=epochs * len(objective.batches))
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay), use_buffers=True)
    final = averaged.module if config.ema_decay else model
    network = process.wrap(model)

    parts: dict[str, Any] = {
        "model": model,
        "objective": objective,
        "averaged": averaged,
        "optimizer": optimizer,
        "scheduler": scheduler,
    }
    history, best = _resume(parts, state, process.device)
    shown = progress and process.rank == 0
    with Progress(total=epochs, desc=title, unit="epoch", initial=len(history), shown=shown) as bar:
        if epochs > config.epochs and not bar.disable:
            reason = f"with so few clips, {config.epochs} would be under {config.min_steps} steps (min_steps)"
            bar.write(f"training for {epochs} epochs instead of {config.epochs}: {reason}", file=sys.stderr)
        while len(history) < epochs and not _stopped_improving(history, config.patience):
            started = time.perf_counter()
            epoch_seed = seed * 100_003 + len(history)
            objective.generator.manual_seed(epoch_seed)
            # dropout differs between processes, as each has its own share of the clips
            torch.manual_seed(epoch_seed * process.world_size + process.rank)
            loss = process.mean(_epoch(network, objective, weights, optimizer, scheduler, averaged, config.clip_norm))
            row = {"epoch": len(history) + 1, "loss": loss, "learning_rate": optimizer.param_groups[0]["lr"]}
            process.sync_buffers(model, averaged)
            if validation is not None:
                row |= _validate(final, *validation, objective.floor)
                if row["validation_accuracy"] > max((r["validation_accuracy"] for r in history), default=-1.0):
                    best = {name: weight.clone() for name, weight in final.state_dict().items()}
                if isinstance(scheduler, ReduceLROnPlateau):
                    scheduler.step(row["validation_loss"])
            history.append(row | {"seconds": time.perf_counter() - started})
            if state is not None and process.rank == 0:
                _save(state, parts, history, best)
            figures = (f"{name}={row[name]:.3f}" for name in ("loss", "validation_accuracy") if name in row)
            bar.set_postfix_str(", ".join(figures), refresh=False)
            bar.update()
    model.load_state_dict(best or final.state_dict())
    model.to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    return history


def _memory_format(model: nn.Module) -> torch.memory_format:
    """Channels last, which makes 2-D convolutions a third faster, unless it would crash.

    The gradient of a 1x1 convolution with a stride and under 16 channels writes beyond its memory there (PyTorch 2.11).
    """
    narrow = [part for part in model.modules() if isinstance(part, nn.Conv2d) and part.in_channels < 16]
    if any(part.kernel_size == (1, 1) and part.stride != (1, 1) for part in narrow):
        return torch.contiguous_format
    return torch.channels_last


def _epoch(
    model: nn.Module,
    objective: "Objective",
    weights: list[nn.Parameter],
    optimizer: torch.optim.Optimizer,
    scheduler: LRScheduler | ReduceLROnPlateau,
    averaged: AveragedModel,
    clip_norm: float | None,
) -> float:
    """Train on every batch once; returns the mean loss. GPUs compute in mixed precision."""
    model.train()
    losses, kind = [], weights[0].device.type
    for number, batch in enumerate(objective.batches):
        if number % memory.EVERY == 0:
            memory.release()
        with torch.autocast(kind, torch.bfloat16, enabled=kind == "cuda"):
            loss = objective.loss(model, batch)
        optimizer.zero_grad()
        loss.backward()
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(weights, clip_norm)
        optimizer.step()
        if not isinstance(scheduler, ReduceLROnPlateau):
            scheduler.step()
        averaged.update_parameters(unwrapped(model))
        losses.append(loss.item())
        if not math.isfinite(losses[-1]):
            raise InputError("training diverged: the loss is infinite or NaN; try a smaller learning_rate")
    return sum(losses) / len(losses)


def make_scheduler(
    optimizer: torch.optim.Optimizer, config: Optimisation, steps: int
) -> LRScheduler | ReduceLROnPlateau:
    """The schedule of the learning rate over `steps` steps."""
    match config.schedule:
        case "one-cycle":  # Smith and Topin 2018: rises for a fifth of the steps, then falls
            total = max(steps, 10)  # PyTorch divides by zero if the rise is a single step
            return OneCycleLR(optimizer, config.learning_rate, total_steps=total, pct_start=0.2)
        case "cosine":  # Loshchilov and Hutter 2017
            return CosineAnnealingLR(optimizer, T_max=steps)
        case "plateau":
            return ReduceLROnPlateau(optimizer, factor=0.5, patience=3)
        case "constant":
            return LambdaLR(optimizer, lambda step: 1.0)
    raise ValueError(config.schedule)


def _validate(model: nn.Module, features: list[Tensor], labels: Tensor, floor: float) -> dict:
    probabilities = predict(model, features, floor)
    return {
        "validation_loss": F.nll_loss(probabilities.clamp_min(1e-12).log(), labels).item(),
        "validation_accuracy": (probabilities.argmax(1) == labels).float().mean().item(),
    }


def _stopped_improving(history: list[dict], patience: int | None) -> bool:
    if patience is None or not history:
        return False
    accuracy = [row["validation_accuracy"] for row in history]
    return len(history) - 1 - accuracy.index(max(accuracy)) >= patience


def _save(state: Path, parts: dict, history: list[dict], best: dict | None) -> None:
    """Write what `_resume` reads: a checksum, then the file of `torch.save`, in which a flipped bit goes unnoticed."""
    saved = {name: part.state_dict() for name, part in parts.items()} | {"history": history, "best": best}

    def write(path: Path) -> None:
        content = io.BytesIO()
        torch.save(saved, content)
        path.write_bytes(_checksum(content.getvalue(), state.name) + content.getvalue())

    write_atomically(state, write)


def _checksum(content: bytes, name: str) -> bytes:
    """The name is part of it, as it names the settings, the clips and the code that a state belongs to."""
    return hashlib.sha256(name.encode() + content).digest()


def _resume(parts: dict, state: Path | None, device: torch.device) -> tuple[list[dict], dict | None]:
    """Restore what an interrupted run saved. Returns its history and, with validation, its best weights."""
    if state is None or not state.exists():
        return [], None
    check_file(state)
    stored = state.read_bytes()
    checksum, content = stored[:32], stored[32:]
    if checksum != _checksum(content, state.name):
        print(f"{state}: damaged, or of another training, so training starts anew", file=sys.stderr)
        return [], None
    saved = torch.load(io.BytesIO(content), map_location=device, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(saved[name])
    return saved["history"], saved["best"]
