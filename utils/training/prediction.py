"""Predictions and embeddings of a trained model for many clips, in batches and in evaluation mode."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from utils import InputError
from utils.features.log_mel import pad


def predict(model: nn.Module, features: Sequence[Tensor], floor: float, batch_size: int = 128) -> Tensor:
    """Posterior probabilities (clips, 10) of the digits.

    The model is put in evaluation mode: no dropout, and batch normalisation uses its running statistics.

    Args:
        model: `forward(features (batch, frames, mels), lengths (batch,)) -> logits (batch, 10)`.
        features: a list of (frames, mels).
        floor: the value to pad with, `FeatureConfig.floor`.
        batch_size: in clips.
    """
    return predict_logits(model, features, floor, batch_size).softmax(1)


def predict_logits(model: nn.Module, features: Sequence[Tensor], floor: float, batch_size: int = 128) -> Tensor:
    """Logits (clips, 10). Arguments as for `predict`."""
    return _in_batches(model, model, features, floor, batch_size)


def embed(model: nn.Module, features: Sequence[Tensor], floor: float, batch_size: int = 128) -> Tensor:
    """The last hidden layer (clips, width). Arguments as for `predict`.

    Raises `InputError` if the model has no `embed`.
    """
    return _in_batches(model, embed_of(model), features, floor, batch_size)


def embed_of(model: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    """The `embed` of a model: features (batch, frames, mels) and lengths (batch,) to (batch, width).

    Raises `InputError` if the model has none.
    """
    embed = getattr(model, "embed", None)
    if embed is None:
        raise InputError(f"{_name(model)} has no `embed`; t-SNE, self-training and contrastive learning need it")
    return embed


def head_of(model: nn.Module) -> nn.Sequential:
    """The `head` of a network, from what `embed` returns to the logits.

    Raises `InputError` if it has no `head` that is an `nn.Sequential` ending in a linear layer.
    """
    head = getattr(model, "head", None)
    if not isinstance(head, nn.Sequential) or not isinstance(head[-1], nn.Linear):
        raise InputError(
            f"{_name(model)} has no `head` that is an nn.Sequential ending in a linear layer; contrastive learning and "
            "a linear probe (only_head) need it (see docs/your_model.md)"
        )
    return head


def embedding_width(model: nn.Module) -> int:
    """The size of a network's last hidden layer: what `embed` returns and `head` takes (see `embed_of`, `head_of`)."""
    embed_of(model)
    linear = head_of(model)[-1]
    assert isinstance(linear, nn.Linear)
    return linear.in_features


def _name(model: nn.Module) -> str:
    return f"the model {type(model).__name__}"


@torch.inference_mode()
def _in_batches(
    model: nn.Module, function: Callable, features: Sequence[Tensor], floor: float, batch_size: int
) -> Tensor:
    """Apply a function of the model to all clips, in batches of similar length. Rows are in the order of the clips."""
    model.eval()
    device = next((weight.device for weight in model.parameters()), torch.device("cpu"))
    order = sorted(range(len(features)), key=lambda i: len(features[i]))
    outputs = []
    for start in range(0, len(order), batch_size):
        clips, lengths = pad([features[i] for i in order[start : start + batch_size]], floor)
        outputs.append(function(clips.to(device), lengths.to(device)).cpu())
    output = torch.cat(outputs)
    if output.isnan().any():  # weights can be finite, and too large to compute with
        raise InputError(f"{_name(model)} answers with NaN; its weights are unusable")
    return output[torch.tensor(order).argsort()]
