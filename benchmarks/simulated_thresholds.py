"""Thresholds from few normals, on scores drawn from known laws, so that the real false-alarm rate is exact.

    python -m benchmarks.simulated_thresholds [--trainings 300] [--results FOLDER]

A training draws n held-out scores and calibrates. Of its threshold: the real rate of false alarms; whether it is
above twice alpha; whether the 95 % interval holds the true quantile; and the height, the way from the law's median to
the threshold over that to the true quantile: above 1, defects are missed that alpha would have let it find. Once more
with one of the n scores a wrong label, twice as high as the true quantile.
"""

import argparse
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from benchmarks.record import Record, add_results_option
from rd_core.calibration.threshold import Threshold, calibrate

ALPHAS = (0.01, 0.05, 0.002)
NUMBERS = (10, 20, 40, 99, 400)
_SEED = 11

Floats = NDArray[np.float64]


class Mixture:
    """Nine tenths of normal scores, one tenth three deviations higher: two kinds of good parts."""

    def rvs(self, size: tuple[int, int], random_state: np.random.Generator) -> Floats:
        higher = random_state.random(size) < 0.1
        return random_state.normal(np.where(higher, 13.0, 10.0), 1.0)

    def sf(self, score: Floats) -> Floats:
        return np.asarray(0.9 * stats.norm.sf(score, 10) + 0.1 * stats.norm.sf(score, 13))

    def isf(self, share: float) -> float:
        return float(optimize.brentq(lambda score: float(self.sf(np.array(score))) - share, 0, 30))


LAWS = {
    "normal": stats.norm(10, 1),
    "lognormal": stats.lognorm(0.35),
    "gamma": stats.gamma(4),
    "mixture": Mixture(),
    "heavy": stats.t(4, loc=10),
    "bounded": stats.beta(2, 3),
}


def main() -> None:
    """Simulate every law, number and alpha."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainings", type=int, default=300)
    parser.add_argument("--name", default="simulated_thresholds", help="of the record")
    add_results_option(parser)
    given = parser.parse_args()
    record = Record.begin(given.name)
    rows = {
        row_name(alpha, name, n): simulated(name, n, alpha, given.trainings)
        for alpha in ALPHAS
        for name in LAWS
        for n in NUMBERS
    }
    about = {"trainings": given.trainings, "alphas": ALPHAS, "laws": list(LAWS), "numbers": NUMBERS}
    record.write(given.results / f"{given.name}.json", rows, about)


def row_name(alpha: float, law: str, n: int) -> str:
    """Of the record."""
    return f"alpha {alpha:g}, {law}, {n}"


def simulated(name: str, n: int, alpha: float, trainings: int) -> Mapping[str, float]:
    """Figures over trainings on n scores of a law."""
    law = LAWS[name]
    scores = np.asarray(
        law.rvs(size=(trainings, n), random_state=np.random.default_rng((_SEED, n, list(LAWS).index(name))))
    )
    middle, quantile = float(law.isf(0.5)), float(law.isf(alpha))
    thresholds = [calibrate(drawn, alpha) for drawn in scores]
    values = _values(thresholds)
    rates = np.asarray(law.sf(values))
    scores[:, 0] = 2 * quantile - middle  # the order of the scores is no matter
    misled = _values([calibrate(drawn, alpha) for drawn in scores])
    return {
        "mean rate": float(rates.mean()),
        "above twice alpha": float((rates > 2 * alpha).mean()),
        "coverage": float(np.mean([one.low <= quantile <= one.high for one in thresholds])),
        "height": float((values - middle).mean() / (quantile - middle)),
        "height with a wrong label": float((misled - middle).mean() / (quantile - middle)),
    }


def _values(thresholds: list[Threshold]) -> Floats:
    return np.array([threshold.value for threshold in thresholds])


if __name__ == "__main__":
    main()
