"""Recall and false-alarm rate at every threshold, exact at all distinct scores."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rd_core.metrics.ranking import Ranking


@dataclass(frozen=True, eq=False)
class ThresholdCurve:
    """What is flagged at some thresholds. A case is flagged when its score is above the threshold."""

    thresholds: NDArray[np.float64]
    """[k]"""
    found: NDArray[np.int64]
    """anomalous cases flagged at each, [k]"""
    alarms: NDArray[np.int64]
    """normal cases flagged at each, [k]"""
    anomalous: int
    """number of anomalous cases"""
    normal: int
    """number of normal cases"""

    @classmethod
    def of(cls, ranking: Ranking) -> "ThresholdCurve":
        """The curve of one ranking (no leading axes).

        Thresholds rise from -inf, where every case is flagged, over its distinct scores. Counts hold up to the next
        threshold, which is excluded.
        """
        found, alarms = (
            np.concatenate([[counts.sum()], counts.sum() - np.cumsum(counts)]).astype(np.int64)
            for counts in (ranking.anomalous, ranking.normal)
        )
        return cls(np.concatenate([[-np.inf], ranking.values]), found, alarms, int(found[0]), int(alarms[0]))

    @property
    def recall(self) -> NDArray[np.float64]:
        """Share of the anomalous cases flagged, [k]; NaN without one."""
        return self.found / (self.anomalous or np.nan)

    @property
    def false_alarm_rate(self) -> NDArray[np.float64]:
        """Share of the normal cases flagged, [k]; NaN without one."""
        return self.alarms / (self.normal or np.nan)

    def at(self, thresholds: NDArray[np.float64]) -> "ThresholdCurve":
        """The same at other thresholds [m], from the curve of a ranking."""
        step = np.searchsorted(self.thresholds, thresholds, side="right") - 1
        return ThresholdCurve(thresholds, self.found[step], self.alarms[step], self.anomalous, self.normal)
