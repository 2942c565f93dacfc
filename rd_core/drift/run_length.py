"""Control-chart limits for a given in-control average run length, by Markov chains (Brook and Evans 1972).

The average run length is the expected number of steps until the chain of the discretised chart leaves the limit, for
independent standard normal figures.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

_CELLS = 101
_STEP = 0.5
_LOWEST = 0.01


@lru_cache(maxsize=64)
def cusum_limit(reference: float, run_length: float) -> float:
    """h of S = max(0, S + z - reference), which signals above h, for a mean of `run_length` days to a false alarm."""
    return _solve(lambda h: cusum_run_length(reference, h), run_length)


@lru_cache(maxsize=64)
def ewma_limit(weight: float, run_length: float) -> float:
    """L of E = (1 - weight) E + weight z, which signals beyond +-L sqrt(weight / (2 - weight)), for the same."""
    return _solve(lambda width: ewma_run_length(weight, width), run_length)


def cusum_run_length(reference: float, limit: float) -> float:
    """Mean days until an upper CUSUM of standard normal figures, started at 0, exceeds `limit`."""
    width = 2 * limit / (2 * _CELLS - 1)
    step = np.arange(_CELLS)[None, :] - np.arange(_CELLS)[:, None]
    moves = ndtr((step + 0.5) * width + reference) - ndtr((step - 0.5) * width + reference)
    moves[:, 0] = ndtr((0.5 - np.arange(_CELLS)) * width + reference)
    return float(_steps_to_the_end(moves)[0])


def ewma_run_length(weight: float, limit: float) -> float:
    """Mean days until an EWMA of standard normal figures, started at 0, leaves `limit` of its own standard
    deviations."""
    bound = limit * np.sqrt(weight / (2 - weight))
    width = 2 * bound / _CELLS
    middle = -bound + (np.arange(_CELLS) + 0.5) * width
    rest = middle[None, :] - (1 - weight) * middle[:, None]
    moves = ndtr((rest + width / 2) / weight) - ndtr((rest - width / 2) / weight)
    return float(_steps_to_the_end(moves)[_CELLS // 2])


def _steps_to_the_end(moves: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.linalg.solve(np.eye(len(moves)) - moves, np.ones(len(moves))).astype(np.float64)


def _solve(run_length_at: Callable[[float], float], wanted: float) -> float:
    high = _STEP
    while run_length_at(high) < wanted:
        high += _STEP
    low = max(high - _STEP, _LOWEST)
    return float(brentq(lambda limit: np.log(run_length_at(limit) / wanted), low, high, xtol=1e-6))
