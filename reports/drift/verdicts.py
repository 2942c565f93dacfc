"""The data of a drift report, filled by the caller."""

from dataclasses import dataclass
from datetime import date, datetime

from reports.scored_image import ScoredImage

HOLD, RECALIBRATE, RETRAIN, STOP_THE_LINE = "hold", "recalibrate", "retrain", "stop the line"
ACTIONS = (HOLD, RECALIBRATE, RETRAIN, STOP_THE_LINE)
"""verdicts, from the mildest to the most severe"""


@dataclass(frozen=True)
class DriftFigure:
    """One figure of a day or a window with its expected range (band). A row of drift.parquet."""

    name: str
    """alarm_rate, bulk_average, bulk_sum, alarm_sum, quantile_0.5 to quantile_0.99, kolmogorov_smirnov, wasserstein,
    population_stability, brightness, contrast, sharpness, edge_centre_x, edge_centre_y, feature_distance, offset_x,
    offset_y or rotation"""
    first_day: date
    last_day: date
    """equal to first_day for a day's figure"""
    value: float
    band_low: float | None
    """None without a lower limit"""
    band_high: float
    low: float | None
    """interval of the value: 95 % Clopper-Pearson of a rate, quartiles of a day's images; None without one"""
    high: float | None
    images: int | None
    """number it is computed from; None for a control chart's value, which sums up days"""
    outside: bool
    """outside the band on a side that matters"""


@dataclass(frozen=True)
class GoldenFigures:
    """The replay of the golden images."""

    images: int
    changed: int
    largest_change: float
    """in standard deviations of the calibration scores"""
    tolerance: float


@dataclass(frozen=True)
class NewThreshold:
    """A threshold from the window's own scores, and the decisions it would change."""

    value: float
    to_normal: int
    to_anomalous: int


@dataclass(frozen=True)
class AlarmFigures:
    """Alarms of the whole window."""

    images: int
    alarms: int
    rate: float
    low: float
    high: float
    """95 % Clopper-Pearson"""
    alpha: float
    """promised share of good parts"""
    in_control_low: int
    in_control_high: int


@dataclass(frozen=True)
class ModelSection:
    """One model version's days."""

    model_version: str
    method: str
    first_day: date | None
    last_day: date | None
    images: int
    unscored: int
    threshold: float
    calibration_images: int
    action: str | None
    """one of ACTIONS; None without a verdict, `message` says why"""
    message: str | None = None
    reasons: tuple[str, ...] = ()
    """sentences: the signs of drift, then its causes"""
    causes: tuple[str, ...] = ()
    """names, strongest first"""
    changed_since: str | None = None
    """ISO date"""
    alarms: AlarmFigures | None = None
    p_value: float | None = None
    """Kolmogorov-Smirnov"""
    stands: bool | None = None
    """whether it is significant among all models of the report (Benjamini-Hochberg)"""
    new_threshold: NewThreshold | None = None
    golden: GoldenFigures | None = None
    figures: tuple[DriftFigure, ...] = ()
    newest_alarms: tuple[tuple[str, ScoredImage], ...] = ()
    """(ISO date, image), if there is something to do; keys are any text, escaped when drawn"""

    @property
    def drifts(self) -> bool:
        """Whether there is a verdict other than hold."""
        return self.action not in (None, HOLD)


@dataclass(frozen=True)
class CategorySection:
    """One category's model versions in the order of their days; the last is in force."""

    category: str
    models: tuple[ModelSection, ...]

    @property
    def current(self) -> ModelSection:
        return self.models[-1]


@dataclass(frozen=True)
class DriftReport:
    """The drift of several categories over several days."""

    first_day: date
    last_day: date
    run_id: str
    store_uri: str
    made_at: datetime
    categories: tuple[CategorySection, ...]
    failed: tuple[tuple[str, str], ...]
    """(category and version, why it could not be assessed)"""
    run_length_days: float
    """days between two false alarms of a control chart"""
    software: dict[str, str]
    review_url: str | None = None
    """address of the review page"""
