"""How often the gate promotes a candidate, by its real false-alarm rate and the number of normals that judge it.

    python -m benchmarks.gate [--repeats 100] [--draws 20000]

Every candidate ranks and finds defects better than the champion, whose rate is the promised one, so only its false
alarms speak against it. Three measurements, "before" without the check that the promise is shown:

- the two checks of false alarms alone, where each part has one image: exactly, over all counts of alarms;
- the same where each part has four images that resemble each other: --draws draws;
- the whole gate: --repeats drawn pairs of models.

And why the candidate's calibration is no further evidence: the false alarms that 5-fold thresholds raise on their
left-out normals, pooled with those of the normals that judge it.
"""

import argparse
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm

from benchmarks.record import Record, Values, add_results_option
from rd_core.calibration.threshold import calibrate
from rd_core.gate import checks
from rd_core.gate.decision import Cost, GateScores, GateSettings, judge
from rd_core.gate.promise import PartAlarms

ALPHA = 0.01
RATES = (0.5, 1.0, 2.0, 5.0, 10.0)
"""real false-alarm rates, in multiples of ALPHA"""
NORMALS = (20, 60, 200, 600)
"""parts with normal images that judge"""
DEFECTS = 200
SEPARATION = (3.0, 3.5)
"""of defects from normals in standard deviations, champion and candidate: AUROC 0.983 and 0.993"""
OWN_NOISE = 0.3
"""of a score's standard deviation; the rest is how hard the part is for any model"""
IMAGES, LIKENESS = 4, 0.5
"""images of a part, and the correlation of their alarms"""
CALIBRATED, FOLDS, BEYOND = 100, 5, 5.0
"""normals that set the threshold; folds; real rate tomorrow in multiples of ALPHA"""
COST = Cost(0.1, 1000, "any")
SETTINGS = GateSettings(resamples=300)


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=100, help="pairs of models a cell; default %(default)s")
    parser.add_argument("--draws", type=int, default=20_000, help="of false alarms a cell; default %(default)s")
    add_results_option(parser)
    arguments = parser.parse_args()
    record = Record.begin("gate")
    rows: dict[str, Mapping[str, Values]] = {}
    for rate in RATES:
        for normals in NORMALS:
            figures = _exactly(rate * ALPHA, normals) | _of_parts(rate * ALPHA, normals, arguments.draws)
            rows[row_name(rate, normals)] = figures | _whole(rate * ALPHA, normals, arguments.repeats)
    rows |= {f"pooled, {normals} normals": _pooled(normals, 4 * arguments.repeats) for normals in NORMALS}
    about = {"alpha": ALPHA, "rates": RATES, "normals": NORMALS, "defects": DEFECTS, "images of a part": IMAGES}
    about |= {"repeats": arguments.repeats, "draws": arguments.draws, "margin": SETTINGS.false_alarm_margin}
    record.write(arguments.results / "gate.json", rows, about)


def row_name(rate: float, normals: int) -> str:
    """Of the record."""
    return f"{rate:g} times alpha, {normals} normals"


def _exactly(rate: float, normals: int) -> dict[str, Values]:
    """Chances to pass the checks of false alarms, one image a part."""
    chances = binom.pmf(np.arange(normals + 1), normals, rate)
    passed = np.array([_of_single_images(count, normals) for count in range(normals + 1)])
    before, now = (chances @ passed).tolist()
    return {"checks before": before, "checks now": now}


@cache
def _of_single_images(alarms: int, normals: int) -> tuple[bool, bool]:
    """Whether a candidate with so many alarms passes: (before, now)."""
    none = np.zeros(normals)
    candidate = (np.arange(normals) < alarms).astype(float)
    names = [str(place) for place in range(normals)]
    paired = GateScores(none > 0, names, [None] * normals, none, candidate, 0.5, 0.5, ALPHA)
    not_proven_worse = checks.false_alarms(paired, SETTINGS).passed is True
    return not_proven_worse, not_proven_worse and checks.promise(paired, SETTINGS).passed is True


def _of_parts(rate: float, parts: int, draws: int) -> dict[str, Values]:
    """The same with IMAGES a part, whose number of alarms has a beta-binomial law."""
    random = np.random.default_rng([parts, round(1e6 * rate)])
    spread = 1 / LIKENESS - 1
    own = random.beta(rate * spread, (1 - rate) * spread, (draws, parts))
    alarms = random.binomial(IMAGES, own).sum(axis=1)
    passed = np.array([_of_many_images(count, parts) for count in alarms.tolist()])
    before, now = passed.mean(axis=0).tolist()
    return {"checks before, parts": before, "checks now, parts": now}


@cache
def _of_many_images(alarms: int, parts: int) -> tuple[bool, bool]:
    """Before, images counted as if each were a part."""
    as_images = PartAlarms(float(alarms), parts * IMAGES, single=True)
    now = PartAlarms(alarms / IMAGES, parts, single=False)
    confidence, most = SETTINGS.confidence, SETTINGS.false_alarm_margin * ALPHA
    before = as_images.low(confidence) <= ALPHA
    return before, now.low(confidence) <= ALPHA and now.high(confidence) <= most


def _whole(rate: float, normals: int, repeats: int) -> dict[str, Values]:
    """Share of pairs of models that the whole gate promotes."""
    promoted = np.zeros(2)
    for repeat in range(repeats):
        decision = judge(_drawn(rate, normals, repeat), COST, COST, settings=SETTINGS)
        unknown = [c for c in decision.checks if c.passed is None and c.name in (checks.AUROC, checks.FALSE_ALARMS)]
        failed = [c for c in decision.checks if c.passed is False]
        promoted += (decision.gained and not unknown and not failed, decision.promote)
    before, now = (promoted / repeats).tolist()
    return {"gate before": before, "gate now": now}


def _drawn(rate: float, normals: int, seed: int) -> GateScores:
    """Scores of both models on the same parts."""
    random = np.random.default_rng([seed, normals, round(1e6 * rate)])
    labels = np.arange(normals + DEFECTS) >= normals
    hard = random.normal(size=len(labels))
    champion, candidate = (
        np.sqrt(1 - OWN_NOISE**2) * hard + OWN_NOISE * random.normal(size=len(labels)) + labels * apart
        for apart in SEPARATION
    )
    thresholds = float(norm.isf(ALPHA)), float(norm.isf(rate))
    names = [str(place) for place in range(len(labels))]
    return GateScores(labels, names, [None] * len(labels), champion, candidate, *thresholds, ALPHA)


def _pooled(normals: int, repeats: int) -> dict[str, Values]:
    """Share of candidates with BEYOND times the promised rate that pass, by the normals that judge and pooled.

    Scores have an exponential law. Its scale has grown since the calibration, so that the threshold is BEYOND times
    too often exceeded.
    """
    random = np.random.default_rng(normals)
    passed = np.zeros(2)
    for _ in range(repeats):
        scores = random.exponential(size=CALIBRATED)
        later = calibrate(scores, ALPHA).value / -np.log(BEYOND * ALPHA)
        alarms = int((later * random.exponential(size=normals) > calibrate(scores, ALPHA).value).sum())
        alone = PartAlarms(float(alarms), normals, single=True)
        both = replace(alone, alarms=float(alarms + _nested(scores)), parts=normals + CALIBRATED)
        most = SETTINGS.false_alarm_margin * ALPHA
        passed += [counts.high(SETTINGS.confidence) <= most for counts in (alone, both)]
    alone_passed, pooled_passed = (passed / repeats).tolist()
    return {"alone": alone_passed, "pooled": pooled_passed}


def _nested(scores: NDArray[np.float64]) -> int:
    """False alarms on each fold's normals of the threshold that the others set."""
    folds = np.arange(len(scores)) % FOLDS
    return sum(
        int((scores[folds == fold] > calibrate(scores[folds != fold], ALPHA).value).sum()) for fold in range(FOLDS)
    )


if __name__ == "__main__":
    main()
