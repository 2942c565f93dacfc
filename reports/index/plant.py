"""The data of the plant's index page, filled by the caller."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

SEALED, UNSEALED, DAMAGED = "sealed", "not sealed", "seal damaged"


@dataclass(frozen=True)
class CategoryDay:
    """One category on one production day. All counts are 0 unless `state` is sealed."""

    category: str
    state: str
    """sealed | not sealed (there are images) | seal damaged"""
    model_version: str | None = None
    """the last one that sealed it"""
    earlier_versions: int = 0
    """number of others that sealed it before"""
    images: int = 0
    """with a sealed row; an image that changed afterwards counts once"""
    ok: int = 0
    anomalous: int = 0
    """of the ok ones"""
    alpha: float | None = None
    """the false-alarm rate the threshold was set for, in (0, 1); None if the model card is gone"""

    @property
    def unscored(self) -> int:
        return self.images - self.ok

    @property
    def share(self) -> float | None:
        """Alarms of the scored images, in [0, 1]; None if none was scored."""
        return self.anomalous / self.ok if self.ok else None


@dataclass(frozen=True)
class PlantDay:
    """One production day."""

    day: date
    categories: tuple[CategoryDay, ...]
    """by name"""
    reports: tuple[str, ...] = ()
    """run reports, newest first. Here and below a report is its unquoted path from the index page"""
    others: tuple[tuple[str, str], ...] = ()
    """(kind in words, report) of the day's other reports"""


@dataclass(frozen=True)
class DriftInForce:
    """A category's latest drift verdict."""

    report: str
    last_day: date
    """of the report's window"""
    model_version: str
    """the assessed version"""
    action: str | None
    """hold, recalibrate, retrain or stop the line; None without a verdict, `message` says why"""
    causes: tuple[str, ...] = ()
    """strongest first"""
    since: str | None = None
    """ISO date"""
    message: str | None = None


@dataclass(frozen=True)
class LatestEvaluation:
    """A category's latest evaluation."""

    report: str
    first_day: date
    last_day: date
    """included"""
    model_version: str
    """the evaluated version"""
    figures: Mapping[str, float]
    """defined figures by their names in reports.evaluation.words"""


@dataclass(frozen=True)
class InForce:
    """A category's champion."""

    version: str
    since: datetime
    rolled_back_from: str | None = None


@dataclass(frozen=True)
class LatestComparison:
    """A category's latest comparison of methods."""

    category: str
    made_at: datetime
    method: str | None
    """the named one; None: `sentence` says why none is"""
    sentence: str
    report: str
    drawn: bool = False
    """whether defects were drawn, because none is labelled"""
    failed: tuple[str, ...] = ()
    """contenders that failed, and why"""
    earlier: tuple[tuple[date, str], ...] = ()
    """(day, report) of the category's earlier ones, newest first"""


@dataclass(frozen=True)
class PlantCategory:
    """One category's present state."""

    category: str
    champion: InForce | None = None
    champion_damaged: bool = False
    """champion.json exists but cannot be read"""
    drift: DriftInForce | None = None
    evaluation: LatestEvaluation | None = None
    retraining: tuple[tuple[date, str], ...] = ()
    """(day, report), newest first"""


@dataclass(frozen=True)
class PlantIndex:
    """The contents of the page."""

    store_uri: str
    """credentials in it are removed when drawn"""
    made_at: datetime
    """UTC"""
    nights: tuple[PlantDay, ...]
    """newest first: the last sealed days, and unsealed days with images between or after them"""
    older_days: int = 0
    """sealed days before these"""
    last_night: date | None = None
    """the last expected night"""
    silent: tuple[tuple[str, date | None], ...] = ()
    """(category, its last day with images) of categories with a champion and no image on that night"""
    images_listed: bool = True
    """False if the store has no image at all, so that missing nights are unknown"""
    categories: tuple[PlantCategory, ...] = ()
    """by name"""
    comparisons: tuple[LatestComparison, ...] = ()
    """by category"""
    not_assessed: tuple[tuple[str, str, str], ...] = ()
    """(report, category, why): what the latest drift report or evaluation could not assess"""
    unreadable: tuple[tuple[str, str], ...] = ()
    """(key, why) of damaged objects of the store"""
    software: Mapping[str, str] = field(default_factory=dict)
