"""What the plant's index page is drawn from: filled by the caller, never read from a store here."""

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
    """that sealed it last"""
    earlier_versions: int = 0
    """others that sealed it before"""
    images: int = 0
    """with a sealed row; one that changed after it was sealed counts once"""
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
    """inspection run reports, newest first. Here and below a report is its path from the index page, not quoted"""
    others: tuple[tuple[str, str], ...] = ()
    """(kind in words, report) of what else was written of the day"""


@dataclass(frozen=True)
class DriftInForce:
    """A category's latest drift verdict."""

    report: str
    last_day: date
    """of the report's window"""
    model_version: str
    """that was assessed"""
    action: str | None
    """hold, recalibrate, retrain or stop the line; None where nothing can be said, `message` says why"""
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
    """that was evaluated"""
    figures: Mapping[str, float]
    """those that are defined, by the names of reports.evaluation.words"""


@dataclass(frozen=True)
class InForce:
    """A category's champion."""

    version: str
    since: datetime
    rolled_back_from: str | None = None


@dataclass(frozen=True)
class PlantCategory:
    """One category, as it stands now."""

    category: str
    champion: InForce | None = None
    champion_damaged: bool = False
    """there is a pointer, but it cannot be read"""
    drift: DriftInForce | None = None
    evaluation: LatestEvaluation | None = None
    retraining: tuple[tuple[date, str], ...] = ()
    """(day, report), newest first"""


@dataclass(frozen=True)
class PlantIndex:
    """All that the page tells."""

    store_uri: str
    """credentials in it are taken out when drawn"""
    made_at: datetime
    """UTC"""
    nights: tuple[PlantDay, ...]
    """newest first: the last sealed days, and days between or after them that have images but no seal"""
    older_days: int = 0
    """sealed days before these"""
    last_night: date | None = None
    """the last night that was looked for"""
    silent: tuple[tuple[str, date | None], ...] = ()
    """(category, its last day with images) of those whose model is in force and that had no image on that night"""
    images_listed: bool = True
    """False where no image was found at all, so that nobody knows which nights are missing"""
    categories: tuple[PlantCategory, ...] = ()
    """by name"""
    not_assessed: tuple[tuple[str, str, str], ...] = ()
    """(report, what, why): what the latest drift report or evaluation could not do"""
    unreadable: tuple[tuple[str, str], ...] = ()
    """(key, why): objects of the store that are not what their keys promise"""
    software: Mapping[str, str] = field(default_factory=dict)
