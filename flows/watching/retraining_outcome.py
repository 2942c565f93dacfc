"""The outcome of a retraining by category: as the run's state, event and table."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from prefect.events import emit_event

from flows.errors import PartlyDone
from reports.retraining.decision import CHAMPION_STAYS, OVERTAKEN, PROMOTED
from tasks.recalibration.recalibrate_model import RecalibratedModel
from tasks.retraining.gather_normals import GatheredNormals
from tasks.retraining.judge_candidate import JudgedCandidate
from tasks.retraining.promote_candidate import Promotion
from tasks.retraining.write_retraining_report import RetrainingFindings
from tasks.training.fitted_model import FittedModel

EVENT = "model.promoted"
NO_CHAMPION = "no champion"


@dataclass(frozen=True)
class CategoryRetraining:
    """Outcome of one category."""

    category: str
    outcome: str
    """promoted, champion stays, overtaken, left as it is, or no champion"""
    words: str
    """why"""
    champion: str | None
    """champion when the run began"""
    gathered: GatheredNormals | None = None
    fitted: FittedModel | None = None
    judged: JudgedCandidate | None = None
    promotion: Promotion | None = None
    report: str | None = None
    """key of the HTML"""


@dataclass(frozen=True)
class RetrainingRun:
    """Outcome of one run."""

    run_id: str
    run_date: date
    categories: tuple[CategoryRetraining, ...]
    failed: tuple[tuple[str, str], ...]
    """(category, why)"""

    @property
    def report(self) -> str | None:
        """Key of the HTML report, if there is exactly one."""
        keys = [category.report for category in self.categories if category.report]
        return keys[0] if len(keys) == 1 else None


class RetrainingFailed(PartlyDone):
    """Some category could not be retrained. `run` says what was done."""

    def __init__(self, run: RetrainingRun) -> None:
        super().__init__(run, "; ".join(f"{what}: {why}" for what, why in run.failed))


def ended(findings: RetrainingFindings, report: str | None) -> CategoryRetraining:
    """Outcome of a category that was retrained or left as it is."""
    return CategoryRetraining(
        findings.gathered.category,
        findings.outcome,
        findings.words,
        findings.gathered.champion,
        findings.gathered,
        findings.fitted,
        findings.judged,
        findings.promotion,
        report,
    )


def recalibrated(model: RecalibratedModel) -> CategoryRetraining:
    """Outcome of a category that got a new threshold in place of a candidate."""
    words = f"Drift asked for a new threshold: {model.version}. {model.judged or 'The gate was not asked.'}"
    if not model.champion:
        outcome = OVERTAKEN if model.overtaken else CHAMPION_STAYS
        return CategoryRetraining(model.category, outcome, words, model.replaces)
    promotion = Promotion(model.category, model.version, model.replaces, None)
    return CategoryRetraining(model.category, PROMOTED, words, model.replaces, promotion=promotion)


def unstarted(category: str) -> CategoryRetraining:
    """Outcome of a category without a champion."""
    why = f"{category} has no champion to compare with. Train its first model: rd-inspect train --category {category}"
    return CategoryRetraining(category, NO_CHAMPION, why, None)


def state_of(categories: Iterable[CategoryRetraining]) -> str:
    """Name of the run's final state."""
    if any(category.promotion is not None and category.promotion.promoted for category in categories):
        return "Promoted"
    made = (CHAMPION_STAYS, OVERTAKEN)
    return "Completed" if any(category.outcome in made for category in categories) else "NothingToDo"


def message_of(run: RetrainingRun) -> str:
    """Message of the run's final state."""
    if not run.categories:
        return "No category has labels, so there is nothing to retrain on."
    return "; ".join(f"{category.category}: {category.outcome}" for category in run.categories)


def emit_promoted(retraining: CategoryRetraining) -> None:
    """Emit `model.promoted` if the candidate was promoted."""
    if retraining.promotion is None or not retraining.promotion.promoted:
        return
    emit_event(
        event=EVENT,
        resource={
            "prefect.resource.id": f"rd-inspect.category.{retraining.category}",
            "prefect.resource.name": retraining.category,
            "rd-inspect.category": retraining.category,
        },
        payload={
            "category": retraining.category,
            "version": retraining.promotion.version,
            "previous": retraining.promotion.previous,
            "words": retraining.words,
            "report": retraining.report,
        },
    )


def artifact_row(retraining: CategoryRetraining) -> dict[str, Any]:
    """A row of the table that a run leaves on the server."""
    return {
        "category": retraining.category,
        "outcome": retraining.outcome,
        "champion": retraining.champion,
        "candidate": retraining.fitted.version if retraining.fitted else None,
        "new normals": retraining.gathered.new if retraining.gathered else None,
        "quarantined": retraining.gathered.counts.get("quarantined", 0) if retraining.gathered else None,
        "why": retraining.words,
        "report": retraining.report,
    }
