"""What a drift report is drawn from: filled by the caller, never read from a store here."""

from dataclasses import dataclass
from datetime import date, datetime

from reports.scored_image import ScoredImage

HOLD, RECALIBRATE, RETRAIN, STOP_THE_LINE = "hold", "recalibrate", "retrain", "stop the line"
ACTIONS = (HOLD, RECALIBRATE, RETRAIN, STOP_THE_LINE)
"""verdicts, from the mildest to the most severe"""


@dataclass(frozen=True)
class DriftFigure:
    """One figure of a day or of a window, with the band in which it is no news. A row of drift.parquet."""

    name: str
    """alarm_rate, bulk_average, bulk_sum, alarm_sum, quantile_0.5 to quantile_0.99, kolmogorov_smirnov, wasserstein,
    population_stability, brightness, contrast, sharpness, edge_centre_x, edge_centre_y or feature_distance"""
    first_day: date
    last_day: date
    """the same for a day's figure"""
    value: float
    band_low: float | None
    """None: there is no lower limit"""
    band_high: float
    low: float | None
    """of its own interval: 95 % Clopper-Pearson of a rate, quartiles of a day's images; None if it has none"""
    high: float | None
    images: int | None
    """behind it; None for a chart's value, which sums up days"""
    outside: bool
    """beyond the band on a side that matters"""


@dataclass(frozen=True)
class GoldenFigures:
    """The golden images' replay."""

    images: int
    changed: int
    largest_change: float
    """in standard deviations of the calibration scores"""
    tolerance: float


@dataclass(frozen=True)
class NewThreshold:
    """What a threshold from the window's own scores would be and change."""

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
    """one of ACTIONS; None where nothing can be said, `message` says why"""
    message: str | None = None
    reasons: tuple[str, ...] = ()
    """sentences: the signs that drift was told by, then its causes"""
    causes: tuple[str, ...] = ()
    """names, the strongest first"""
    changed_since: str | None = None
    """ISO date"""
    alarms: AlarmFigures | None = None
    p_value: float | None = None
    """Kolmogorov-Smirnov"""
    stands: bool | None = None
    """whether that is a discovery among all models of the report (Benjamini-Hochberg)"""
    new_threshold: NewThreshold | None = None
    golden: GoldenFigures | None = None
    figures: tuple[DriftFigure, ...] = ()
    newest_alarms: tuple[tuple[str, ScoredImage], ...] = ()
    """(ISO date, image), where something is to be done; keys are any text, escaped when drawn"""

    @property
    def drifts(self) -> bool:
        """Whether there is a verdict, and it is not to go on as before."""
        return self.action not in (None, HOLD)


@dataclass(frozen=True)
class CategorySection:
    """One category: its model versions in the order of their days, so the last one is in force."""

    category: str
    models: tuple[ModelSection, ...]

    @property
    def current(self) -> ModelSection:
        return self.models[-1]


@dataclass(frozen=True)
class DriftReport:
    """Some days of some categories."""

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
    """where the review page is"""
