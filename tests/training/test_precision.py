"""Training in bfloat16 computes the same on processors that have no instructions for it."""

import pytest
import torch
from torch import nn

from utils.experiments.models import find_model
from utils.training.precision import RoundedFactors, arithmetic

LENGTHS = torch.tensor([30, 21, 30, 17])


def learn(model: nn.Module, block) -> torch.Tensor:
    """The gradients of a step, in one vector."""
    torch.manual_seed(0)
    model.zero_grad()
    with block:
        logits = model(torch.randn(4, 30, 40), LENGTHS)
    logits.float().square().mean().backward()
    return torch.cat([weight.grad.flatten() for weight in model.parameters()])


@pytest.mark.parametrize("name", ["cnn1d", "resnet", "vit"])
def test_rounded_factors_give_the_gradients_of_bfloat16(name, monkeypatch):
    """Their distance from PyTorch's is a fraction of that from float32."""
    network, config = find_model(name)
    model = network(config(n_mels=40))
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    rounded = learn(model, arithmetic("bfloat16"))
    native = learn(model, torch.autocast("cpu", torch.bfloat16))
    exact = learn(model, arithmetic("float32"))
    assert (exact - native).norm() > 0
    assert (rounded - native).norm() < 0.7 * (exact - native).norm()


def test_where_there_are_instructions_for_bfloat16_nothing_else_is_used(monkeypatch):
    network, config = find_model("cnn1d")
    model = network(config(n_mels=40))
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    assert torch.equal(learn(model, arithmetic("bfloat16")), learn(model, torch.autocast("cpu", torch.bfloat16)))


def test_sums_of_rounded_factors_are_float32():
    """In bfloat16, 256 + 1 is 256."""
    ones, weights = torch.ones(1, 512), torch.ones(1, 512)
    with torch.autocast("cpu", torch.bfloat16), RoundedFactors():
        assert nn.functional.linear(ones, weight=weights).tolist() == [[512.0]]
        with torch.autocast("cpu", enabled=False):  # a layer that a network keeps in float32
            assert nn.functional.linear(ones + 1e-4, weights).item() == pytest.approx(512 * 1.0001)
