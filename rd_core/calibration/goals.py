"""What a threshold is to achieve: the lowest expected cost, or a wanted recall."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rd_core.errors import ConfigError
from rd_core.metrics.threshold_curve import ThresholdCurve

_SAME = 1e-12
"""largest difference between equal costs, as a share of the largest: rounding"""


class Goal(ABC):
    """Decides which of several thresholds is best."""

    @abstractmethod
    def best(self, images: ThresholdCurve) -> NDArray[np.bool_]:
        """Which thresholds [k] of labelled images are equally good and better than the others, bool [k].

        All False if none will do. Both labels must occur.
        """


@dataclass(frozen=True)
class Costs(Goal):
    """Costs in any one unit. Raises ConfigError unless both are above 0 and finite, and the share is in (0, 1)."""

    miss: float
    """of a defect that passes"""
    alarm: float
    """of a good part that is stopped"""
    defect_share: float
    """share of defects in production, which the mix of labelled images does not show"""

    def __post_init__(self) -> None:
        for name, value in (("miss_cost", self.miss), ("alarm_cost", self.alarm)):
            if not 0 < value < math.inf:
                raise ConfigError(f"{name} {value} is no cost that decides. Give a number above 0.")
        if not 0 < self.defect_share < 1:
            raise ConfigError(f"defect_share {self.defect_share} is no share of defects. Give one as 0.01.")

    def expected(self, recall: NDArray[np.float64], false_alarm_rate: NDArray[np.float64]) -> NDArray[np.float64]:
        """Expected cost an image of production, in the costs' unit; shapes as given."""
        missed = self.defect_share * self.miss * (1 - recall)
        return missed + (1 - self.defect_share) * self.alarm * false_alarm_rate

    def best(self, images: ThresholdCurve) -> NDArray[np.bool_]:
        """The cheapest ones."""
        expected = self.expected(images.recall, images.false_alarm_rate)
        return np.asarray(expected <= expected.min() + _SAME * expected.max())


@dataclass(frozen=True)
class WantedRecall(Goal):
    """A share of the defects to find. Raises ConfigError unless it is in (0, 1)."""

    share: float

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ConfigError(f"wanted_recall {self.share} is no share that can be reached. Give one as 0.95.")

    def may_miss(self, defects: int) -> int | None:
        """Most of `defects` labelled ones that may lie at or below the threshold, so that a new one is found with the
        wanted probability: split conformal prediction, as for normal scores. None where they are too few for that."""
        rank = math.floor((defects + 1) * (1 - self.share) + 1e-9)
        return rank - 1 if rank else None

    def best(self, images: ThresholdCurve) -> NDArray[np.bool_]:
        """Those with the wanted recall and the fewest false alarms. Too few defects must all be found."""
        enough = images.anomalous - images.found <= (self.may_miss(images.anomalous) or 0)
        fewest = images.alarms[enough].min(initial=images.normal)
        return np.asarray(enough & (images.alarms <= fewest))
