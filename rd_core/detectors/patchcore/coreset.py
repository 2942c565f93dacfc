"""Greedy coreset selection: each choice is the point farthest from all chosen ones (Algorithm 1 of the paper).

Distances only shrink with further choices, so an old distance is an upper bound. A pool of the farthest points is
updated by one matrix product, and chosen from until its farthest is nearer than the bounds of all others. The choices
are the same as one by one, up to ties.
"""

from collections.abc import Callable

import torch
from torch import Tensor

POOL = 2048
"""points updated together: their projections fit into a processor's cache"""
CHUNK = 512
"""of a pool in one matrix product"""
SAME = 1e-6
"""points whose squared distance is below this share of the largest squared length are equal up to rounding"""


def random_projection(width: int, to: int, seed: int) -> Tensor:
    """Gaussian projection (width, to), float32, which preserves distances on average (Johnson and Lindenstrauss)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(width, to, generator=generator) / to**0.5


def greedy_coreset(points: Tensor, count: int, start: int, report: Callable[[int], None] = lambda _: None) -> Tensor:
    """Indices int64 (M,) of the chosen among points float32 (N, d), `start` first; the points' mean should be near 0.

    M is `count`, or less where all others equal chosen ones. At most 2 M N d FLOPs and 12 N + 4 M d bytes. report:
    called now and then with the number chosen.
    """
    selection = _Selection(points, min(count, len(points)), start)
    while not selection.is_complete and selection.extend():
        report(len(selection.chosen))
    return torch.tensor(selection.chosen, device=points.device)


class _Selection:
    def __init__(self, points: Tensor, count: int, start: int) -> None:
        self.chosen: list[int] = []
        self._points = points
        self._lengths = points.square().sum(dim=1)
        self._count = count
        self._centres = points.new_empty(count, points.shape[1])
        self._centre_lengths = points.new_empty(count)
        self._same = SAME * float(self._lengths.max())
        self._choose(start)
        self._bounds = torch.addmv(self._lengths, points, points[start], alpha=-2) + self._lengths[start]
        """squared distance from the nearest of the first `_seen` chosen"""
        self._seen = torch.ones(len(points), dtype=torch.int32, device=points.device)

    @property
    def is_complete(self) -> bool:
        return len(self.chosen) == self._count

    def _choose(self, number: int) -> None:
        self._centres[len(self.chosen)] = self._points[number]
        self._centre_lengths[len(self.chosen)] = self._lengths[number]
        self.chosen.append(number)

    def extend(self) -> bool:
        """Choose more of the farthest points; False if only copies of chosen ones are left."""
        bounds, farthest = self._bounds.topk(min(POOL + 1, len(self._bounds)))
        beyond = float(bounds[POOL]) if len(bounds) > POOL else 0.0
        if float(bounds[0]) <= self._same:
            return False
        pool = farthest[:POOL]
        pool = pool[self._seen[pool].argsort()]
        for chunk in pool.split(CHUNK):
            self._update_bounds(chunk)
        self._choose_from(pool, max(beyond, self._same))
        return True

    def _update_bounds(self, some: Tensor) -> None:
        """Update the bounds of these points, which are in order of the choices they have seen."""
        news = slice(int(self._seen[some[0]]), len(self.chosen))
        if news.start < news.stop:
            products = torch.addmm(self._centre_lengths[news], self._points[some], self._centres[news].T, alpha=-2)
            nearest = (products.amin(dim=1) + self._lengths[some]).clamp_min(0)
            self._bounds[some] = torch.minimum(self._bounds[some], nearest)

    def _choose_from(self, pool: Tensor, beyond: float) -> None:
        """Choose the farthest of the pool repeatedly, while it is farther than `beyond`."""
        points, lengths, bounds = self._points[pool], self._lengths[pool], self._bounds[pool]
        while not self.is_complete:
            bound, place = bounds.max(dim=0)
            if float(bound) < beyond:
                break
            self._choose(int(pool[place]))
            distances = torch.addmv(lengths, points, points[place], alpha=-2) + lengths[place]
            distances[place] = 0
            bounds = torch.minimum(bounds, distances.clamp_(min=0))
        self._bounds[pool] = bounds
        self._seen[pool] = len(self.chosen)
