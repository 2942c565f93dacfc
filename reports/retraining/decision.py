"""What a retraining report is drawn from: filled by the caller, never read from a store here."""

from dataclasses import dataclass
from datetime import date, datetime

from reports.scored_image import ScoredImage

PROMOTED, CHAMPION_STAYS, OVERTAKEN, LEFT = "promoted", "champion stays", "overtaken", "left as it is"
OUTCOMES = (PROMOTED, CHAMPION_STAYS, OVERTAKEN, LEFT)
"""how a category's retraining can end; left as it is: no candidate was made"""


@dataclass(frozen=True)
class GateCheck:
    """One comparison of candidate and champion."""

    name: str
    """as rd_core.gate.decision names it, such as AUROC, recall or false alarms"""
    champion: float | None
    """None where it is undefined, as for all numbers here"""
    candidate: float | None
    difference: float | None
    low: float | None
    """one-sided bounds of the difference; for false alarms and golden images of the candidate's own rate"""
    high: float | None
    margin: float
    """largest loss; for false alarms the promised rate, for time and size the largest ratio"""
    passed: bool | None
    """None: too few images to tell, or nothing to compare"""
    words: str
    gained: bool


@dataclass(frozen=True)
class NormalRow:
    """One normal that is not used."""

    image_key: str
    """any text, escaped when drawn"""
    day: date
    labelled_by: str | None
    labelled_at: datetime | None
    why: str


@dataclass(frozen=True)
class LeftOutGroup:
    """Normals that are not used for one reason."""

    state: str
    """as tasks.retraining.considered_normals names it"""
    count: int
    rows: tuple[NormalRow, ...]
    """the first of them"""


@dataclass(frozen=True)
class NormalsOfDay:
    """Where the normals of one production day went."""

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
    """version whose weights it went on from; None: from scratch"""
    train: int
    """images"""
    early_stop: int
    calibration: int
    test: int
    fit: str
    """in a few words: how many steps, or vectors"""
    seconds: float
    threshold: float
    champion_threshold: float
    champion_method: str


@dataclass(frozen=True)
class Judgement:
    """What the gate said."""

    words: str
    checks: tuple[GateCheck, ...]
    normal: int
    """images that both models were compared on"""
    anomalous: int
    masked: int
    parts: int
    golden: int
    kinds: tuple[tuple[str, int], ...]
    sources: tuple[tuple[str, int], ...]
    """how many images were labelled for evaluation, are defects from the line, or new normals that were held out"""
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
    """version that was in force when the run began"""
    new: int
    """new normals used"""
    replayed: int
    above_threshold: int
    """of the new ones used"""
    groups: tuple[LeftOutGroup, ...]
    """what somebody should look at first comes first"""
    days: tuple[NormalsOfDay, ...]
    """the latest first"""
    quarantined: tuple[ScoredImage, ...]
    """the highest scores first, with picture and map of the champion"""
    candidate: CandidateFigures | None
    """None if the category was left as it is"""
    judgement: Judgement | None
    software: dict[str, str]
    review_url: str | None = None
    """where the review page is"""
