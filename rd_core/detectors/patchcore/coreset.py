"""The greedy coreset: some of many points, chosen so that none of the others lies far from them.

Each choice is the point that lies farthest from all chosen ones (Algorithm 1 of the paper). Done to the letter, every
choice goes through all N points once more, M N d numbers through the memory. But distances only shrink with further
choices, so an old one is a bound: it is enough to bring a pool of the farthest up to date, by one matrix product, and
to choose among them until the farthest left there is nearer than the bounds of all others allow. The same points are
chosen in the same order, but where two are equally far.
"""

from collections.abc import Callable

import torch
from torch import Tensor

POOL = 2048
"""points that are brought up to date together: their projections fit into a processor's cache"""
CHUNK = 512
"""of a pool in one matrix product"""
SAME = 1e-6
"""points whose squared distance is less than so much of the largest squared length are the same, but for rounding"""


def random_projection(width: int, to: int, seed: int) -> Tensor:
    """(width, to), float32: a Gaussian projection, which keeps distances on average (Johnson and Lindenstrauss)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(width, to, generator=generator) / to**0.5


def greedy_coreset(points: Tensor, count: int, start: int, report: Callable[[int], None] = lambda _: None) -> Tensor:
    """Numbers int64 (M,) of the chosen among points float32 (N, d), `start` first; their mean should be near 0.

    M is `count`, or less where all others are copies of the chosen. At most 2 M N d FLOPs, mostly half of them;
    besides the points 12 N + 4 M d bytes. report: called with the number chosen, now and then.
    """
    selection = _Selection(points, min(count, len(points)), start)
    while not selection.is_complete and selection.go_on():
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

    def go_on(self) -> bool:
        """Choose some more, among the farthest; False if only copies of the chosen are left."""
        bounds, farthest = self._bounds.topk(min(POOL + 1, len(self._bounds)))
        beyond = float(bounds[POOL]) if len(bounds) > POOL else 0.0
        if float(bounds[0]) <= self._same:
            return False
        pool = farthest[:POOL]
        pool = pool[self._seen[pool].argsort()]
        for chunk in pool.split(CHUNK):
            self._bring_up_to_date(chunk)
        self._choose_in(pool, max(beyond, self._same))
        return True

    def _bring_up_to_date(self, some: Tensor) -> None:
        """Bounds of the points with these numbers, those that saw fewest first."""
        news = slice(int(self._seen[some[0]]), len(self.chosen))
        if news.start < news.stop:
            products = torch.addmm(self._centre_lengths[news], self._points[some], self._centres[news].T, alpha=-2)
            nearest = (products.amin(dim=1) + self._lengths[some]).clamp_min(0)
            self._bounds[some] = torch.minimum(self._bounds[some], nearest)

    def _choose_in(self, pool: Tensor, beyond: float) -> None:
        """Choose the farthest of the pool, again and again, while it is farther than `beyond`."""
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
