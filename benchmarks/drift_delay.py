"""Days until a change is told, what it is taken for, and false alarms in quiet months, on simulated production.

    python -m benchmarks.drift_delay [--months 50] [--quiet 200] [--calibrations 100 400] [--images 200]
                                    [--wobble 0.05] [--change-day 10]

Scores of normal images are gamma distributed, 1 % of the parts are defective and score high, every day wobbles a
little around its mean, lamps and focus included. A change comes with the images of day 10. `benchmarks.drift_months`
says how a month is judged; `benchmarks.drift_pictures` is the same on drawn pictures and a trained model.
"""

import argparse
import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift_months import DAYS, Day, outcome, print_change, print_head, print_quiet
from rd_core.calibration.threshold import calibrate
from rd_core.drift.causes import (
    BRIGHTNESS,
    CONTRAST,
    EDGE_CENTRE_X,
    FEATURE_DISTANCE,
    FOCUS_OR_CAMERA,
    LIGHT_OR_CAMERA,
    MODEL_OR_SOFTWARE,
    MORE_DEFECTS,
    POSITION_OR_FIXTURE,
    SHARPNESS,
    STATISTICS,
    UNEXPLAINED,
    WEAR_OR_PROCESS,
)
from rd_core.drift.settings import DriftSettings
from rd_core.drift.verdict import HOLD, RECALIBRATE, RETRAIN, STOP_THE_LINE
from rd_core.drift.window import Baseline, baseline

ALPHA = 0.01
GOLDEN = 20


@dataclass(frozen=True)
class Change:
    """What happens on day 10, in standard deviations of the quantity, and what should be said of it."""

    score: float = 0.0
    """added to every score"""
    statistics: dict[str, float] = field(default_factory=dict)
    """added to the image statistics"""
    defects: float = 0.01
    """share of defective parts from then on"""
    golden: float = 0.0
    """added to the golden images' scores"""
    verdict: str = HOLD
    """the right one"""
    cause: str | None = None
    """the right one, first of the list"""


_LIGHT = {BRIGHTNESS: -1.5, CONTRAST: -0.8, SHARPNESS: -0.5, FEATURE_DISTANCE: 0.6}
_BLUR = {SHARPNESS: -1.5, CONTRAST: -0.4, FEATURE_DISTANCE: 0.6}
_MOVED = {EDGE_CENTRE_X: 1.2, FEATURE_DISTANCE: 1.2}
_WEAR = {FEATURE_DISTANCE: 1.2}
CHANGES = {
    "light": Change(1.0, _LIGHT, verdict=RETRAIN, cause=LIGHT_OR_CAMERA),
    "light, mild": Change(0.5, _LIGHT, verdict=RETRAIN, cause=LIGHT_OR_CAMERA),
    "blur": Change(1.0, _BLUR, verdict=RETRAIN, cause=FOCUS_OR_CAMERA),
    "misalignment": Change(1.0, _MOVED, verdict=RETRAIN, cause=POSITION_OR_FIXTURE),
    "wear": Change(1.0, _WEAR, verdict=RETRAIN, cause=WEAR_OR_PROCESS),
    "score alone, mild": Change(0.6, verdict=RECALIBRATE, cause=UNEXPLAINED),
    "defects 1 % to 5 %": Change(defects=0.05, verdict=STOP_THE_LINE, cause=MORE_DEFECTS),
    "defects 1 % to 20 %": Change(defects=0.2, verdict=STOP_THE_LINE, cause=MORE_DEFECTS),
    "model change": Change(0.3, golden=0.3, verdict=STOP_THE_LINE, cause=MODEL_OR_SOFTWARE),
}


@dataclass(frozen=True)
class Line:
    """The simulated production line."""

    images: int = 200
    """a day"""
    calibration: int = 400
    """held-out normals"""
    wobble: float = 0.05
    """of a day's mean score and image statistics, in standard deviations"""
    change_day: int = 10
    """from 1; with 1 there is no day before the change to compare with but the calibration"""


@dataclass(frozen=True)
class Simulation:
    """A Production without a picture."""

    line: Line
    change: Change = Change()

    @property
    def change_day(self) -> int:
        return self.line.change_day

    def baseline(self, random: np.random.Generator) -> Baseline:
        count = self.line.calibration
        scores = _normal_scores(count, random)
        named = dict(zip(STATISTICS, random.normal(size=(len(STATISTICS), count)), strict=True))
        return baseline(scores, ALPHA, calibrate(scores, ALPHA).value, named, _normal_scores(GOLDEN, random))

    def day(self, changed: bool, random: np.random.Generator) -> Day:
        change = self.change if changed else Change()
        scores = _normal_scores(self.line.images, random) + change.score + random.normal(0, self.line.wobble)
        defective = random.random(self.line.images) < change.defects
        scores[defective] += random.uniform(3, 10, np.count_nonzero(defective))
        shift = np.array([change.statistics.get(name, 0.0) for name in STATISTICS])
        shift = shift + random.normal(0, self.line.wobble, len(STATISTICS))
        return scores, random.normal(shift, 1, (self.line.images, len(STATISTICS)))

    def golden(self, before: Baseline, changed: bool) -> NDArray[np.float64] | None:
        assert before.golden is not None
        return before.golden + (self.change.golden if changed else 0.0)


def main() -> None:
    """Print a line a change and the quiet months, for each size of the calibration."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--months", type=int, default=50)
    parser.add_argument("--quiet", type=int, default=200)
    parser.add_argument("--calibrations", type=int, nargs="+", default=[100, 400])
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--wobble", type=float, default=Line.wobble)
    parser.add_argument("--change-day", type=int, default=Line.change_day)
    arguments = parser.parse_args()
    settings = DriftSettings(resamples=50)  # the null bands are no part of the verdict
    started = time.process_time()
    print(f"{arguments}, {DAYS} days, alpha {ALPHA}")
    for calibration in arguments.calibrations:
        line = Line(arguments.images, calibration, arguments.wobble, arguments.change_day)
        print_head(f"{calibration} calibration images")
        for name, change in CHANGES.items():
            found = [outcome(Simulation(line, change), seed, settings) for seed in range(arguments.months)]
            print_change(name, found, change.verdict, change.cause)
        print_quiet(Simulation(line), arguments.quiet, settings)
    print(f"\n{time.process_time() - started:.0f} s of processor time")


def _normal_scores(count: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Gamma with shape 4, scaled to standard deviation 1: skewed as scores are."""
    return random.gamma(4.0, 0.5, count)


if __name__ == "__main__":
    main()
