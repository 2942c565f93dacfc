"""Months of nights, assessed as a plant would: days until a change is told, what it is taken for, false alarms.

Each month has 30 nights, and the month so far is assessed every night. The delay counts the nights from the change's
own to the first verdict other than hold; verdict and cause are judged on that night and the two that follow, by their
last. A quiet month has a false alarm if any of its nights ends in a verdict other than hold.
"""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rd_core.drift.assessment import DriftAssessment, assess
from rd_core.drift.causes import STATISTICS
from rd_core.drift.settings import DriftSettings
from rd_core.drift.verdict import HOLD
from rd_core.drift.window import Baseline, Window, window

DAYS = 30
FIRST_DAY = 739_000
NIGHTS_TO_JUDGE = 3

Day = tuple[NDArray[np.float64], NDArray[np.float64]]
"""scores (images,) and image statistics (images, 6), in the order of STATISTICS"""


class Production(Protocol):
    """Where the images of a month come from. One object gives any number of months, each from its own seed."""

    @property
    def change_day(self) -> int:
        """From 1; with 1 there is no day before the change to compare with but the calibration."""

    def baseline(self, random: np.random.Generator) -> Baseline:
        """The calibration of this month's model."""

    def day(self, changed: bool, random: np.random.Generator) -> Day:
        """One day's images."""

    def golden(self, before: Baseline, changed: bool, /) -> NDArray[np.float64] | None:
        """Scores of the golden images, replayed after a day."""


@dataclass(frozen=True)
class Outcome:
    """Of one month."""

    delay: int | None
    """nights from the change to the first verdict other than hold; None if there was none"""
    early: bool
    """whether the night before the change had a verdict other than hold"""
    verdict: str
    """judged NIGHTS_TO_JUDGE nights on"""
    cause: str | None
    """the first of that night"""


def outcome(line: Production, seed: int, settings: DriftSettings) -> Outcome:
    """One month with a change."""
    early, first, last = False, None, None
    for day, found in nights(line, seed, settings, max(line.change_day - 1, 1)):
        if day < line.change_day:
            early = found.verdict.action != HOLD
            continue
        if first is None and found.verdict.action != HOLD:
            first = day
        last = found
        if first is not None and day == first + NIGHTS_TO_JUDGE - 1:
            break
    assert last is not None
    delay = None if first is None else first - line.change_day
    return Outcome(delay, early, last.verdict.action, last.causes[0].name if last.causes else None)


def first_alarm(line: Production, seed: int, settings: DriftSettings) -> DriftAssessment | None:
    """The first night of a quiet month with a verdict other than hold."""
    return next((a for _, a in nights(line, seed, settings) if a.verdict.action != HOLD), None)


def nights(
    line: Production, seed: int, settings: DriftSettings, first: int = 1
) -> Iterator[tuple[int, DriftAssessment]]:
    """(day, from `first` to 30; the month so far assessed that night)."""
    random = np.random.default_rng(seed)
    before = line.baseline(random)
    month = [line.day(day >= line.change_day, random) for day in range(1, DAYS + 1)]
    for day in range(first, DAYS + 1):
        golden = line.golden(before, day >= line.change_day)
        yield day, assess(_so_far(month[:day], golden), before, settings)


def _so_far(month: list[Day], golden: NDArray[np.float64] | None) -> Window:
    days = np.repeat(np.arange(len(month)) + FIRST_DAY, [len(scores) for scores, _ in month])
    found = np.concatenate([values for _, values in month])
    named = dict(zip(STATISTICS, found.T, strict=True))
    return window(days, np.concatenate([scores for scores, _ in month]), named, golden)


def print_head(title: str) -> None:
    print(f"\n{title:<24} missed  delay: median  90 %  verdict right  cause right")


def print_change(name: str, outcomes: Sequence[Outcome], verdict: str, cause: str | None) -> None:
    """A line of the table; `verdict` and `cause` are the right ones."""
    delays = [o.delay for o in outcomes if o.delay is not None and not o.early]
    told = [o for o in outcomes if o.delay is not None]
    middle = f"{statistics.median(delays):.1f}" if delays else "-"
    late = f"{np.quantile(delays, 0.9):.1f}" if delays else "-"
    verdicts = sum(o.verdict == verdict for o in told) / len(outcomes)
    named = sum(o.cause == cause for o in told) / len(outcomes)
    missed = len(outcomes) - len(told)
    print(f"  {name:<22} {missed:>8} {middle:>14} {late:>5} {verdicts:>14.0%} {named:>12.0%}", flush=True)


def print_quiet(line: Production, months: int, settings: DriftSettings) -> None:
    """Months without a change: how many have a false alarm, and what it says."""
    false = [a for a in (first_alarm(line, 10_000 + seed, settings) for seed in range(months)) if a]
    print(f"  quiet: {len(false)} of {months} months with a false alarm")
    for verdict in sorted({a.verdict.action for a in false}):
        print(f"    {sum(a.verdict.action == verdict for a in false)} x {verdict}")
