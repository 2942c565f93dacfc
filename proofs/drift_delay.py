"""Delay of drift verdicts, their correctness, and false alarms in quiet months, on simulated production.

    python -m proofs.drift_delay [--months 50] [--quiet 200] [--calibrations 100 400] [--images 200]
                                    [--wobble 0.05] [--change-day 10]

Scores of normal images are gamma distributed, 1 % of the parts are defective and score high, and every day varies a
little around its mean, image statistics included. A change comes with the images of day 10.

Each month has 30 nights, and every night assesses the month so far. The delay counts the nights from the change to
the first verdict other than hold; verdict and cause are judged two nights later. A quiet month has a false alarm if
any night's verdict is other than hold. Exit code 1 if a change was never detected, or more than 5 % of the quiet
months had a false alarm.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from benchmarks.record import Record, Values, add_results_option
from rd_core.calibration.threshold import calibrate
from rd_core.drift.assessment import DriftAssessment, assess
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
from rd_core.drift.window import Baseline, Window, baseline, window

ALPHA = 0.01
GOLDEN = 20
DAYS = 30
FIRST_DAY = 739_000
NIGHTS_TO_JUDGE = 3
MOST_FALSE = 0.05
"""of the quiet months"""

Day = tuple[NDArray[np.float64], NDArray[np.float64]]
"""scores (images,) and image statistics (images, 6), in the order of STATISTICS"""


@dataclass(frozen=True)
class Change:
    """A change on day 10, in standard deviations of the quantity, and the expected result."""

    score: float = 0.0
    """added to every score"""
    statistics: dict[str, float] = field(default_factory=dict)
    """added to the image statistics"""
    defects: float = 0.01
    """share of defective parts from then on"""
    golden: float = 0.0
    """added to the golden images' scores"""
    verdict: str = HOLD
    """expected"""
    cause: str | None = None
    """expected as the first of the list"""


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
    """A simulated production line."""

    images: int = 200
    """a day"""
    calibration: int = 400
    """held-out normals"""
    wobble: float = 0.05
    """variation of a day's mean score and image statistics, in standard deviations"""
    change_day: int = 10
    """from 1; at 1 only the calibration set precedes the change"""


@dataclass(frozen=True)
class Simulation:
    """Production of a line, without images."""

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


@dataclass(frozen=True)
class Outcome:
    """Result of one month."""

    delay: int | None
    """nights from the change to the first verdict other than hold; None without one"""
    early: bool
    """whether the night before the change had a verdict other than hold"""
    verdict: str
    """after NIGHTS_TO_JUDGE nights"""
    cause: str | None
    """the first of that night"""


def outcome(line: Simulation, seed: int, settings: DriftSettings) -> Outcome:
    """Simulate one month with a change."""
    early, first, last = False, None, None
    for day, assessment in nights(line, seed, settings, max(line.change_day - 1, 1)):
        if day < line.change_day:
            early = assessment.verdict.action != HOLD
            continue
        if first is None and assessment.verdict.action != HOLD:
            first = day
        last = assessment
        if first is not None and day == first + NIGHTS_TO_JUDGE - 1:
            break
    assert last is not None
    delay = None if first is None else first - line.change_day
    return Outcome(delay, early, last.verdict.action, last.causes[0].name if last.causes else None)


def first_alarm(line: Simulation, seed: int, settings: DriftSettings) -> DriftAssessment | None:
    """The first assessment of a quiet month with a verdict other than hold."""
    return next((a for _, a in nights(line, seed, settings) if a.verdict.action != HOLD), None)


def nights(
    line: Simulation, seed: int, settings: DriftSettings, first: int = 1
) -> Iterator[tuple[int, DriftAssessment]]:
    """(day, from `first` to 30; assessment of the month so far)."""
    random = np.random.default_rng(seed)
    before = line.baseline(random)
    month = [line.day(day >= line.change_day, random) for day in range(1, DAYS + 1)]
    for day in range(first, DAYS + 1):
        golden = line.golden(before, day >= line.change_day)
        yield day, assess(_so_far(month[:day], golden), before, settings)


def _so_far(month: list[Day], golden: NDArray[np.float64] | None) -> Window:
    days = np.repeat(np.arange(len(month)) + FIRST_DAY, [len(scores) for scores, _ in month])
    statistics = np.concatenate([values for _, values in month])
    named = dict(zip(STATISTICS, statistics.T, strict=True))
    return window(days, np.concatenate([scores for scores, _ in month]), named, golden)


def change_figures(outcomes: Sequence[Outcome], change: Change) -> dict[str, Values]:
    """Figures of the months with one change; delays of those without an earlier alarm."""
    delays = [o.delay for o in outcomes if o.delay is not None and not o.early]
    detected = [o for o in outcomes if o.delay is not None]
    figures: dict[str, Values] = {"delay nights": delays, "delay nights 90 %": float(np.quantile(delays, 0.9))}
    return (figures if delays else {}) | {
        "months": len(outcomes),
        "missed": len(outcomes) - len(detected),
        "verdict right": sum(o.verdict == change.verdict for o in detected) / len(outcomes),
        "cause right": sum(o.cause == change.cause for o in detected) / len(outcomes),
    }


def quiet_figures(line: Simulation, months: int, settings: DriftSettings) -> dict[str, Values]:
    """Figures of months without a change: false alarms, in all and by verdict."""
    false = [a for a in (first_alarm(line, 10_000 + seed, settings) for seed in range(months)) if a]
    by_verdict = Counter(a.verdict.action for a in false)
    figures: dict[str, Values] = {"months": months, "false alarm": len(false)}
    return figures | {f"false alarm: {verdict}": count for verdict, count in by_verdict.items()}


def main() -> int:
    """Record each change and the quiet months, for each size of the calibration set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--months", type=int, default=50)
    parser.add_argument("--quiet", type=int, default=200)
    parser.add_argument("--calibrations", type=int, nargs="+", default=[100, 400])
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--wobble", type=float, default=Line.wobble)
    parser.add_argument("--change-day", type=int, default=Line.change_day)
    add_results_option(parser)
    arguments = parser.parse_args()
    record, rows = Record.begin("drift_delay"), dict[str, dict[str, Values]]()
    settings = DriftSettings(resamples=50)  # the null bands are no part of the verdict
    holds = True
    for calibration in arguments.calibrations:
        line = Line(arguments.images, calibration, arguments.wobble, arguments.change_day)
        for name, change in CHANGES.items():
            outcomes = [outcome(Simulation(line, change), seed, settings) for seed in range(arguments.months)]
            rows[f"{name}, {calibration} normals"] = change_figures(outcomes, change)
            holds &= all(month.delay is not None for month in outcomes)
        quiet = quiet_figures(Simulation(line), arguments.quiet, settings)
        rows[f"none, {calibration} normals"] = quiet
        holds &= float(np.max(quiet["false alarm"])) <= MOST_FALSE * arguments.quiet
    names = ("calibrations", "images", "wobble", "change_day")
    record.write(arguments.results / "drift_delay.json", rows, {name: getattr(arguments, name) for name in names})
    return int(not holds)


def _normal_scores(count: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Gamma with shape 4, scaled to standard deviation 1: skewed as scores are."""
    return random.gamma(4.0, 0.5, count)


if __name__ == "__main__":
    sys.exit(main())
