"""What an evaluation report is drawn from: filled by the caller, never read from a store here."""

from dataclasses import dataclass, field
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray

from reports.scored_image import ScoredImage


@dataclass(frozen=True)
class Measure:
    """One figure, or why there is none."""

    name: str
    """for machines, as image_auroc; evaluation_words has its title and meaning"""
    value: float | None
    """None where undefined"""
    low: float | None = None
    """95 % interval; None where there is none"""
    high: float | None = None
    n: int = 0
    """cases it rests on"""
    cases: str = "images"
    """what they are"""
    why: str | None = None
    """why the value, or its interval, is missing"""


@dataclass(frozen=True)
class ShareRow:
    """Cases of one group that were flagged or found."""

    name: str
    """a kind of defect as labelled, or a range of sizes"""
    hits: int
    total: int
    value: float | None
    """hits of total; None without cases"""
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


@dataclass(frozen=True)
class LabelCounts:
    """What became of the images of the days, by what is known of them."""

    normal: int = 0
    """judged: with a score and labelled normal for evaluation"""
    anomalous: int = 0
    """judged, labelled anomalous"""
    masked: int = 0
    """anomalous, with a mask that was counted"""
    unmasked: int = 0
    """anomalous, without a mask: in no pixel figure"""
    left_out: int = 0
    """judged, but their map or mask cannot be counted: in no pixel figure, listed among the problems"""
    unlabelled: int = 0
    """scored, but nobody has labelled them"""
    for_training: int = 0
    """scored, labelled for training: never judged by"""
    trained_on: int = 0
    """labelled for evaluation, but this model was trained with them: left out"""
    unreadable: int = 0
    """labelled for evaluation, but without a score, listed among the problems"""
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
    """False for a version that is not the one of the category's latest day: the plant's means leave it out"""
    counts: LabelCounts
    measures: tuple[Measure, ...]
    threshold: float | None = None
    """in force on the latest day"""
    alpha: float | None = None
    """the false-alarm rate it was set for; None if the model card is gone"""
    method: str | None = None
    """of the model; likewise"""
    by_kind: tuple[ShareRow, ...] = ()
    """anomalous images flagged, by kind of defect"""
    by_size: tuple[ShareRow, ...] = ()
    """defects found at the threshold, by their share of the image"""
    normal_scores: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    anomalous_scores: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    roc: Curve | None = None
    pro: Curve | None = None
    """per-region overlap over the false-positive rate of pixels, up to 0.3"""
    misses: tuple[ScoredImage, ...] = ()
    """anomalous but not flagged, lowest score first"""
    false_alarms: tuple[ScoredImage, ...] = ()
    """normal but flagged, highest score first"""
    borderline: tuple[ScoredImage, ...] = ()
    """others, nearest to the threshold first"""
    problems: tuple[tuple[str, str], ...] = ()
    """(image key, what could not be counted and what to do); may be cut short"""
    problems_left_out: int = 0
    notes: tuple[str, ...] = ()
    """what else a reader must know"""

    def measure(self, name: str) -> Measure:
        """The figure of that name. KeyError."""
        return {measure.name: measure for measure in self.measures}[name]


@dataclass(frozen=True, eq=False)
class EvaluationReport:
    """One evaluation."""

    first_day: date
    last_day: date
    """included"""
    store_uri: str
    """credentials in it are taken out when drawn"""
    run_id: str
    evaluated_at: datetime
    categories: tuple[EvaluatedCategory, ...]
    means: tuple[Measure, ...] = ()
    """macro means over categories: each weighs the same, n counts those where the figure is defined"""
    unlabelled: tuple[str, ...] = ()
    """inspected categories without an evaluation label in these days"""
    failed: tuple[tuple[str, str], ...] = ()
    """(partition, why): could not be evaluated"""
    missing_days: tuple[date, ...] = ()
    """days in the range that were not inspected"""
    review_url: str | None = None
    """where the review page is"""
    software: dict[str, str] = field(default_factory=dict)
