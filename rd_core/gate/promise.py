"""How many false alarms a threshold may really raise, given those of labelled normals: bounds by parts.

Images of one part resemble each other, so a part is one observation: the share of its images that alarm.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import betaincinv, rel_entr

_MOST_PARTS = 10**9
"""more are never asked for"""


@dataclass(frozen=True)
class PartAlarms:
    """The false alarms of n parts, each of which weighs the same."""

    alarms: float
    """sum over the parts of the share of a part's images that alarm, 0 to n"""
    parts: int
    """n"""
    single: bool
    """each part has one image: then `alarms` is a whole number with a binomial distribution"""

    @classmethod
    def of(cls, flagged: NDArray[np.bool_], parts: Sequence[str]) -> "PartAlarms":
        """From the alarms of images, bool (m,), and the part of each."""
        numbers = (
            np.unique(np.asarray(parts, dtype=object), return_inverse=True)[1] if len(parts) else np.zeros(0, int)
        )
        images = np.bincount(numbers)
        shares = np.bincount(numbers, flagged) / images
        return cls(float(shares.sum()), len(images), bool(np.all(images == 1)))

    @property
    def rate(self) -> float:
        """alarms / n; NaN without a part"""
        return self.alarms / self.parts if self.parts else np.nan

    def high(self, confidence: float) -> float:
        """One-sided upper bound of the real rate; 1 without a part.

        Exact (Clopper and Pearson, Biometrika 1934) where each part has one image. Else Hoeffding's for independent
        values in [0, 1] (Journal of the American Statistical Association 1963, theorem 1), which assumes nothing of
        the images within a part. Both are 1 - (1 - confidence) ** (1 / n) without an alarm.
        """
        if self.alarms >= self.parts:
            return 1.0
        if self.single:
            return float(betaincinv(self.alarms + 1, self.parts - self.alarms, confidence))
        return _hoeffding(self.rate, self.parts, confidence)

    def low(self, confidence: float) -> float:
        """One-sided lower bound of the real rate, likewise; 0 without a part."""
        return 1 - PartAlarms(self.parts - self.alarms, self.parts, self.single).high(confidence)

    def needed_without_more(self, limit: float, confidence: float) -> int:
        """Fewest parts, these included, whose upper bound is at most `limit`, in (0, 1], if no other alarms."""
        return self._fewest(limit, confidence, self.alarms, 0.0)

    def needed_at_this_rate(self, limit: float, confidence: float) -> int | None:
        """Fewest parts whose upper bound is at most `limit` if as large a share alarms as here; None where no number
        of them is enough."""
        return self._fewest(limit, confidence, 0.0, self.rate) if self.rate < limit else None

    def _fewest(self, limit: float, confidence: float, alarms: float, rate: float) -> int:
        def enough(parts: int) -> bool:
            return PartAlarms(alarms + rate * parts, parts, self.single).high(confidence) <= limit

        few, many = 0, 1
        while not enough(many) and many < _MOST_PARTS:
            few, many = many, 2 * many
        while many - few > 1:
            middle = (few + many) // 2
            few, many = (few, middle) if enough(middle) else (middle, many)
        return many


def _hoeffding(mean: float, n: int, confidence: float) -> float:
    """The mean above which n independent values in [0, 1] have so small a mean in 1 - confidence of all cases."""
    budget = -np.log(1 - confidence) / n

    def surplus(real: float) -> float:
        return float(rel_entr(mean, real) + rel_entr(1 - mean, 1 - real)) - budget

    highest = float(np.nextafter(1.0, 0.0))
    return float(brentq(surplus, mean, highest, xtol=1e-12)) if surplus(highest) > 0 else 1.0
