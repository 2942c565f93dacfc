"""Drift: scores of complete days against the calibration of their models."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, cast

from prefect import flow, get_run_logger
from prefect.events import emit_event
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.errors import PartlyDone, in_words
from flows.preflight.drift_choice import drift_settings, drift_window, sealed_models
from flows.preflight.night_size import seconds_to_score
from flows.settings import Settings, load_settings, store_uri
from flows.watching.artifacts import leave_report, leave_table
from flows.watching.metrics import drift_metrics
from flows.watching.metrics_files import write_metrics
from flows.watching.run_names import named, of_categories, sealed_window, window
from flows.workplace import settle, workplace
from rd_core.drift.false_discovery import discoveries
from rd_core.drift.verdict import HOLD
from storage.errors import StorageError
from storage.filesystem import open_store
from storage.models.models import read_champion
from tasks.drift.assess_drift import DriftJob, ModelDrift, assess_drift
from tasks.drift.choose_golden_set import GOLDEN_IMAGES, choose_golden_set
from tasks.drift.replay_golden_set import GoldenReceipt, replay_golden_set, unchanged_replay
from tasks.drift.write_drift_report import DriftFindings, name_of, write_drift_report
from tasks.night.pin_champion import PinnedModel, pin_champion

EVENT = "inspection.drift"
SECONDS_A_MODEL = 0.2
"""seconds of one core to assess a month of scores"""
SECONDS_TO_REPLAY = seconds_to_score(GOLDEN_IMAGES, 256 * 256)
"""of one core, with a model of images of a usual size"""


@dataclass(frozen=True)
class DriftRun:
    """What one run found."""

    run_id: str
    first_day: date | None
    """None if no day is complete"""
    last_day: date | None
    verdict: str | None
    """the most severe among champions"""
    models: tuple[ModelDrift, ...]
    """a category's in the order of their days"""
    golden: tuple[GoldenReceipt, ...]
    failed: tuple[tuple[str, str], ...]
    """(what, why)"""
    report: str | None
    """key of the HTML; None if there is nothing to report"""


class DriftFailed(PartlyDone):
    """Some model could not be assessed. `run` says what was done."""

    def __init__(self, run: DriftRun) -> None:
        super().__init__(run, "; ".join(f"{what}: {why}" for what, why in run.failed))


def _meant(parameters: Mapping[str, Any]) -> str:
    return sealed_window(parameters, drift_window)


@flow(name="report-drift", flow_run_name=named("drift", _meant))
def report_drift(
    store: str | None = None,
    first_day: date | None = None,
    last_day: date | None = None,
    categories: list[str] | None = None,
    *,
    images: str | None = None,
    golden: bool = False,
    dask_address: str | None = None,
    options: dict[str, float] | None = None,
) -> DriftRun:
    """Assess every model version that has complete days in the period, and write one report.

    Args:
        store: URI; default `RD_INSPECT_STORE`.
        first_day: default 29 days before the last.
        last_day: included; default the last inspected day.
        categories: names; default every category with a complete day in the period.
        images: URI of the images' own store, for `golden` only; default `store`.
        golden: first score the last day's golden images again; choose some where there are none.
        dask_address: a running Dask scheduler; default an embedded cluster.
        options: drift settings by name, such as {"defect_share": 0.05}; they override [drift] in categories.toml.

    Returns the DriftRun, as Completed, DriftFound (a verdict is not hold; each emits an event `inspection.drift`)
    or NothingToDo. Raises DriftFailed when a model could not be assessed; the others are.
    """
    settings = load_settings(store_uri(store), options={"images": images, "dask_address": dask_address})
    opened = open_store(settings.store, read_only=True)
    window = drift_window(opened, first_day, last_day)
    models = sealed_models(opened, *window, categories) if window else []
    if window is None or not models:
        return _nothing_to_do(settings, window)
    limits = drift_settings({**settings.drift, **(options or {})}, len(models))
    jobs = [DriftJob(settings.store, *model, *window, limits) for model in models]
    played = _unchanged_replays(settings, window[1], models) if golden else {}
    left = [name for name in dict(models) if golden and name not in played]
    with workplace(settings) as place:
        seconds = len(jobs) * SECONDS_A_MODEL + len(left) * SECONDS_TO_REPLAY
        runner = place.runner(seconds, tasks=len(jobs), in_turn=bool(left))
        replay = replay_golden_sets.with_options(task_runner=runner)
        replays, failed = replay(settings, window[1], left) if left else ([], [])
        assessed, unassessed = assess_models.with_options(task_runner=runner)(jobs)
    problems, chosen = (*failed, *unassessed), tuple(categories or ())
    findings = DriftFindings(*window, chosen, tuple(assessed), _discoveries(assessed), problems, limits)
    return _report(settings, findings, [*played.values(), *replays])


def _in_short(parameters: Mapping[str, Any]) -> str:
    jobs: list[DriftJob] = parameters["jobs"]
    return window(jobs[0].first_day, jobs[0].last_day) + of_categories(
        list(dict.fromkeys(job.category for job in jobs))
    )


@flow(name="assess-models", flow_run_name=named("assess", _in_short), validate_parameters=False)
def assess_models(jobs: list[DriftJob]) -> tuple[list[ModelDrift], list[tuple[str, str]]]:
    """Assess each model on Dask: (assessments, problems)."""
    futures = {f"{job.category} {job.model_version}": assess_drift.submit(job) for job in jobs}
    models, problems = settle(futures)
    return list(models.values()), _logged(problems)


@flow(name="replay-golden-sets", flow_run_name="score golden images again {day}", validate_parameters=False)
def replay_golden_sets(
    settings: Settings, day: date, categories: Sequence[str]
) -> tuple[list[GoldenReceipt], list[tuple[str, str]]]:
    """Score each category's golden images again with its champion; where there are none, choose some first."""
    pinned, problems = settle({name: pin_champion.submit(settings.store, name) for name in categories})
    in_force: dict[str, PinnedModel] = {name: model for name, model in pinned.items() if model is not None}
    _, unchosen = settle(
        {
            name: choose_golden_set.submit(settings.store, settings.images, name, model.version)
            for name, model in in_force.items()
        }
    )
    receipts, unplayed = settle(
        {
            name: replay_golden_set.submit(settings.store, settings.images, day, model)
            for name, model in in_force.items()
            if name not in unchosen
        }
    )
    problems |= {**unchosen, **unplayed}
    return [receipt for receipt in receipts.values() if receipt], _logged(
        {f"golden images of {name}": why for name, why in problems.items()}
    )


def _unchanged_replays(settings: Settings, day: date, models: Sequence[tuple[str, str]]) -> dict[str, GoldenReceipt]:
    """By category, the day's replays that would give the same result again: images, model, software and machine
    are the same."""
    store, images = (open_store(uri, read_only=True) for uri in (settings.store, settings.images))
    unchanged = {}
    for category in dict(models):
        with contextlib.suppress(StorageError):  # the task that replays them reports what is wrong, or tries again
            champion = read_champion(store, category)
            if champion and (replay := unchanged_replay(store, images, day, category, champion.version)):
                unchanged[category] = replay
    return unchanged


def _discoveries(models: Sequence[ModelDrift]) -> dict[str, bool]:
    return discoveries({name_of(model): model.assessment.p_value for model in models if model.assessment})


def _report(settings: Settings, findings: DriftFindings, replays: list[GoldenReceipt]) -> DriftRun:
    run_id = str(flow_run.id)
    written = write_drift_report(
        settings.store,
        settings.images,
        findings,
        run_id=run_id,
        made_at=datetime.now(UTC),
        review_url=settings.plant.review_url,
    )
    title = f"Drift, {window(findings.first_day, findings.last_day)}: {written.verdict or 'no verdict yet'}"
    leave_report("drift-report", settings, written.key, title, written.markdown)
    rows = [_artifact_row(model) for model in findings.models]
    leave_table("drift-models", settings, rows, title, report=written.key, problems=findings.failed)
    in_force = _in_force(findings.models)
    for model in in_force:
        _emit(model, written.key)
    run = DriftRun(
        run_id, findings.first_day, findings.last_day, written.verdict, findings.models, tuple(replays),
        findings.failed, written.key,
    )  # fmt: skip
    metrics = drift_metrics(run.models, in_force)
    write_metrics(settings, "drift", run.verdict or "no verdict", metrics, failed=bool(run.failed))
    if run.failed:
        raise DriftFailed(run)
    drifting = any(model.action not in (None, HOLD) for model in in_force)
    return _ended("DriftFound" if drifting else "Completed", f"verdict {run.verdict}; report: {run.report}", run)


def _in_force(models: Sequence[ModelDrift]) -> list[ModelDrift]:
    """Each category's last version; an earlier one needs no action any more."""
    last: dict[str, ModelDrift] = {}
    for model in sorted(models, key=lambda model: (model.last_day or "", model.first_day or "", model.model_version)):
        last[model.category] = model
    return list(last.values())


def _emit(model: ModelDrift, report: str) -> None:
    """Verdict and category are also labels of the resource: automations match labels, not payloads."""
    if model.assessment is None or model.action in (None, HOLD):
        return
    emit_event(
        event=EVENT,
        resource={
            "prefect.resource.id": f"rd-inspect.category.{model.category}",
            "prefect.resource.name": model.category,
            "rd-inspect.category": model.category,
            "rd-inspect.verdict": str(model.action),
        },
        payload={
            "category": model.category,
            "version": model.model_version,
            "verdict": model.action,
            "causes": [cause.name for cause in model.assessment.causes],
            "since": model.assessment.changed_since,
            "report": report,
        },
    )


def _nothing_to_do(settings: Settings, window: tuple[date, date] | None) -> DriftRun:
    days = f"from {window[0]} to {window[1]}" if window else "at all"
    message = f"No day is complete in {settings.store} {days}; nothing to assess. Inspect some: rd-inspect inspect"
    get_run_logger().warning(message)
    write_metrics(settings, "drift", "nothing to do", [], failed=False)
    first, last = window or (None, None)
    run = DriftRun(str(flow_run.id), first, last, None, (), (), (), None)
    return _ended("NothingToDo", message, run)


def _ended(name: str, message: str, run: DriftRun) -> DriftRun:
    """A named final state. Prefect returns its data, `run`, to the flow's caller."""
    return cast(DriftRun, Completed(name=name, message=message, data=run))


def _logged(problems: Mapping[str, Exception]) -> list[tuple[str, str]]:
    for name, why in problems.items():
        get_run_logger().error("drift failed %s: %s", name, in_words(why))
    return [(name, in_words(why)) for name, why in problems.items()]


def _artifact_row(model: ModelDrift) -> dict[str, Any]:
    assessment = model.assessment
    return {
        "category": model.category,
        "model version": model.model_version,
        "verdict": model.action,
        "cause": assessment.causes[0].name if assessment and assessment.causes else None,
        "since": assessment.changed_since if assessment else None,
        "images": model.images,
        "no score": model.unreadable + model.rejected,
        "alarm rate": round(assessment.alarm_rate.rate, 4) if assessment else None,
        "message": model.message,
    }
