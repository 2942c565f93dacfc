"""The thresholds that the setting alpha can reach, from one model's held-out scores."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rd_core.calibration.threshold import Threshold, calibrate

_DECADE = (
    *(1.0, 1.1, 1.2, 1.3, 1.5, 1.6, 1.8, 2.0, 2.2, 2.4, 2.7, 3.0),
    *(3.3, 3.6, 3.9, 4.3, 4.7, 5.1, 5.6, 6.2, 6.8, 7.5, 8.2, 9.1),
)
"""two digits, each a tenth above the one before (the E24 series of IEC 60063)"""
_BEYOND = 10
"""how far below the smallest honest alpha is looked: a tail fitted to few scores says nothing further out"""


@dataclass(frozen=True, eq=False)
class Reachable:
    """Thresholds by alpha, from the largest alpha to the smallest."""

    alphas: NDArray[np.float64]
    """[g], falling"""
    thresholds: NDArray[np.float64]
    """[g]"""
    lows: NDArray[np.float64]
    """[g], lower ends of their 95 % intervals, from which an image is for review"""
    highs: NDArray[np.float64]
    """[g], upper ends"""
    extrapolated: NDArray[np.bool_]
    """[g], whether a threshold rests on a fitted tail"""

    def place(self, alpha: float) -> int:
        """The index of an alpha that is among them."""
        return int(np.flatnonzero(self.alphas == alpha)[0])


def reachable(scores: ArrayLike, in_force: Threshold, *, extrapolate: bool = True) -> Reachable:
    """The thresholds of alphas about ten per cent apart, from held-out normal scores (n,).

    `in_force` is among them as it is. Without `extrapolate`, no other one rests on a fitted tail. Raises what
    calibrate raises.
    """
    held = np.asarray(scores, np.float64).ravel()
    smallest = 1 / (len(held) + 1)
    alphas = [float(f"{digits:.1f}e{-power}") for power in range(1, 7) for digits in _DECADE[::-1]]
    thresholds = [
        calibrate(held, alpha)
        for alpha in alphas
        if alpha >= (smallest / _BEYOND if extrapolate else smallest) and alpha != in_force.alpha
    ]
    chosen = sorted([*thresholds, in_force], key=lambda threshold: -threshold.alpha)
    return Reachable(
        np.array([threshold.alpha for threshold in chosen]),
        np.array([threshold.value for threshold in chosen]),
        np.array([threshold.low for threshold in chosen]),
        np.array([threshold.high for threshold in chosen]),
        np.array([threshold.extrapolated for threshold in chosen]),
    )
