"""Writing the retraining report of a category: HTML for people, JSON with the same contents."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from reports.retraining.decision import (
    CHAMPION_STAYS,
    LEFT,
    OVERTAKEN,
    PROMOTED,
    SET_ASIDE,
    CandidateFigures,
    GateCheck,
    Judgement,
    LeftOutGroup,
    NormalRow,
    NormalsOfDay,
    RetrainingReport,
)
from reports.retraining.report import render_retraining_report
from reports.scored_image import ScoredImage
from storage.filesystem import Store, open_store
from storage.layout import retraining_prefix
from storage.models import models
from tasks.reporting.picture_now import picture_now
from tasks.reporting.published_reports import RETRAINING, publish_report
from tasks.retraining.considered_normals import (
    LEFT_OUT,
    NEW,
    QUARANTINED,
    REPLAYED,
    ConsideredNormal,
    read_considered,
)
from tasks.retraining.gather_normals import GatheredNormals
from tasks.retraining.judge_candidate import JudgedCandidate, plain
from tasks.retraining.promote_candidate import Promotion
from tasks.training.fitted_model import FittedModel
from tasks.worker.faults import ON_STORAGE_FAULT
from tasks.worker.scorer import warm_scorer
from tasks.worker.software import software
from tasks.worker.worker_process import prepare_worker_process

SCHEMA_VERSION = 1
MOST_PICTURES = 24
MOST_ROWS = 200
"""listed for each reason; normals.parquet has all"""
MOST_DAYS = 60


@dataclass(frozen=True)
class RetrainingFindings:
    """A run's results for a category; None for steps not reached."""

    gathered: GatheredNormals
    fitted: FittedModel | None = None
    judged: JudgedCandidate | None = None
    promotion: Promotion | None = None

    @property
    def outcome(self) -> str:
        if self.judged is None:
            return LEFT
        if self.promotion is None:
            return CHAMPION_STAYS
        return PROMOTED if self.promotion.promoted else OVERTAKEN

    @property
    def words(self) -> str:
        """Why."""
        if self.judged is None:
            return self.gathered.message or ""
        overtaken = self.promotion.overtaken if self.promotion else None
        words = self.judged.decision.words
        return (
            f"The gate let the candidate pass, but it was overtaken: {overtaken} The gate said: {words}"
            if overtaken
            else words
        )


@task(
    name="write-retraining-report",
    task_run_name="report {findings.gathered.category}",
    cache_policy=NO_CACHE,
    **ON_STORAGE_FAULT,
)
def write_retraining_report(
    store_uri: str,
    images_uri: str,
    findings: RetrainingFindings,
    *,
    run_date: date,
    run_id: str,
    made_at: datetime,
    review_url: str | None = None,
) -> str:
    """Write retraining.html and retraining.json; returns the key of the HTML."""
    prepare_worker_process()
    store, images = open_store(store_uri), open_store(images_uri, read_only=True)
    gathered = findings.gathered
    rows = read_considered(store, gathered.key)
    report = RetrainingReport(
        category=gathered.category,
        run_date=run_date,
        run_id=run_id,
        store_uri=store_uri,
        made_at=made_at,
        outcome=findings.outcome,
        words=findings.words,
        champion=gathered.champion,
        new=gathered.new,
        replayed=gathered.replayed,
        above_threshold=gathered.above_threshold,
        groups=(*_set_aside(rows, findings.fitted), *_groups(rows)),
        days=tuple(_days(rows)[:MOST_DAYS]),
        quarantined=_quarantined(store, images, gathered, rows),
        candidate=_candidate(store, findings),
        judgement=_judgement(findings.judged),
        software=software(),
        review_url=review_url,
    )
    prefix = retraining_prefix(run_date, gathered.category, run_id)
    store.write(f"{prefix}retraining.json", (json.dumps(_document(report, findings, rows), indent=2) + "\n").encode())
    publish_report(store, RETRAINING, run_date, f"{prefix}retraining.html", render_retraining_report(report))
    return f"{prefix}retraining.html"


def _set_aside(rows: Sequence[ConsideredNormal], fitted: FittedModel | None) -> Iterator[LeftOutGroup]:
    if fitted and fitted.set_aside:
        considered = {row.image_key: row for row in rows}
        listed = [
            NormalRow(key, considered[key].day, considered[key].labelled_by, considered[key].labelled_at, why)
            for key, why in list(fitted.set_aside.items())[:MOST_ROWS]
        ]
        yield LeftOutGroup(SET_ASIDE, len(fitted.set_aside), tuple(listed))


def _groups(rows: Sequence[ConsideredNormal]) -> list[LeftOutGroup]:
    groups = []
    for state in LEFT_OUT:
        members = sorted(
            (row for row in rows if row.state == state), key=lambda row: (-(row.score or 0), row.image_key)
        )
        if members:
            listed = [
                NormalRow(row.image_key, row.day, row.labelled_by, row.labelled_at, row.why or "")
                for row in members[:MOST_ROWS]
            ]
            groups.append(LeftOutGroup(state, len(members), tuple(listed)))
    return groups


def _days(rows: Sequence[ConsideredNormal]) -> list[NormalsOfDay]:
    """The latest first."""
    of_day: dict[date, list[ConsideredNormal]] = defaultdict(list)
    for row in rows:
        of_day[row.day].append(row)
    days = []
    for day in sorted(of_day, reverse=True):
        states = Counter(row.state for row in of_day[day])
        used = [row for row in of_day[day] if row.state in (NEW, REPLAYED)]
        people = sorted({row.labelled_by for row in used if row.labelled_by})
        left_out = len(of_day[day]) - len(used)
        days.append(NormalsOfDay(day, states[NEW], states[REPLAYED], left_out, tuple(people)))
    return days


def _quarantined(
    store: Store, images: Store, gathered: GatheredNormals, rows: Sequence[ConsideredNormal]
) -> tuple[ScoredImage, ...]:
    """The worst of them with the champion's map; scored again, because gathering keeps no maps."""
    chosen = sorted((row for row in rows if row.state == QUARANTINED), key=lambda row: -(row.score or 0))
    if not chosen:
        return ()
    scorer = warm_scorer(store, gathered.category, gathered.champion)
    return tuple(picture_now(images, scorer, row.image_key, row.score) for row in chosen[:MOST_PICTURES])


def _candidate(store: Store, findings: RetrainingFindings) -> CandidateFigures | None:
    fitted, gathered = findings.fitted, findings.gathered
    if fitted is None:
        return None
    card = models.read_card(store, gathered.category, gathered.champion)
    names = ("version", "method", "started_from", "train", "early_stop", "calibration", "test", "fit", "seconds")
    return CandidateFigures(
        **{name: getattr(fitted, name) for name in names},
        threshold=fitted.threshold,
        champion_threshold=card.threshold.value,
        champion_method=card.method.name,
    )


def _judgement(judged: JudgedCandidate | None) -> Judgement | None:
    if judged is None:
        return None
    return Judgement(
        words=judged.decision.words,
        checks=tuple(GateCheck(**asdict(check)) for check in judged.decision.checks),
        **{name: judged.images[name] for name in ("normal", "anomalous", "masked", "parts", "golden", "left_out")},
        kinds=tuple(judged.kinds.items()),
        sources=tuple(judged.sources.items()),
        left_out_images=judged.left_out,
    )


def _document(
    report: RetrainingReport, findings: RetrainingFindings, rows: Sequence[ConsideredNormal]
) -> Mapping[str, Any]:
    judged, fitted = findings.judged, findings.fitted
    return plain(
        {
            "schema_version": SCHEMA_VERSION,
            "category": report.category,
            "run_date": report.run_date.isoformat(),
            "run_id": report.run_id,
            "made_at": report.made_at.isoformat(),
            "outcome": report.outcome,
            "words": report.words,
            "champion": report.champion,
            "candidate": fitted.version if fitted else None,
            "fitted": asdict(fitted) if fitted else None,
            "decision": judged.decision.to_dict() if judged else None,
            "judged_on": {"images": judged.images, "kinds": judged.kinds, "sources": judged.sources}
            if judged
            else None,
            "normals": {
                "counts": findings.gathered.counts,
                "above_threshold": findings.gathered.above_threshold,
                "table": findings.gathered.key,
                "left_out": [
                    {"image_key": row.image_key, "state": row.state, "why": row.why, "labelled_by": row.labelled_by}
                    for row in rows
                    if row.state in LEFT_OUT
                ],
                "days": [{**asdict(day), "day": day.day.isoformat()} for day in _days(rows)],
            },
            "software": report.software,
        }
    )
