"""Metrics files for node_exporter's textfile collector, one a flow, in the folder of the setting `metrics`.

A file is replaced atomically. Errors are logged and never fail the run.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId
from prefect.runtime import flow_run
from prometheus_client import write_to_textfile
from prometheus_client.core import Metric

from flows.settings import Settings
from flows.watching.metrics import (
    CategoryFigures,
    NightFigures,
    RunHistory,
    history_in,
    night_metrics,
    registry,
    run_metrics,
)
from storage.errors import StorageError
from storage.filesystem import Store, open_store
from storage.models import models
from storage.partitions import seals
from storage.partitions.rows_in_force import rows_in_force
from storage.records import Partition
from tasks.night.write_run_report import CategoryOutcome

_PAGE = 200
"""task runs in one answer of the Prefect server"""


def write_night_metrics(
    settings: Settings,
    day: date,
    outcome: str,
    categories: Sequence[CategoryOutcome],
    started_at: datetime,
    failed: bool,
) -> None:
    """Metrics of an inspection of `day`, as far as the store has them."""
    if settings.plant.metrics is None:
        return
    watched = [category for category in categories if category.state != "ignored"]
    seen = category_nights(settings, day, watched)
    finished_at, waiting = datetime.now(UTC), sum(wait.seconds for wait in watched)
    night = NightFigures(day, started_at, finished_at, waiting, _retries(), seen)
    write_metrics(settings, "inspection", outcome, night_metrics(night), failed=failed)


def write_metrics(settings: Settings, flow: str, outcome: str, families: Sequence[Metric], *, failed: bool) -> None:
    """Write `families` and the flow's own history into its file; nothing without the setting."""
    if settings.plant.metrics is None:
        return
    path = settings.plant.metrics / f"rd_inspect_{flow}.prom"
    own = run_metrics(flow, outcome, succeeded=not failed, finished_at=datetime.now(UTC), before=_history(path, flow))
    try:
        write_to_textfile(str(path), registry([*own, *families]))
    except OSError as e:
        get_run_logger().error(
            "metrics were not written to %s: %s. The run is not affected; make the folder, or change the "
            "setting `metrics`.", path, e.strerror or e,
        )  # fmt: skip


def _history(path: Path, flow: str) -> RunHistory:
    try:
        return history_in(path.read_text(encoding="utf-8"), flow)
    except FileNotFoundError:
        return RunHistory()
    except (OSError, ValueError) as e:
        get_run_logger().warning("%s cannot be read (%s): its counts start at zero", path, e)
        return RunHistory()


def category_nights(settings: Settings, day: date, outcomes: Sequence[CategoryOutcome]) -> list[CategoryFigures]:
    """Counts of each category's seals; without counts where a seal cannot be read, which is logged."""
    figures = []
    for outcome in outcomes:
        try:
            figures.append(_category_night(open_store(settings.store, read_only=True), day, outcome))
        except StorageError as e:
            get_run_logger().error("the night's metrics lack the counts of %s: %s", outcome.category, e)
            figures.append(_uncounted(outcome))
    return figures


def _category_night(store: Store, day: date, outcome: CategoryOutcome) -> CategoryFigures:
    """Counts of the category's seals, whichever run scored them."""
    version = outcome.model_version
    seal = seals.read_seal(store, Partition(outcome.category, day, version)) if version else None
    if version is None or seal is None:
        return _uncounted(outcome)
    columns = ("image_key", "status", "is_anomalous", "decision", "captured_at")
    rows = pa.concat_tables(rows_in_force(store, [seal], columns))
    champion = models.read_champion(store, outcome.category)
    return CategoryFigures(
        category=outcome.category,
        state=outcome.state,
        model_version=version,
        images={"ok": 0, "unreadable": 0, "rejected": 0, **Counter(rows["status"].to_pylist())},
        anomalous=rows["is_anomalous"].to_pylist().count(True),
        review=rows["decision"].to_pylist().count("review"),
        batches=sum(len(plan.parts) for plan in seal.plans),
        newest_arrival=max(rows["captured_at"].to_pylist(), default=None),
        champion_since=champion.since if champion and champion.version == version else None,
        seconds_by_stage=outcome.seconds_by_stage,
    )


def _uncounted(outcome: CategoryOutcome) -> CategoryFigures:
    return CategoryFigures(
        outcome.category, outcome.state, outcome.model_version, seconds_by_stage=outcome.seconds_by_stage
    )


def _retries() -> int | None:
    """Retries in this run's own flow runs, as far as the Prefect server knows them by now."""
    parents = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[flow_run.id]))
    more, seen = 0, _PAGE
    try:
        with get_client(sync_client=True) as client:
            for start in range(0, 100 * _PAGE, _PAGE):
                if seen < _PAGE:
                    break
                page = client.read_task_runs(flow_run_filter=parents, limit=_PAGE, offset=start)
                more, seen = more + sum(max(0, run.run_count - 1) for run in page), len(page)
    except Exception as e:  # noqa: BLE001  # a metric must not fail a night, and Prefect's client raises errors of many libraries
        get_run_logger().warning("the number of retries is unknown: %s", e)
        return None
    return more
