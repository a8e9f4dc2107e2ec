"""Contrastive losses: they pull embeddings of the same group together and push others apart, whatever the voice.

Three of them take points on the unit sphere, `z` (n, dims), and the group of each point, `groups` (n,). With two
augmented views of each clip and each clip as its own group, no labels are needed; with digits as groups, the labels are
used. The fourth, `swav`, finds the groups itself, without labels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ASSIGNMENT_TEMPERATURE = 0.05  # of `swav`; the lower it is, the closer an assignment is to a single group


class Projection(nn.Module):
    """Projects a model's last hidden layer to the unit sphere, where clips are compared. Discarded after training."""

    def __init__(self, width: int, dims: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, dims))

    def forward(self, embedding: Tensor) -> Tensor:
        """Embeddings (batch, width) to unit vectors (batch, dims)."""
        return F.normalize(self.layers(embedding), dim=1)


def nt_xent(z: Tensor, groups: Tensor, temperature: float) -> Tensor:
    """Normalised temperature-scaled cross-entropy (Chen et al. 2020, SimCLR, eq. 1).

    Each view has to pick the other view of its clip among all other points, like a classifier with 2N - 1 classes.

    Args:
        z: (2N, dims).
        groups: (2N,) the clip that a view was made from; each number occurs twice.
        temperature: the lower it is, the more the nearest negatives count.
    """
    similarity = (z @ z.T / temperature).fill_diagonal_(-torch.inf)  # excludes each point itself
    return F.cross_entropy(similarity, _same_group(groups).int().argmax(dim=1))


def supervised_contrastive(z: Tensor, groups: Tensor, temperature: float, speakers: Tensor | None = None) -> Tensor:
    """SupCon (Khosla et al. 2020, eq. 2, "out"): like `nt_xent`, but averaged over several positives per point.

    Args:
        z: (n, dims).
        groups: (n,) digits. A point with no positive is left out.
        temperature: as in `nt_xent`.
        speakers: (n,) speaker numbers, or None. If given, positives are points of the same digit by *another* speaker;
            those by the same speaker are neither positives nor negatives.
    """
    positive = _same_group(groups)
    compared = ~torch.eye(len(z), dtype=torch.bool, device=z.device)
    if speakers is not None:
        same_speaker = speakers.unsqueeze(0) == speakers.unsqueeze(1)
        compared = compared & ~(positive & same_speaker)
        positive = positive & ~same_speaker
    similarity = (z @ z.T / temperature).masked_fill(~compared, -torch.inf)
    log_probability = similarity - similarity.logsumexp(dim=1, keepdim=True)
    positives = positive.sum(1)
    per_point = -log_probability.masked_fill(~positive, 0.0).sum(1) / positives.clamp_min(1)
    return per_point[positives > 0].sum() / (positives > 0).sum().clamp_min(1)


def triplet(z: Tensor, groups: Tensor, margin: float) -> Tensor:
    """Triplet loss (Schroff et al. 2015), averaged over all triplets that violate the margin.

    This is the "batch all" loss without the easy triplets (Hermans et al. 2017, section 2). An anchor has to be closer
    to each point of its own group than to any other point, by at least `margin`. Triplets that satisfy this are left
    out of the mean: they are many and would dilute it.

    Args:
        z: (n, dims).
        groups: (n,).
        margin: Euclidean distance; the largest between points on the sphere is 2.
    """
    distance = torch.cdist(z, z)
    excess = distance.unsqueeze(2) - distance.unsqueeze(1) + margin  # (anchor, positive, negative)
    triplets = _same_group(groups).unsqueeze(2) & (groups.unsqueeze(0) != groups.unsqueeze(1)).unsqueeze(1)
    violated = excess[triplets & (excess > 0)]
    return violated.sum() / max(1, len(violated))


def swav(similarity: Tensor, speakers: Tensor, temperature: float) -> Tensor:
    """Swapped prediction (SwAV; Caron et al. 2020, eq. 1 and 2): each view has to predict the group of the other view.

    Each group has a prototype, a point on the sphere that is learned with the network. Views are assigned to groups by
    their similarity to the prototypes, balanced so that all groups are equally large. Here they are balanced *for each
    speaker*. So a group cannot be a voice; what the clips of all speakers can be grouped by is the digit.

    Args:
        similarity: (2N, prototypes) cosines, all first views before all second ones.
        speakers: (N,) speaker numbers.
        temperature: of the predictions.
    """
    first, second = similarity.float().chunk(2)  # balancing needs more than half precision
    assigned = [_assignment(view, speakers) for view in (first, second)]
    return (F.cross_entropy(first / temperature, assigned[1]) + F.cross_entropy(second / temperature, assigned[0])) / 2


@torch.no_grad()
def _assignment(similarity: Tensor, speakers: Tensor) -> Tensor:
    """The probability that each view belongs to each group (N, prototypes), balanced for each speaker."""
    assignment = torch.empty_like(similarity)
    for speaker in speakers.unique():
        part = similarity[speakers == speaker]
        assignment[speakers == speaker] = balance(((part - part.max()) / ASSIGNMENT_TEMPERATURE).exp(), iterations=3)
    return assignment


def balance(shares: Tensor, iterations: int) -> Tensor:
    """Scale columns and rows in turn, until all columns have the same sum and rows sum to 1 (Sinkhorn and Knopp 1967).

    `shares` (n, groups) are positive: how strongly each point belongs to each group.
    """
    for _ in range(iterations):
        shares = shares / shares.sum(0).clamp_min(1e-12)
        shares = shares / shares.sum(1, keepdim=True).clamp_min(1e-12)
    return shares


def _same_group(groups: Tensor) -> Tensor:
    """(n, n): true for two different points of the same group."""
    return (groups.unsqueeze(0) == groups.unsqueeze(1)).fill_diagonal_(False)
