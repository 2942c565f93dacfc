"""Settings of the drift statistics and their defaults."""

from dataclasses import dataclass

from rd_core.settings import check_ranges


@dataclass(frozen=True)
class DriftSettings:
    """What counts as drift. Shifts are in robust standard deviations of the calibration set."""

    defect_share: float = 0.02
    """largest share of true defects on ordinary days, which is no drift"""
    significance: float = 0.002
    """level of each test of a whole window that can end a hold"""
    run_length_days: float = 2000.0
    """in-control average run length of each control chart, in days"""
    ewma_weight: float = 0.3
    """weight of the newest day in the exponentially weighted moving average"""
    cusum_reference: float = 0.5
    """half the shift, in standard deviations of a day's figure, that the cumulative sum detects soonest"""
    day_to_day: float = 0.1
    """standard deviation of ordinary days' mean scores"""
    bulk_shift: float = 0.3
    """smallest relevant shift of the median score"""
    retrain_shift: float = 1.0
    """shift of the median score that a new threshold does not correct"""
    image_shift: float = 0.5
    """smallest relevant shift of an image statistic"""
    golden_tolerance: float = 0.01
    """largest change of a golden image's score by rounding"""
    resamples: int = 400
    """of the bootstrap behind the null bands"""
    seed: int = 0
    """of the bootstrap"""

    def __post_init__(self) -> None:
        check_ranges(self, _RANGES, "where a verdict would be chance or never come")


# Beyond a million days a chart's limit lies where floating point ends; with a reference above 1 a single
# ordinary day would be the whole chart.
_RANGES = (
    ("defect_share", 0.0, 0.5),
    ("significance", 1e-6, 0.5),
    ("run_length_days", 20.0, 1e6),
    ("ewma_weight", 0.01, 1.0),
    ("cusum_reference", 0.05, 1.0),
    ("day_to_day", 0.0, 10.0),
    ("bulk_shift", 0.0, 10.0),
    ("retrain_shift", 0.0, 100.0),
    ("image_shift", 0.0, 10.0),
    ("golden_tolerance", 0.0, 1.0),
    ("resamples", 20, 1_000_000),
)
