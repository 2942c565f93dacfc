"""The data of a run report, filled by the caller."""

from dataclasses import dataclass, field
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray

from reports.promise import Promise
from reports.scored_image import ScoredImage


@dataclass(frozen=True, eq=False)
class CategoryRun:
    """One category in one run."""

    category: str
    state: str
    """sealed | already sealed | partly sealed | failed | no champion | silent camera | no images, or any other"""
    model_version: str | None = None
    """the champion at the run's start; None if there is none"""
    method: str | None = None
    """of that model; None if its card has none"""
    threshold: float | None = None
    alpha: float | None = None
    """the false-alarm rate the threshold was set for, in (0, 1)"""
    promise: Promise | None = None
    """of that threshold"""
    images: int = 0
    ok: int = 0
    unreadable: int = 0
    rejected: int = 0
    anomalous: int = 0
    to_review: int = 0
    """scores within the threshold's 95 % interval, on either side of it"""
    blank: int = 0
    """images of one value throughout, such as black"""
    duplicates: int = 0
    """images with the same bytes as another image of the day"""
    scores: NDArray[np.floating] = field(default_factory=lambda: np.empty(0, np.float32))
    """(ok,) scores of all scored images"""
    calibration_scores: NDArray[np.floating] = field(default_factory=lambda: np.empty(0, np.float32))
    """(n,) scores of the held-out normals that set the threshold"""
    first: tuple[ScoredImage, ...] | list[ScoredImage] = ()
    """images to look at first, nearest to the threshold first, in the order of the review page"""
    worst: tuple[ScoredImage, ...] | list[ScoredImage] = ()
    """the others, highest scores first"""
    unreadable_images: tuple[tuple[str, str], ...] | list[tuple[str, str]] = ()
    """(image key, error); may be cut short, `unreadable` and `rejected` count all"""
    seconds_by_stage: dict[str, float] = field(default_factory=dict)
    """seconds by stage, summed over the workers, in the order of the stages"""
    images_per_second: float | None = None
    """over the category's wall clock, all workers together"""
    message: str | None = None
    """what happened and what to do next, in words"""
    maps_key: str | None = None
    """key of the zarr array"""
    scores_key: str | None = None
    """prefix of the Parquet parts"""

    @property
    def alarm_share(self) -> float | None:
        """Of the scored images, in [0, 1]; None if none was scored."""
        return self.anomalous / self.ok if self.ok else None

    @property
    def without_score(self) -> int:
        """Number of images without a score: unreadable, rejected, or not reached by this run."""
        return max(self.images - self.ok, self.unreadable + self.rejected)


@dataclass(frozen=True, eq=False)
class RunReport:
    """One inspection run."""

    run_id: str
    run_date: date
    """production day of the images"""
    store_uri: str
    """root of the keys; credentials in it are removed when drawn"""
    started_at: datetime
    finished_at: datetime
    outcome: str
    """completed | completed with rejects | cameras silent | failed | nothing to do"""
    categories: tuple[CategoryRun, ...] | list[CategoryRun] = ()
    review_url: str | None = None
    """address of the review page"""
    litter: str = ""
    """in words, the files left out as litter; empty if none"""
    software: dict[str, str] = field(default_factory=dict)
    """name -> version"""
