"""Mahalanobis distances from the Gaussians that the images of other parts have, by a downdate.

Of n images at a position, with mean u, scatter S and ridge R, those of a part, with deviations d_1 ... d_m from u and
D their sum, are left out:

    mean' = u - D / (n - m)        S' = S - sum of d_i d_i^T - D D^T / (n - m) = S - E E^T

where e_i = d_i + a D and (1 + m a)^2 = n / (n - m). The covariance is S' / (n - m - 1) + R. Let W be the inverse
Cholesky factor of S + (n - m - 1) R, which all parts of m images share; V = W E and q = W (x - mean'). Then

    distance^2 = (n - m - 1) (|q|^2 + (V^T q)^T (I - V^T V)^-1 (V^T q))

by the Sherman-Morrison-Woodbury identity. All in float64: with few images the ridge decides about the directions in
which only the part's images vary, and I - V^T V is nearly singular.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from rd_core.detectors.cross_normals import PlacesOfPart
from rd_core.detectors.gaussians import AT_ONCE, PositionMoments, inverse_factors


class GaussiansWithout:
    """The Gaussians of all images but a part of m, which is named when distances are asked for: 8 P d^2 bytes."""

    def __init__(self, moments: PositionMoments, ridge: Tensor, left_out: int) -> None:
        """left_out: m; at least two images must be left."""
        self._count = moments.count
        self._freedom = moments.count - left_out - 1
        self._means = moments.means
        self._whitening = torch.cat(
            [
                inverse_factors(moments.scatter(slice(start, start + AT_ONCE)), self._freedom * ridge)
                for start in range(0, len(self._means), AT_ONCE)
            ]
        )

    def distances(self, embeddings: Tensor, parts: Sequence[PlacesOfPart]) -> Tensor:
        """Distances float32 (B, P) of embeddings (B, P, d).

        parts: in the batch; of each, m images are kept, which are left out for all that are asked.
        """
        result = embeddings.new_empty(embeddings.shape[:2])
        for start in range(0, len(self._means), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            apart = embeddings[:, some].double() - self._means[some]
            whitened = torch.bmm(apart.transpose(0, 1), self._whitening[some].mT)
            for kept, asked in parts:
                squared = squared_without(whitened[:, kept], whitened[:, asked], self._count)
                result[asked, some] = squared.sqrt().T.float()
        return result


def squared_without(own: Tensor, asked: Tensor, count: int) -> Tensor:
    """Squared distances (P, b) of whitened deviations `asked` (P, b, d) from the mean of `count` images without those
    of the part, `own` (P, m, d)."""
    left = count - own.shape[1]
    total = own.sum(dim=1, keepdim=True)
    edges = own + ((count / left) ** 0.5 - 1) / own.shape[1] * total
    queries = asked + total / left
    shared = torch.bmm(edges, queries.mT)
    inner = torch.eye(own.shape[1], dtype=own.dtype, device=own.device) - torch.bmm(edges, edges.mT)
    added = (shared * torch.linalg.solve(inner, shared)).sum(dim=1)
    return (left - 1) * (queries.square().sum(dim=2) + added)
