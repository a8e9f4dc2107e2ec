"""What a model promises, and no more. The same checks hold for the project's own models and for yours.

Each check takes a function that makes the model, and raises `ContractError` with a message that says what is wrong and
what usually causes it. `make check NAME=...` runs them on one model; docs/your_model.md explains them.
"""

import io
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from utils import count
from utils.evaluation.metrics import cost
from utils.features.log_mel import FeatureConfig, pad

Make = Callable[[], nn.Module]
FEATURES = FeatureConfig()
FLOOR = -1.5  # what the clips are padded with; not zero, so that a model that looks at the padding is found out
TOLERANCE = 1e-4  # of logits that should be equal: sums are rounded differently in batches of different shapes
LENGTHS = (1, 2, 3, 7, 16, 31, 60)  # frames of the clips; a second of speech is 101


class ContractError(AssertionError):
    """A model does not keep a promise."""


def require(kept: bool, message: str) -> None:
    """Raise `ContractError` unless a promise is kept."""
    if not kept:
        raise ContractError(message)


def check_shapes(make: Make) -> None:
    """Features (batch, frames, mels) with lengths (batch,) become finite logits (batch, 10), whatever the length."""
    model = settled(make)
    for lengths in ((30, 12, 44), *((length,) for length in LENGTHS)):
        logits = _logits(model, random_clips(*lengths))
        frames = " and ".join(map(str, lengths))
        require(
            logits.shape == (len(lengths), 10),
            f"clips of {frames} frames give logits of shape {tuple(logits.shape)}, not ({len(lengths)}, 10). "
            "`forward` returns one row per clip, with a logit for each digit.",
        )
        wrong = "NaN" if logits.isnan().any() else "infinite"
        require(
            bool(logits.isfinite().all()),
            f"clips of {frames} frames give {wrong} logits. The usual causes are a division by the number of frames "
            "left after pooling or striding when none is left, a logarithm of zero, and a softmax in which every frame "
            "is masked.",
        )


def check_padding(make: Make) -> None:
    """A clip's logits do not depend on how much padding its batch gave it."""
    model = settled(make)
    for frames in LENGTHS:
        (clip,) = random_clips(frames)
        alone = _logits(model, [clip])[0]
        for longest in (frames + 1, 61, 90):
            padded = _logits(model, [clip, *random_clips(longest)])[0]
            change = (padded - alone).abs().max().item()
            require(
                change <= TOLERANCE * (1 + alone.abs().max().item()),
                f"the logits of a clip of {count(frames, 'frame')} change by up to {change:.2g} when its "
                f"batch pads it to {longest} frames. The model looks at the padding. The usual causes are a mean or a "
                "maximum over time that includes it, a convolution over it after a bias or a normalisation has made it "
                "other than zero, and attention without a mask. Use `lengths` (model_neural/cnn1d.py shows how).",
            )


def check_batch(make: Make) -> None:
    """A clip's logits do not depend on the other clips of its batch, nor on its place among them."""
    model = settled(make)
    clips = random_clips(20, 33, 27, 33)
    together = _logits(model, clips)
    reversed_ = _logits(model, clips[::-1]).flip(0)
    replaced = _logits(model, [clips[0], *(3 * clip for clip in clips[1:])])
    for change, how in (
        ((reversed_ - together).abs().max().item(), "the batch is put in another order"),
        ((replaced - together)[0].abs().max().item(), "the other clips of its batch are louder"),
    ):
        require(
            change <= TOLERANCE * (1 + together.abs().max().item()),
            f"a clip's logits change by up to {change:.2g} when {how}. The usual causes are statistics over the whole "
            "batch in evaluation mode (a batch normalisation without running statistics, `x.mean()` without `dim`) and "
            "a reshape that mixes the batch with another dimension.",
        )


def check_evaluation(make: Make) -> None:
    """In evaluation mode the same clips always get the same logits."""
    model = settled(make)
    clips = random_clips(30, 44)
    change = (_logits(model, clips) - _logits(model, clips)).abs().max().item()
    require(
        change == 0,
        f"the same clips get other logits the second time, by up to {change:.2g}, in evaluation mode. The usual causes "
        "are `F.dropout(x)` without `training=self.training`, and random numbers drawn in `forward`.",
    )


def check_gradients(make: Make) -> None:
    """The loss has a gradient with respect to every parameter that is trained."""
    torch.manual_seed(0)
    model = make().train()
    logits = model(*pad(random_clips(40, 33, 21, 38), FLOOR))
    F.cross_entropy(logits, torch.tensor([1, 5, 0, 9])).backward()
    trained = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    without = [name for name, weight in trained if weight.grad is None or not weight.grad.any()]
    require(
        not without,
        f"no gradient reaches {', '.join(without)}. The usual causes are a layer that is defined and not used, "
        "`.detach()` or `torch.no_grad()` on the way, and an activation that is always zero.",
    )


def check_seed(make: Make) -> None:
    """The same seed gives the same initial weights."""
    torch.manual_seed(0)
    first = make().state_dict()
    torch.manual_seed(0)
    second = make().state_dict()
    different = [name for name, weight in first.items() if not torch.equal(weight, second[name])]
    require(
        not different,
        f"with the same seed {', '.join(different)} start with other weights. Draw initial weights with PyTorch's "
        "functions alone, not with NumPy's or Python's.",
    )


def check_round_trip(make: Make) -> None:
    """A model that is saved and loaded into a new one gives the same logits, bit for bit."""
    model, clips = settled(make), random_clips(30, 44)
    file = io.BytesIO()
    torch.save({"model_state": model.state_dict()}, file)
    file.seek(0)
    again = make().eval()
    again.load_state_dict(torch.load(file, weights_only=True)["model_state"])
    change = (_logits(again, clips) - _logits(model, clips)).abs().max().item()
    require(
        change == 0,
        f"after saving and loading, the logits differ by up to {change:.2g}. The usual cause is a tensor that is kept "
        "as a plain attribute: make it an `nn.Parameter`, or register it with `register_buffer`.",
    )


def check_embedding(make: Make) -> None:
    """Where a model has `embed` and `head`, the head turns the embedding (batch, width) into the logits."""
    model: Any = settled(make)
    if not (hasattr(model, "embed") and hasattr(model, "head")):
        return
    batch = pad(random_clips(30, 12), FLOOR)
    with torch.no_grad():
        embedding, logits = model.embed(*batch), model(*batch)
        require(
            embedding.ndim == 2 and len(embedding) == 2,
            f"`embed` returns the shape {tuple(embedding.shape)}, not (batch, width).",
        )
        change = (model.head(embedding) - logits).abs().max().item()
    require(change <= TOLERANCE, f"`head(embed(...))` differs from `forward(...)` by up to {change:.2g}.")


def check_cost(make: Make) -> None:
    """Parameters and multiply-adds can be counted."""
    counted = cost(make(), FEATURES)
    require(
        counted["parameters"] > 0,
        "the model has no parameters. Layers in a plain list are not found; use `nn.ModuleList`.",
    )
    require(counted["multiply_adds"] > 0, "no multiplication was counted in `forward`: does it use the features?")


CHECKS: dict[str, Callable[[Make], None]] = {
    "shapes": check_shapes,
    "padding": check_padding,
    "batch": check_batch,
    "evaluation": check_evaluation,
    "gradients": check_gradients,
    "seed": check_seed,
    "round-trip": check_round_trip,
    "embedding": check_embedding,
    "cost": check_cost,
}


def random_clips(*frames: int) -> list[Tensor]:
    """Features (frames, mels) of random clips, the same every time."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(length, FEATURES.n_mels, generator=generator) for length in frames]


def settled(make: Make) -> nn.Module:
    """A model in evaluation mode; its statistics and weights are not those of the start, which may hide faults."""
    torch.manual_seed(0)
    model = make().train()
    with torch.no_grad():
        for _ in range(3):
            model(*pad(random_clips(30, 40, 50, 35), FLOOR))  # moves the statistics of batch normalisation
        for weight in model.parameters():
            weight.add_(0.02 * torch.randn_like(weight))  # moves biases off zero
    return model.eval()


@torch.no_grad()
def _logits(model: nn.Module, clips: Sequence[Tensor]) -> Tensor:
    return model(*pad(clips, FLOOR))
