"""What a run report is drawn from: filled by the caller, never read from a store here."""

from dataclasses import dataclass, field
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray

from reports.scored_image import ScoredImage


@dataclass(frozen=True, eq=False)
class CategoryRun:
    """What one run did with one category."""

    category: str
    state: str
    """sealed | already sealed | partly sealed | failed | no champion | silent camera | no images, or any other"""
    model_version: str | None = None
    """the champion pinned at the run's start; None if there is none"""
    method: str | None = None
    """of that model; None if its card does not tell"""
    threshold: float | None = None
    alpha: float | None = None
    """the false-alarm rate the threshold was set for, in (0, 1)"""
    threshold_extrapolated: bool = False
    """True if alpha is below 1 / (n + 1) of n calibration normals, so that a fitted tail gave the threshold"""
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
    """images whose bytes equal another one's of the night"""
    scores: NDArray[np.floating] = field(default_factory=lambda: np.empty(0, np.float32))
    """(ok,) scores of all scored images"""
    calibration_scores: NDArray[np.floating] = field(default_factory=lambda: np.empty(0, np.float32))
    """(n,) scores of the held-out normals the threshold was made from"""
    first: tuple[ScoredImage, ...] | list[ScoredImage] = ()
    """what to look at first, as the review page leads through them: the nearest to the threshold first"""
    worst: tuple[ScoredImage, ...] | list[ScoredImage] = ()
    """highest scores first, but for those in `first`"""
    unreadable_images: tuple[tuple[str, str], ...] | list[tuple[str, str]] = ()
    """(image key, error); may be cut short, `unreadable` and `rejected` count all"""
    seconds_by_stage: dict[str, float] = field(default_factory=dict)
    """seconds by stage, summed over the workers, in the order of the way"""
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
        """Images nobody has judged: unreadable, rejected, or not reached by this run."""
        return max(self.images - self.ok, self.unreadable + self.rejected)


@dataclass(frozen=True, eq=False)
class RunReport:
    """One inspection run."""

    run_id: str
    run_date: date
    """production day of the images"""
    store_uri: str
    """where the keys lead from; credentials in it are taken out when drawn"""
    started_at: datetime
    finished_at: datetime
    outcome: str
    """completed | completed with rejects | cameras silent | failed | nothing to do"""
    categories: tuple[CategoryRun, ...] | list[CategoryRun] = ()
    review_url: str | None = None
    """where the review page is"""
    litter: str = ""
    """in words, what was passed over as litter; empty where there was none"""
    software: dict[str, str] = field(default_factory=dict)
    """name -> version"""
