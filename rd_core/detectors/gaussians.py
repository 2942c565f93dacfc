"""A Gaussian for every position of an image, from moments; no embeddings are kept."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

AT_ONCE = 256
"""positions whose matrices are processed together: some megabytes"""
DRAWS = 16
"""sets of drawn images whose Gaussians tell how far from those of few images others lie"""


def drawn_embeddings(stages: tuple[Tensor, ...], grid: tuple[int, int], drawn: Tensor) -> Tensor:
    """The channels `drawn` (d,), counted over all stages, at the P positions of `grid` (rows, columns): float32
    (B, P, d) from maps (B, C_k, h_k, w_k). Coarser stages are upsampled to the nearest."""
    fine = [F.interpolate(stage, size=grid, mode="nearest").permute(0, 2, 3, 1) for stage in stages]
    # Channels last from here on, as the networks have them: any other order is copied, for twice the time.
    return torch.cat(fine, dim=3).flatten(1, 2)[:, :, drawn]


class PositionMoments:
    """Sums over images for each of P positions, in float64: 8 P d^2 bytes."""

    def __init__(self, positions: int, dimensions: int, device: torch.device) -> None:
        self.count = 0
        self._counts = torch.zeros(positions, dtype=torch.float64, device=device)
        self._total = torch.zeros(positions, dimensions, dtype=torch.float64, device=device)
        self._products = torch.zeros(positions, dimensions, dimensions, dtype=torch.float64, device=device)

    def add(self, embeddings: Tensor, counted: Tensor | None = None) -> None:
        """Add embeddings of more images, float32 (B, P, d).

        counted: bool (B, P), False where an image does not show the position. None: all images show all.
        """
        self.count += len(embeddings)
        self._counts += len(embeddings) if counted is None else counted.sum(dim=0)
        if counted is not None:  # a coarse position may count where the fine one within it does not
            embeddings = embeddings.masked_fill(~counted[:, :, None], 0)
        self._total += embeddings.double().sum(dim=0)
        for start in range(0, len(self._total), AT_ONCE):
            values = embeddings[:, start : start + AT_ONCE].double().transpose(0, 1)
            self._products[start : start + AT_ONCE].baddbmm_(values.mT, values)

    def gaussians(self, ridge: Tensor, report: Callable[[int], None] = lambda _: None) -> tuple[Tensor, Tensor]:
        """Means (P, d) and whitening (P, d, d), float32, of at least two images.

        ridge: (d,), added to the diagonals. Whitening is the inverse of the covariance's Cholesky factor, so
        |whitening @ (x - mean)| is x's Mahalanobis distance. Where fewer than two images show a position it is zeros.
        Where some do, it is scaled: unseen normals lie farther from a Gaussian of fewer images, and the place that
        the fewest show would be the peak of every map. report: called with the number of finished positions.
        """
        whitening = torch.empty_like(self._products, dtype=torch.float32)
        for start in range(0, len(whitening), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            freedom = (self._counts[some, None, None] - 1).clamp_min(1)
            whitening[some] = inverse_factors(self.scatter(some) / freedom, ridge)
            report(min(start + AT_ONCE, len(whitening)))
        whitening[self._counts < 2] = 0
        if not self.alike:
            self._scale(whitening, ridge)
        return self.means.float(), whitening

    def _scale(self, whitening: Tensor, ridge: Tensor) -> None:
        """Bring the distances of unseen normals from Gaussians of fewer images to those from Gaussians of all."""
        blocks = (self.scatter(slice(start, start + AT_ONCE)) for start in range(0, len(whitening), AT_ONCE))
        pooled = torch.stack([block.sum(dim=0) for block in blocks]).sum(dim=0)
        covariance = (pooled / (self._counts - 1).clamp_min(0).sum().clamp_min(1)).cpu()
        from_all = distance_of_unseen(covariance, ridge.cpu(), self.count)
        for count in self._counts.unique().long().tolist():
            if from_all and 2 <= count < self.count:
                whitening[self._counts == count] *= from_all / distance_of_unseen(covariance, ridge.cpu(), count)

    @property
    def alike(self) -> bool:
        """Whether each position is shown by all images or by none."""
        return bool(((self._counts == 0) | (self._counts == self.count)).all())

    @property
    def means(self) -> Tensor:
        """(P, d), float64"""
        return self._total / self._counts.clamp_min(1)[:, None]

    def scatter(self, some: slice) -> Tensor:
        """Sums (p, d, d) of the products of deviations from the mean, of some positions, float64."""
        counts = self._counts[some, None].clamp_min(1)
        means = self._total[some] / counts
        return self._products[some] - counts[:, :, None] * means[:, :, None] * means[:, None]


def distance_of_unseen(covariance: Tensor, ridge: Tensor, count: int) -> float:
    """Root mean square distance of further images from the Gaussian of `count` >= 2 images, all drawn with this
    covariance float64 (d, d); the ridge (d,) as for `PositionMoments.gaussians`. On the CPU; the same every time."""
    values, vectors = torch.linalg.eigh(covariance)
    root, squares = vectors * values.clamp_min(0).sqrt(), 0.0
    for number in range(DRAWS):
        random = torch.Generator().manual_seed(number)  # nearly the same images for every count
        drawn = torch.randn(count, len(ridge), generator=random, dtype=torch.float64) @ root.T
        apart = drawn - drawn.mean(dim=0)
        factor = inverse_factors((apart.T @ apart / (count - 1))[None], ridge)[0]
        squares += float((factor @ root).square().sum())
    return float((squares / DRAWS * (1 + 1 / count)) ** 0.5)


def inverse_factors(matrices: Tensor, ridge: Tensor) -> Tensor:
    """Inverse Cholesky factors (p, d, d), float64, of positive semi-definite matrices with `ridge` (d,) added to
    their diagonals."""
    factors = torch.linalg.cholesky(matrices + ridge.double().diag())
    identity = torch.eye(len(ridge), dtype=torch.float64, device=ridge.device)
    return torch.linalg.solve_triangular(factors, identity, upper=False)


def mahalanobis(embeddings: Tensor, means: Tensor, whitening: Tensor) -> Tensor:
    """Mahalanobis distances float32 (B, P) of embeddings (B, P, d) from the Gaussians of `gaussians`: 2 P d^2 FLOPs
    an image."""
    whitened = torch.bmm((embeddings - means).transpose(0, 1), whitening.mT)
    return torch.linalg.vector_norm(whitened, dim=2).T
