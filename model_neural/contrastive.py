"""Contrastive losses: what belongs together comes to lie together, whatever the voice.

Three take points on the unit sphere, `z` (n, dims), and `groups` (n,): points of one group belong together. Two
augmented views of each clip, each clip its own group, need no label; digits as groups use the labels. The fourth,
`swav`, finds groups itself, without labels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Projection(nn.Module):
    """From a model's last hidden layer to the sphere on which a loss compares; thrown away afterwards."""

    def __init__(self, width: int, dims: int):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, dims))

    def forward(self, embedding: Tensor) -> Tensor:
        """(batch, width) to (batch, dims) of length 1."""
        return F.normalize(self.layers(embedding), dim=1)


def nt_xent(z: Tensor, groups: Tensor, temperature: float) -> Tensor:
    """Normalised temperature-scaled cross-entropy (Chen et al. 2020, SimCLR, eq. 1).

    Every point has to pick its other view among all other points, like a classifier with 2N - 1 classes.

    Args:
        z: (2N, dims).
        groups: (2N,) each number twice: the clip that a view shows.
        temperature: the lower, the more the nearest wrong points count.
    """
    similarity = (z @ z.T / temperature).fill_diagonal_(-torch.inf)  # no point is compared with itself
    return F.cross_entropy(similarity, _same(groups).int().argmax(dim=1))


def supervised_contrastive(z: Tensor, groups: Tensor, temperature: float, speakers: Tensor | None = None) -> Tensor:
    """SupCon (Khosla et al. 2020, eq. 2, the loss "out"): as `nt_xent`, with several points to pick, averaged.

    Args:
        z: (n, dims).
        groups: (n,) digits. A point whose group has no other point takes no part.
        temperature: as in `nt_xent`.
        speakers: (n,) numbers, or None. Where given, a point has to pick those of its digit that *another* speaker
            said; those by its own speaker are neither to be picked nor to be avoided.
    """
    positive = _same(groups)
    others = ~torch.eye(len(z), dtype=torch.bool, device=z.device)
    if speakers is not None:
        same_voice = speakers.unsqueeze(0) == speakers.unsqueeze(1)
        others = others & ~(positive & same_voice)
        positive = positive & ~same_voice
    similarity = (z @ z.T / temperature).masked_fill(~others, -torch.inf)
    log_share = similarity - similarity.logsumexp(dim=1, keepdim=True)
    number = positive.sum(1)
    per_point = -log_share.masked_fill(~positive, 0.0).sum(1) / number.clamp_min(1)
    return per_point[number > 0].sum() / (number > 0).sum().clamp_min(1)


def triplet(z: Tensor, groups: Tensor, margin: float) -> Tensor:
    """Triplet loss with a margin (Schroff et al. 2015), over all triplets that break it (Hermans et al. 2017, eq. 4).

    An anchor's distance to a point of its own group has to be less than that to any other by `margin`. The mean is
    over the triplets where it is not: those where it is are many, and would drown them.

    Args:
        z: (n, dims).
        groups: (n,).
        margin: a distance on the sphere, where the largest is 2.
    """
    distance = torch.cdist(z, z)
    excess = distance.unsqueeze(2) - distance.unsqueeze(1) + margin  # (anchor, positive, negative)
    wanted = _same(groups).unsqueeze(2) & (groups.unsqueeze(0) != groups.unsqueeze(1)).unsqueeze(1)
    broken = excess[wanted & (excess > 0)]
    return broken.sum() / max(1, len(broken))


def swav(similarity: Tensor, speakers: Tensor, temperature: float, assignment_temperature: float = 0.05) -> Tensor:
    """Swapped assignments (Caron et al. 2020, SwAV, eq. 1 and 2): each view has to tell the group of the other view.

    Groups are points on the sphere, the prototypes, that are learned with the network. A view is assigned by its
    similarity to them, balanced so that all groups are equally large. Here they are so *for each speaker*: then a group
    cannot be a voice, and what all speakers' clips can be grouped by is what they say.

    Args:
        similarity: (2N, prototypes), cosines; first all first views, then all second views.
        speakers: (N,) numbers.
        temperature: of the predictions.
        assignment_temperature: of the assignments; the lower, the nearer to one group each.
    """
    first, second = similarity.float().chunk(2)  # half precision would not do for what is balanced
    assigned = [_assignment(view, speakers, assignment_temperature) for view in (first, second)]
    return (F.cross_entropy(first / temperature, assigned[1]) + F.cross_entropy(second / temperature, assigned[0])) / 2


@torch.no_grad()
def _assignment(similarity: Tensor, speakers: Tensor, temperature: float) -> Tensor:
    """To what share each view belongs to each group (N, prototypes), balanced for each speaker."""
    assignment = torch.empty_like(similarity)
    for speaker in speakers.unique():
        own = similarity[speakers == speaker]
        assignment[speakers == speaker] = balance(((own - own.max()) / temperature).exp(), iterations=3)
    return assignment


def balance(shares: Tensor, iterations: int) -> Tensor:
    """Scale columns and rows in turn, until columns have the same sum and rows sum to 1 (Sinkhorn and Knopp 1967).

    `shares` (n, groups) are positive: to what share each point belongs to each group.
    """
    for _ in range(iterations):
        shares = shares / shares.sum(0).clamp_min(1e-12)
        shares = shares / shares.sum(1, keepdim=True).clamp_min(1e-12)
    return shares


def _same(groups: Tensor) -> Tensor:
    """(n, n): true for two different points of one group."""
    return (groups.unsqueeze(0) == groups.unsqueeze(1)).fill_diagonal_(False)
