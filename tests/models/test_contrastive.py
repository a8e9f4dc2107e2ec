"""Each contrastive loss equals a naive version of its paper's formula, and that of pytorch-metric-learning."""

import math
from functools import partial

import pytest
import torch
from pytorch_metric_learning import losses as pml
from pytorch_metric_learning.reducers import AvgNonZeroReducer
from torch.nn.functional import normalize

from model_neural.contrastive import Projection, balance, nt_xent, supervised_contrastive, swav, triplet


def points(n: int, dims: int = 8) -> torch.Tensor:
    return normalize(torch.randn(n, dims, generator=torch.Generator().manual_seed(n)), dim=1)


def assert_same(ours, theirs, *arguments) -> None:
    """Two losses have the same value, and the same gradient with respect to the points before normalisation."""
    x = (3 * points(12)).requires_grad_()
    values = [loss(normalize(x, dim=1), *arguments) for loss in (ours, theirs)]
    torch.testing.assert_close(*values)
    torch.testing.assert_close(*(torch.autograd.grad(value, x)[0] for value in values))


VIEWS = torch.arange(6).repeat(2)  # two views of each of six clips
DIGITS = torch.tensor([0, 1, 2, 0, 1, 2, 0, 0, 1, 5, 2, 1])  # 5 occurs once
SPEAKERS = torch.tensor([0, 0, 0, 1, 1, 0, 1, 0, 2, 0, 2, 2])


def naive_nt_xent(z, groups, temperature):
    """Chen et al. 2020, eq. 1, averaged over both orders of every pair."""
    losses = []
    for i in range(len(z)):
        (j,) = (k for k in range(len(z)) if k != i and groups[k] == groups[i])
        numerator = math.exp(float(z[i] @ z[j]) / temperature)
        denominator = sum(math.exp(float(z[i] @ z[k]) / temperature) for k in range(len(z)) if k != i)
        losses.append(-math.log(numerator / denominator))
    return sum(losses) / len(losses)


def naive_supcon(z, groups, temperature, speakers=None):
    """Khosla et al. 2020, eq. 2: the sum over positives is outside the logarithm."""
    losses = []
    for i in range(len(z)):
        compared = [k for k in range(len(z)) if k != i]
        positives = [k for k in compared if groups[k] == groups[i]]
        if speakers is not None:
            compared = [k for k in compared if groups[k] != groups[i] or speakers[k] != speakers[i]]
            positives = [k for k in positives if speakers[k] != speakers[i]]
        if not positives:
            continue
        denominator = sum(math.exp(float(z[i] @ z[k]) / temperature) for k in compared)
        terms = [math.log(math.exp(float(z[i] @ z[p]) / temperature) / denominator) for p in positives]
        losses.append(-sum(terms) / len(terms))
    return sum(losses) / len(losses)


def naive_triplet(z, groups, margin):
    violated = []
    for a in range(len(z)):
        for p in range(len(z)):
            for n in range(len(z)):
                if a != p and groups[a] == groups[p] and groups[a] != groups[n]:
                    loss = float((z[a] - z[p]).norm() - (z[a] - z[n]).norm()) + margin
                    violated += [loss] if loss > 0 else []
    return sum(violated) / len(violated) if violated else 0.0


@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_nt_xent_equals_its_references(temperature):
    z = points(12)
    loss = nt_xent(z, VIEWS, temperature)
    assert loss.item() == pytest.approx(naive_nt_xent(z, VIEWS, temperature), rel=1e-5)
    assert_same(partial(nt_xent, temperature=temperature), pml.NTXentLoss(temperature), VIEWS)


@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_supervised_contrastive_equals_its_references(temperature):
    z = points(12)
    loss = supervised_contrastive(z, DIGITS, temperature)
    assert loss.item() == pytest.approx(naive_supcon(z, DIGITS, temperature), rel=1e-5)
    assert_same(partial(supervised_contrastive, temperature=temperature), pml.SupConLoss(temperature), DIGITS)


def test_supervised_contrastive_across_speakers_equals_its_formula():
    z = points(12).requires_grad_()
    loss = supervised_contrastive(z, DIGITS, 0.1, SPEAKERS)
    assert loss.item() == pytest.approx(naive_supcon(z.detach(), DIGITS, 0.1, SPEAKERS), rel=1e-5)
    assert torch.autograd.grad(loss, z)[0].isfinite().all()
    one_speaker = supervised_contrastive(z, DIGITS, 0.1, torch.zeros(12))  # a single speaker: no positives
    assert one_speaker.item() == 0 and torch.autograd.grad(one_speaker, z)[0].isfinite().all()


def test_supervised_contrastive_on_two_views_is_nt_xent():
    z = points(12)
    torch.testing.assert_close(supervised_contrastive(z, VIEWS, 0.2), nt_xent(z, VIEWS, 0.2))


@pytest.mark.parametrize("groups", [VIEWS, DIGITS], ids=["views", "digits"])
@pytest.mark.parametrize("margin", [0.05, 0.5])
def test_triplet_equals_its_references(groups, margin):
    z = points(12)
    loss = triplet(z, groups, margin)
    assert loss.item() == pytest.approx(naive_triplet(z, groups, margin), rel=1e-5)
    theirs = pml.TripletMarginLoss(margin, reducer=AvgNonZeroReducer(), triplets_per_anchor="all")
    assert_same(partial(triplet, margin=margin), theirs, groups)


def test_triplets_that_satisfy_the_margin_have_no_loss():
    z = torch.eye(3)[[0, 0, 1, 1]].requires_grad_()
    loss = triplet(z, torch.tensor([0, 0, 1, 1]), 0.5)
    assert loss.item() == 0 and torch.autograd.grad(loss, z)[0].isfinite().all()


def test_balance_makes_all_groups_equally_large():
    skewed = torch.rand(200, 10, generator=torch.Generator().manual_seed(0)) * torch.linspace(0.2, 3, 10)
    balanced = balance(skewed, iterations=50)
    torch.testing.assert_close(balanced.sum(1), torch.ones(200))
    torch.testing.assert_close(balanced.sum(0), torch.full((10,), 20.0), atol=0.01, rtol=0)


def test_swav_equals_its_formula():
    """Assignments are balanced for each speaker alone, and the cross-entropy is taken both ways."""
    similarity = points(24, 5)  # two views of twelve clips, five prototypes
    expected = []
    for this, other in ((similarity[:12], similarity[12:]), (similarity[12:], similarity[:12])):
        for i in range(12):
            own = [k for k in range(12) if SPEAKERS[k] == SPEAKERS[i]]
            shares = [[math.exp(float(other[k, g]) / 0.05) for g in range(5)] for k in own]
            for _ in range(3):
                columns = [sum(row[g] for row in shares) for g in range(5)]
                shares = [[row[g] / columns[g] for g in range(5)] for row in shares]
                shares = [[value / sum(row) for value in row] for row in shares]
            denominator = sum(math.exp(float(this[i, g]) / 0.2) for g in range(5))
            predicted = [math.exp(float(this[i, g]) / 0.2) / denominator for g in range(5)]
            expected.append(-sum(q * math.log(p) for q, p in zip(shares[own.index(i)], predicted, strict=True)))
    assert swav(similarity, SPEAKERS, 0.2).item() == pytest.approx(sum(expected) / 24, rel=1e-4)


def test_swav_computes_in_full_precision():
    """On GPUs the cosines come in half precision, which is too coarse for balancing."""
    coarse = points(24, 5).bfloat16()
    assert torch.equal(swav(coarse, SPEAKERS, 0.2), swav(coarse.float(), SPEAKERS, 0.2))


def test_swav_prefers_groups_by_word_to_groups_by_speaker():
    group = torch.tensor([0, 1, 2, 0, 1, 2])
    speakers = torch.tensor([0, 0, 0, 1, 1, 1])
    words = 2 * torch.nn.functional.one_hot(group, 3) - 1.0
    voices = 2 * torch.nn.functional.one_hot(speakers, 3) - 1.0
    by_word, by_voice = (swav(torch.cat([s, s]), speakers, 0.1) for s in (words, voices))
    assert by_word < 0.01 < by_voice


def test_projections_are_unit_vectors():
    z = Projection(16, 4)(torch.randn(5, 16))
    torch.testing.assert_close(z.norm(dim=1), torch.ones(5))
