"""Drift of one category and model version over a window of production days."""

from dataclasses import dataclass
from datetime import date

import numpy as np
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from rd_core.drift.assessment import DriftAssessment, assess
from rd_core.drift.daily_medians import DailyMedian, daily_medians
from rd_core.drift.settings import DriftSettings
from rd_core.drift.window import Baseline, baseline, window
from rd_core.errors import TooFewNormals
from storage.filesystem import open_store
from storage.models import models
from storage.models.card import ModelCard
from tasks.drift.drift_window import WindowScores, read_window
from tasks.drift.replay_golden_set import golden_pair
from tasks.worker.faults import ON_STORAGE_FAULT

NEWEST_ALARMS = 12


@dataclass(frozen=True)
class DriftJob:
    """The input of one assessment."""

    store_uri: str
    category: str
    model_version: str
    first_day: date
    last_day: date
    """included"""
    settings: DriftSettings


@dataclass(frozen=True)
class Alarm:
    """One image above the threshold."""

    day: str
    """ISO date"""
    image_key: str
    score: float


@dataclass(frozen=True)
class ModelDrift:
    """The findings about one model version. `dataclasses.asdict` of it is plain JSON."""

    category: str
    model_version: str
    method: str
    first_day: str | None
    """ISO date of the first sealed day whose latest scores are by this version; None if there is none"""
    last_day: str | None
    images: int
    unreadable: int
    rejected: int
    threshold: float
    calibration_images: int
    assessment: DriftAssessment | None
    """None without a verdict; `message` says why"""
    daily_medians: tuple[DailyMedian, ...]
    newest_alarms: tuple[Alarm, ...]
    """of the last days, highest scores first within a day"""
    message: str | None

    @property
    def action(self) -> str | None:
        """The verdict's name, or None without an assessment."""
        return self.assessment.verdict.action if self.assessment else None


@task(
    name="assess-drift",
    task_run_name="drift {job.category} {job.model_version}",
    cache_policy=NO_CACHE,
    **ON_STORAGE_FAULT,
)
def assess_drift(job: DriftJob) -> ModelDrift:
    """Compare the sealed scores of the job's days with the calibration in the model card.

    Too few calibration normals or no scored image gives a message. Raises KeyNotFound, CorruptObject for a missing or
    damaged card or part.
    """
    store = open_store(job.store_uri, read_only=True)
    card = models.read_card(store, job.category, job.model_version)
    window_scores = read_window(store, card, job.first_day, job.last_day)
    golden = golden_pair(store, job.category, card.score_scale, job.first_day, job.last_day)
    reference, replay = golden or (None, None)
    try:
        held = _baseline(card, reference)
    except TooFewNormals as e:
        return _drift(job, card, window_scores, str(e))
    if not len(window_scores.scores):
        return _drift(job, card, window_scores, _why_nothing(window_scores))
    days = window(window_scores.days, window_scores.scores, window_scores.statistics, replay)
    assessment = assess(days, held, job.settings)
    get_run_logger().info(
        "drift assessed category=%s model=%s images=%d verdict=%s",
        job.category, job.model_version, window_scores.images, assessment.verdict.action,
    )  # fmt: skip
    return _drift(job, card, window_scores, None, assessment, daily_medians(days, held, job.settings))


def _baseline(card: ModelCard, golden: np.ndarray | None) -> Baseline:
    """The threshold in float32, as decisions use it."""
    held = card.calibration
    return baseline(
        held.scores, card.threshold.alpha, float(np.float32(card.threshold.value)), held.statistics, golden
    )


def _why_nothing(window_scores: WindowScores) -> str:
    if window_scores.images:
        return (
            f"None of {window_scores.images} images has a score ({window_scores.unreadable} unreadable, "
            f"{window_scores.rejected} rejected), so there is nothing to compare. Their errors show whether camera "
            "or transfer is at fault."
        )
    return "A later version has rescored every image of this one; see there for its days."


def _drift(
    job: DriftJob,
    card: ModelCard,
    window_scores: WindowScores,
    message: str | None,
    assessment: DriftAssessment | None = None,
    medians: tuple[DailyMedian, ...] = (),
) -> ModelDrift:
    threshold = float(np.float32(card.threshold.value))
    days = [day.isoformat() for day in window_scores.sealed_days]
    return ModelDrift(
        category=job.category,
        model_version=job.model_version,
        method=card.method.name,
        first_day=days[0] if days else None,
        last_day=days[-1] if days else None,
        images=window_scores.images,
        unreadable=window_scores.unreadable,
        rejected=window_scores.rejected,
        threshold=threshold,
        calibration_images=len(card.calibration.scores),
        assessment=assessment,
        daily_medians=medians,
        newest_alarms=_newest_alarms(window_scores, threshold),
        message=message,
    )


def _newest_alarms(window_scores: WindowScores, threshold: float) -> tuple[Alarm, ...]:
    above = np.flatnonzero(window_scores.scores > threshold)
    newest = above[np.lexsort((-window_scores.scores[above], -window_scores.days[above]))][:NEWEST_ALARMS]
    return tuple(
        Alarm(
            date.fromordinal(int(window_scores.days[i])).isoformat(),
            window_scores.keys[int(i)].as_py(),
            float(window_scores.scores[i]),
        )
        for i in newest
    )
