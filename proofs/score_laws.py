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
    above: Callable[[float], float]
    """probability of a higher score"""
    median: float
    rare: float
    """what one normal image in 1,000 exceeds"""

    def clear(self, random: np.random.Generator, n: int) -> Floats:
        """Defects that stand out: 1.5 to 3 times as far from the median as one normal image in 1,000."""
        return self.median + (self.rare - self.median) * random.uniform(1.5, 3, n)

    def faint(self, random: np.random.Generator, n: int) -> Floats:
        """Defects that score like the highest tenth of normal images: log-uniform in the share of normals above."""
        shares = 10 ** random.uniform(-4, -1, n)
        return np.array([_quantile(self.above, share) for share in shares])


def _quantile(above: Callable[[float], float], share: float) -> float:
    low, high = 0.0, 1e4
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if above(middle) > share else (low, middle)
    return high


def _law(draw: Callable[[np.random.Generator, int], Floats], above: Callable[[float], float]) -> Law:
    return Law(draw, above, _quantile(above, 0.5), _quantile(above, 0.001))


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
