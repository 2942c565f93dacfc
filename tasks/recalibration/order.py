"""The input of a recalibration."""

from dataclasses import dataclass
from datetime import date

from rd_core.pictures.ignored_regions import Ignore

LABELLED, UNLABELLED = "labelled normals", "unlabelled scores"
HELD_OUT = "the model's own held-out scores"
UNLABELLED_DAYS = 30
"""days of unlabelled scores, if none are given"""


@dataclass(frozen=True)
class RecalibrateOrder:
    """What to calibrate on."""

    category: str
    version: str
    """whose weights, and whose threshold is replaced"""
    alpha: float
    """promised false-alarm rate"""
    unlabelled: bool = False
    """sealed scores of the days whatever the images show; else labelled normals"""
    held_out: bool = False
    """the model's own held-out scores, for another alpha alone"""
    first_day: date | None = None
    """None: any for labelled normals; else UNLABELLED_DAYS with the last one"""
    last_day: date | None = None
    """included; None: any"""
    ignore: Ignore | None = None
    """the ignored region in force, which the new version has; with `held_out` it keeps the old one"""
    extrapolate: bool = True
    """False: no threshold that rests on a fitted tail"""
    promote: bool = False
    expected: str | None = None
    """the champion that a promotion may replace; None for no champion"""
    review_url: str | None = None
    """address of the review page, for links"""
