"""The data of a retraining report, filled by the caller."""

from dataclasses import dataclass
from datetime import date, datetime

from reports.scored_image import ScoredImage

PROMOTED, CHAMPION_STAYS, OVERTAKEN, LEFT = "promoted", "champion stays", "overtaken", "left as it is"
SET_ASIDE = "set aside"
"""state of normals that the candidate's training set aside"""
OUTCOMES = (PROMOTED, CHAMPION_STAYS, OVERTAKEN, LEFT)
"""outcomes of a category's retraining; left as it is: no candidate was made"""


@dataclass(frozen=True)
class GateCheck:
    """One comparison of candidate and champion."""

    name: str
    """of rd_core.gate.checks, such as AUROC, recall or false alarms"""
    champion: float | None
    """None if undefined, as for all numbers here"""
    candidate: float | None
    difference: float | None
    low: float | None
    """one-sided bounds of the difference, or of the candidate's rate of false alarms"""
    high: float | None
    margin: float
    """largest allowed loss, or rate, or ratio of time and size"""
    passed: bool | None
    """None: too few images, or nothing to compare"""
    words: str
    gained: bool


@dataclass(frozen=True)
class NormalRow:
    """One normal image that is not used."""

    image_key: str
    """any text, escaped when drawn"""
    day: date
    labelled_by: str | None
    labelled_at: datetime | None
    why: str


@dataclass(frozen=True)
class LeftOutGroup:
    """Normal images that are not used, all for one reason."""

    state: str
    """the reason, of tasks.retraining.considered_normals"""
    count: int
    rows: tuple[NormalRow, ...]
    """the first of them"""


@dataclass(frozen=True)
class NormalsOfDay:
    """How the normal images of one production day were used."""

    day: date
    new: int
    replayed: int
    left_out: int
    labelled_by: tuple[str, ...]
    """of those that are used"""


@dataclass(frozen=True)
class CandidateFigures:
    """How the candidate was made."""

    version: str
    method: str
    started_from: str | None
    """version whose weights it started from; None: from scratch"""
    train: int
    """images"""
    early_stop: int
    calibration: int
    test: int
    fit: str
    """in a few words: number of steps, or of vectors"""
    seconds: float
    threshold: float
    champion_threshold: float
    champion_method: str


@dataclass(frozen=True)
class Judgement:
    """The gate's decision and the images behind it."""

    words: str
    checks: tuple[GateCheck, ...]
    normal: int
    """number of images that both models were compared on"""
    anomalous: int
    masked: int
    parts: int
    golden: int
    kinds: tuple[tuple[str, int], ...]
    sources: tuple[tuple[str, int], ...]
    """number of images by source: labelled for evaluation, defects from the line, new held-out normals"""
    left_out: int
    left_out_images: tuple[tuple[str, str], ...]
    """(key, why), the first of them"""


@dataclass(frozen=True, eq=False)
class RetrainingReport:
    """One category's retraining."""

    category: str
    run_date: date
    run_id: str
    store_uri: str
    made_at: datetime
    outcome: str
    """one of OUTCOMES"""
    words: str
    """why, in a sentence or two"""
    champion: str
    """version in force when the run began"""
    new: int
    """number of new normals used"""
    replayed: int
    above_threshold: int
    """of the new ones used"""
    groups: tuple[LeftOutGroup, ...]
    """most urgent first"""
    days: tuple[NormalsOfDay, ...]
    """latest first"""
    quarantined: tuple[ScoredImage, ...]
    """highest scores first, with image and map of the champion"""
    candidate: CandidateFigures | None
    """None if the category was left as it is"""
    judgement: Judgement | None
    software: dict[str, str]
    review_url: str | None = None
    """address of the review page"""
