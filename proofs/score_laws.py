"""Laws of normal images' scores, and defects among them, for simulations of thresholds."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Law:
    """Scores of normal images, above 0."""

    draw: Callable[[np.random.Generator, int], Floats]
    above: Callable[[Floats], Floats]
    """probability of a score above each of some (m,)"""
    median: float
    rare: float
    """what one normal image in 1,000 exceeds"""

    def quantile(self, share: float) -> float:
        """What this share of normal images exceeds."""
        return float(_quantiles(self.above, np.array([share]))[0])

    def clear(self, random: np.random.Generator, n: int) -> Floats:
        """Defects that stand out: 1.5 to 3 times as far from the median as one normal image in 1,000."""
        return self.median + (self.rare - self.median) * random.uniform(1.5, 3, n)

    def faint(self, random: np.random.Generator, n: int) -> Floats:
        """Defects that score like the highest tenth of normal images: log-uniform in the share of normals above."""
        return _quantiles(self.above, 10 ** random.uniform(-4, -1, n))


def _quantiles(above: Callable[[Floats], Floats], shares: Floats) -> Floats:
    """The scores that these shares of normal images exceed, by bisection."""
    low, high = np.zeros(len(shares)), np.full(len(shares), 1e4)
    for _ in range(60):
        middle = (low + high) / 2
        lower = above(middle) > shares
        low, high = np.where(lower, middle, low), np.where(lower, high, middle)
    return high


def _law(draw: Callable[[np.random.Generator, int], Floats], above: Callable[[Floats], Floats]) -> Law:
    median, rare = _quantiles(above, np.array([0.5, 0.001]))
    return Law(draw, above, float(median), float(rare))


def _mixture(random: np.random.Generator, n: int) -> Floats:
    """A tenth of the parts is of a second kind."""
    return random.normal(np.where(random.random(n) < 0.1, 13.0, 10.0))


LAWS = {
    "normal": _law(lambda random, n: random.normal(10, 1, n), stats.norm(10, 1).sf),
    "lognormal": _law(lambda random, n: random.lognormal(0, 0.35, n), stats.lognorm(0.35).sf),
    "gamma": _law(lambda random, n: random.gamma(4, size=n), stats.gamma(4).sf),
    "heavy": _law(lambda random, n: np.maximum(10 + random.standard_t(4, n), 0.01), stats.t(4, loc=10).sf),
    "bounded": _law(lambda random, n: random.beta(2, 3, n), stats.beta(2, 3).sf),
    "mixture": _law(_mixture, lambda x: 0.9 * stats.norm.sf(x, 10) + 0.1 * stats.norm.sf(x, 13)),
}
