"""Thresholds from few normals, on scores drawn from known laws, so that real false-alarm rates are exact.

    python -m proofs.few_normals [--trainings 300] [--results FOLDER]

A training draws n held-out scores and calibrates. Of its threshold: the real rate of false alarms; whether it is
above twice alpha; whether the 95 % interval holds the true quantile; and the height, the way from the law's median to
the threshold over that to the true quantile: above 1, defects are missed that alpha would let it find. The height
once more with one of the n scores a wrong label of height 2.

Exit code 1 if a figure at the first alpha misses what is stated below.
"""

import argparse
import sys
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from benchmarks.record import Record, add_results_option
from proofs.score_laws import LAWS
from rd_core.calibration.threshold import Threshold, calibrate

ALPHAS = (0.01, 0.05, 0.002)
NUMBERS = (10, 20, 40, 99, 400)
LEAST_COVERAGE = 0.93
MOST_FALSE_ALARMS = 1.5
"""largest mean rate over alpha, from ENOUGH normals on"""
ENOUGH = 40
_SEED = 11


def main() -> int:
    """Simulate every law, number and alpha."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trainings", type=int, default=300)
    add_results_option(parser)
    given = parser.parse_args()
    record = Record.begin("few_normals")
    figures = {
        (alpha, law, n): simulated(law, n, alpha, given.trainings)
        for alpha in ALPHAS
        for law in LAWS
        for n in NUMBERS
    }
    about = {"trainings": given.trainings, "alphas": ALPHAS, "laws": list(LAWS), "numbers": NUMBERS}
    rows = {f"alpha {alpha:g}, {law}, {n}": of for (alpha, law, n), of in figures.items()}
    record.write(given.results / "few_normals.json", rows, about)
    missed = [
        f"{law}, {n}"
        for (alpha, law, n), of in figures.items()
        if alpha == ALPHAS[0]
        and (of["coverage"] < LEAST_COVERAGE or (n >= ENOUGH and of["mean rate"] > MOST_FALSE_ALARMS * alpha))
    ]
    if missed:
        print(f"Missed at alpha {ALPHAS[0]:g}: {'; '.join(missed)}")
    return bool(missed)


def simulated(name: str, n: int, alpha: float, trainings: int) -> Mapping[str, float]:
    """Figures over trainings on n scores of a law."""
    law = LAWS[name]
    random = np.random.default_rng((_SEED, n, list(LAWS).index(name)))
    scores = [law.draw(random, n) for _ in range(trainings)]
    quantile = law.quantile(alpha)
    whole = quantile - law.median
    thresholds = [calibrate(drawn, alpha) for drawn in scores]
    misled = [calibrate([*drawn[1:], law.median + 2 * whole], alpha) for drawn in scores]
    rates = law.above(_values(thresholds))
    return {
        "mean rate": float(rates.mean()),
        "above twice alpha": float((rates > 2 * alpha).mean()),
        "coverage": float(np.mean([one.low <= quantile <= one.high for one in thresholds])),
        "height": float((_values(thresholds).mean() - law.median) / whole),
        "height with a wrong label": float((_values(misled).mean() - law.median) / whole),
    }


def _values(thresholds: list[Threshold]) -> NDArray[np.float64]:
    return np.array([threshold.value for threshold in thresholds])


if __name__ == "__main__":
    sys.exit(main())
