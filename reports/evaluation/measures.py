"""The data of an evaluation report, filled by the caller."""

from dataclasses import dataclass, field
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray

from reports.promise import Promise
from reports.scored_image import ScoredImage


@dataclass(frozen=True)
class Measure:
    """One figure, or the reason why there is none."""

    name: str
    """such as image_auroc; reports.evaluation.words has its title and meaning"""
    value: float | None
    """None where undefined"""
    low: float | None = None
    """95 % interval; None without one"""
    high: float | None = None
    n: int = 0
    """number of cases"""
    cases: str = "images"
    """the cases' noun"""
    why: str | None = None
    """why the value, or its interval, is missing"""


@dataclass(frozen=True)
class ShareRow:
    """The share of one group's cases that were flagged or found."""

    name: str
    """a kind of defect as labelled, or a range of sizes"""
    hits: int
    total: int
    value: float | None
    """hits / total; None without cases"""
    low: float
    """Clopper-Pearson, 95 %"""
    high: float


@dataclass(frozen=True, eq=False)
class Curve:
    """A line from (0, 0) to the right, both axes in [0, 1]."""

    x: NDArray[np.float64]
    """[k], not falling"""
    y: NDArray[np.float64]
    """[k], not falling"""


@dataclass(frozen=True, eq=False)
class ThresholdCurves:
    """Shares of the labelled images at every threshold; each holds up to the next threshold, which is excluded."""

    thresholds: NDArray[np.float64]
    """[k], rising, from -inf"""
    recall: NDArray[np.float64] | None
    """[k] in [0, 1]; None without an anomalous image"""
    false_alarm_rate: NDArray[np.float64] | None
    """[k] in [0, 1]; None without a normal image"""
    cost: NDArray[np.float64] | None
    """[k], expected an image; None without costs"""
    reachable: NDArray[np.float64]
    """[g], rising: thresholds for some alphas; empty if the model card is gone"""
    review: NDArray[np.float64]
    """[g] in [0, 1]: share of the normal images within the 95 % interval of each of them"""
    value: float
    """the threshold in force"""
    low: float
    """of its 95 % interval"""
    high: float

    def at(self, shares: NDArray[np.float64], threshold: float) -> float:
        """The value of shares [k] at any threshold."""
        return float(shares[np.searchsorted(self.thresholds, threshold, side="right") - 1])

    def review_at(self, threshold: float) -> float | None:
        """Interpolated between reachable thresholds; None without them."""
        return float(np.interp(threshold, self.reachable, self.review)) if len(self.review) else None


@dataclass(frozen=True)
class RecommendedThreshold:
    """The alpha that serves a category's goal best, or why there is none."""

    name: str
    """of its threshold, as the picture has it: "cheapest" or "wanted recall" """
    goal: str
    """in words"""
    why: str | None = None
    """why no alpha is recommended"""
    alpha: float | None = None
    threshold: float | None = None
    low: float | None = None
    """of its 95 % interval"""
    high: float | None = None
    extrapolated: bool = False
    in_force: bool = False
    """whether it is the alpha in force"""
    figures: tuple[Measure, ...] = ()
    """recall, false_alarm_rate, and with costs cost and saving; cross-fitted"""
    recall_as_chosen: float | None = None
    """on the images that chose it"""
    false_alarm_rate_as_chosen: float | None = None
    caution: str | None = None
    """what the labelled images cannot show, and the cure"""

    def figure(self, name: str) -> Measure:
        """The figure of that name. Raises KeyError."""
        return {figure.name: figure for figure in self.figures}[name]


@dataclass(frozen=True)
class LabelCounts:
    """How many images of the days are in the figures, and why others are not."""

    normal: int = 0
    """judged: scored and labelled normal for evaluation"""
    anomalous: int = 0
    """judged: scored and labelled anomalous for evaluation"""
    masked: int = 0
    """anomalous, with a mask that was counted"""
    unmasked: int = 0
    """anomalous, without a mask: in no pixel figure"""
    left_out: int = 0
    """judged, but with an unusable map or mask: in no pixel figure, listed among the problems"""
    unlabelled: int = 0
    """scored, not labelled"""
    for_training: int = 0
    """scored, labelled for training: not judged"""
    trained_on: int = 0
    """labelled for evaluation, but this model was trained with them, or normal and of such a part: left out"""
    chose: int = 0
    """labelled for evaluation, but their parts chose this model's method: left out"""
    unreadable: int = 0
    """labelled for evaluation, without a score: listed among the problems"""
    not_scored: int = 0
    """labelled for evaluation, but in no sealed row"""


@dataclass(frozen=True, eq=False)
class EvaluatedCategory:
    """One category under one model version."""

    category: str
    model_version: str
    days: tuple[date, ...]
    """with a sealed partition, rising"""
    in_mean: bool
    """False for a version other than that of the category's latest day: not in the plant's means"""
    counts: LabelCounts
    measures: tuple[Measure, ...]
    threshold: float | None = None
    """in force on the latest day"""
    alpha: float | None = None
    """the promised false-alarm rate; None if the model card is gone"""
    promise: Promise | None = None
    """of the threshold; None if the model card is gone"""
    method: str | None = None
    """the model's; None if the model card is gone"""
    by_kind: tuple[ShareRow, ...] = ()
    """anomalous images flagged, by kind of defect"""
    by_size: tuple[ShareRow, ...] = ()
    """defects found at the threshold, by their share of the image"""
    normal_scores: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    anomalous_scores: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    curves: ThresholdCurves | None = None
    """against the threshold; None without a judged image"""
    recommended: RecommendedThreshold | None = None
    """None if the settings have no goal"""
    roc: Curve | None = None
    pro: Curve | None = None
    """per-region overlap over the pixel false-positive rate, up to 0.3"""
    misses: tuple[ScoredImage, ...] = ()
    """anomalous but not flagged, lowest score first"""
    false_alarms: tuple[ScoredImage, ...] = ()
    """normal but flagged, highest score first"""
    borderline: tuple[ScoredImage, ...] = ()
    """the others, nearest to the threshold first"""
    problems: tuple[tuple[str, str], ...] = ()
    """(image key, problem and cure); may be cut short"""
    problems_left_out: int = 0
    notes: tuple[str, ...] = ()
    """further sentences for the reader"""

    def measure(self, name: str) -> Measure:
        """The figure of that name. Raises KeyError."""
        return {measure.name: measure for measure in self.measures}[name]


@dataclass(frozen=True, eq=False)
class EvaluationReport:
    """One evaluation."""

    first_day: date
    last_day: date
    """included"""
    store_uri: str
    """credentials in it are removed when drawn"""
    run_id: str
    evaluated_at: datetime
    categories: tuple[EvaluatedCategory, ...]
    means: tuple[Measure, ...] = ()
    """macro means: every category weighs the same; n counts the categories with a defined figure"""
    unlabelled: tuple[str, ...] = ()
    """inspected categories without an evaluation label in these days"""
    failed: tuple[tuple[str, str], ...] = ()
    """(partition, why it could not be evaluated)"""
    missing_days: tuple[date, ...] = ()
    """days of the range that were not inspected"""
    review_url: str | None = None
    """address of the review page"""
    software: dict[str, str] = field(default_factory=dict)
