"""What the project's own networks can do beyond the contract (test_contract.py): overfit, and be pre-trained."""

import pytest
import torch
from torch import nn

from utils.evaluation import results
from utils.evaluation.metrics import cost
from utils.experiments.config import made_by, make_model
from utils.experiments.models import find_model
from utils.features.log_mel import pad
from utils.training.prediction import embedding_width

NETWORKS = ("cnn1d", "cnn2d", "gru", "resnet", "vit")
MELS = 20
FLOOR = -1.5


@pytest.fixture(params=[*((name, {}) for name in NETWORKS), ("resnet", {"context": True})], ids=str)
def network(request) -> nn.Module:
    torch.manual_seed(0)
    name, settings = request.param
    kind, config = find_model(name)
    return kind(config(n_mels=MELS, **settings)).train()


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return pad([torch.randn(frames, MELS, generator=generator) for frames in (40, 33, 21, 38)], FLOOR)


def test_a_network_overfits_four_clips(network, batch):
    labels = torch.tensor([1, 5, 0, 9])
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(*batch), labels).backward()
        optimizer.step()
    with torch.no_grad():
        assert torch.equal(network.eval()(*batch).argmax(1), labels)


def test_a_network_has_an_embedding_and_a_head_of_dropout_and_a_linear_layer(network, batch):
    """A linear probe, a projection and `embedding_width` rely on it."""
    dropout, linear = network.head
    assert isinstance(dropout, nn.Dropout)
    assert network.embed(*batch).shape == (4, embedding_width(network)) == (4, linear.in_features)


@pytest.mark.parametrize(
    "run",
    ["linear/course", "cnn1d/course", "gru/course", "vit/course", "resnet/course", "digits/course", "strings/course"]
    + ["arabic_cnn/split"],
)
def test_a_network_is_as_large_and_costly_as_the_tables_say(run):
    """Nothing else would tell a network from another that learns as well."""
    stored = results.load(results.STORE / run / "seed-0.json")
    experiment = made_by(stored)
    measured = cost(make_model(experiment), experiment.features)
    assert measured == {key: stored[key] for key in ("parameters", "multiply_adds")}


@torch.no_grad()
@pytest.mark.parametrize("frames", [1, 2, 7, 31])
def test_the_embedding_of_a_clip_does_not_depend_on_its_batch(network, batch, frames):
    """The contract checks the logits."""
    network(*batch)  # moves the statistics of batch normalisation
    network.eval()
    clip = torch.randn(frames, MELS, generator=torch.Generator().manual_seed(1))
    alone = network.embed(clip.unsqueeze(0), torch.tensor([frames]))[0]
    for longest in (frames + 1, 90):
        padded = network.embed(*pad([clip, torch.ones(longest, MELS)], FLOOR))[0]
        torch.testing.assert_close(padded, alone, atol=1e-4, rtol=1e-4)
