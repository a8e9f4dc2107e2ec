"""Where a batch becomes a prediction: what a model says of many clips, without gradients, in evaluation mode."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from utils import InputError
from utils.features.log_mel import pad


def predict(model: nn.Module, features: Sequence[Tensor], floor: float, batch_size: int = 128) -> Tensor:
    """Probabilities (clips, 10) of each digit, for features that are a list of (frames, mels).

    The model is put in evaluation mode: dropout off, batch normalisation by the statistics of training.
    """
    return predict_logits(model, features, floor, batch_size).softmax(1)


def predict_logits(model: nn.Module, features: Sequence[Tensor], floor: float, batch_size: int = 128) -> Tensor:
    """Logits (clips, 10), of which `predict` makes probabilities; as for `predict`."""
    return _in_batches(model, model, features, floor, batch_size)


def embed(model: nn.Module, features: Sequence[Tensor], floor: float, batch_size: int = 128) -> Tensor:
    """The last hidden layer (clips, width) for features that are a list of (frames, mels); as for `predict`."""
    if not hasattr(model, "embed"):
        raise InputError(f"{_name(model)} has no `embed`, which t-SNE, self-training and contrastive learning need")
    return _in_batches(model, model.embed, features, floor, batch_size)


def embedding_width(model: nn.Module) -> int:
    """The size of a network's last hidden layer, between its `embed` and its `head`: a dropout and a linear layer."""
    head = getattr(model, "head", None)
    if not hasattr(model, "embed") or not isinstance(head, nn.Sequential) or not isinstance(head[-1], nn.Linear):
        raise InputError(
            f"{_name(model)} has no `embed`, or no `head` that ends with a linear layer; contrastive learning and a "
            "linear probe (only_head) need both (see docs/your_model.md)"
        )
    return head[-1].in_features


def _name(model: nn.Module) -> str:
    return f"the model {type(model).__name__}"


@torch.inference_mode()
def _in_batches(
    model: nn.Module, function: Callable, features: Sequence[Tensor], floor: float, batch_size: int
) -> Tensor:
    """What a function of the model makes of each clip; clips of similar length go together."""
    model.eval()
    device = next((weight.device for weight in model.parameters()), torch.device("cpu"))
    order = sorted(range(len(features)), key=lambda i: len(features[i]))
    parts = []
    for start in range(0, len(order), batch_size):
        clips, lengths = pad([features[i] for i in order[start : start + batch_size]], floor)
        parts.append(function(clips.to(device), lengths.to(device)).cpu())
    return torch.cat(parts)[torch.tensor(order).argsort()]
