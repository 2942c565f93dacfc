"""A Gaussian for every position of an image, from moments; no embeddings are kept."""

from collections.abc import Callable

import torch
from torch import Tensor

AT_ONCE = 256
"""positions whose matrices are processed together: some megabytes"""


class PositionMoments:
    """Sums over images for each of P positions, in float64: 8 P d^2 bytes."""

    def __init__(self, positions: int, dimensions: int, device: torch.device) -> None:
        self.count = 0
        self._total = torch.zeros(positions, dimensions, dtype=torch.float64, device=device)
        self._products = torch.zeros(positions, dimensions, dimensions, dtype=torch.float64, device=device)

    def add(self, embeddings: Tensor) -> None:
        """Add embeddings of more images, float32 (B, P, d)."""
        self.count += len(embeddings)
        self._total += embeddings.double().sum(dim=0)
        for start in range(0, len(self._total), AT_ONCE):
            values = embeddings[:, start : start + AT_ONCE].double().transpose(0, 1)
            self._products[start : start + AT_ONCE].baddbmm_(values.mT, values)

    def gaussians(self, ridge: Tensor, report: Callable[[int], None] = lambda _: None) -> tuple[Tensor, Tensor]:
        """Means (P, d) and whitening (P, d, d), float32, of at least two images.

        ridge: (d,), added to the diagonals. Whitening is the inverse of the covariance's Cholesky factor, so
        |whitening @ (x - mean)| is x's Mahalanobis distance. report: called with the number of finished positions.
        """
        mean = self._total / self.count
        whitening = torch.empty_like(self._products, dtype=torch.float32)
        identity = torch.eye(mean.shape[1], dtype=torch.float64, device=mean.device)
        for start in range(0, len(mean), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            spread = self._products[some] - self.count * mean[some, :, None] * mean[some, None]
            factor = torch.linalg.cholesky(spread / (self.count - 1) + ridge.double().diag())
            whitening[some] = torch.linalg.solve_triangular(factor, identity, upper=False)
            report(min(start + AT_ONCE, len(mean)))
        return mean.float(), whitening


def mahalanobis(embeddings: Tensor, means: Tensor, whitening: Tensor) -> Tensor:
    """Mahalanobis distances float32 (B, P) of embeddings (B, P, d) from the Gaussians of `gaussians`: 2 P d^2 FLOPs
    an image."""
    whitened = torch.bmm((embeddings - means).transpose(0, 1), whitening.mT)
    return torch.linalg.vector_norm(whitened, dim=2).T
