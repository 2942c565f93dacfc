"""Retraining: a candidate is trained on newly labelled normal images; promoted only if it is proven not worse."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar, cast

from prefect import flow, get_run_logger
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.dask_cluster import dask_cluster, dask_runner
from flows.errors import in_words
from flows.preflight.checks import known_categories, refuse_mistyped_tables
from flows.preflight.recalibration_choice import orders_of
from flows.recalibration import recalibrate_models
from flows.settings import Settings, SettingsError, load_settings, nearest, store_uri
from flows.training_request import retraining_request
from flows.watching.artifacts import leave_table
from flows.watching.metrics import retraining_metrics
from flows.watching.metrics_files import write_metrics
from flows.watching.progress import progress_bars
from flows.watching.retraining_outcome import (
    CategoryRetraining,
    RetrainingFailed,
    RetrainingRun,
    artifact_row,
    emit_promoted,
    ended,
    message_of,
    recalibrated,
    state_of,
    unstarted,
)
from flows.watching.run_names import named, today
from flows.workplace import settle
from rd_core.drift.verdict import RECALIBRATE
from rd_core.errors import ConfigError
from rd_core.gate.decision import GateSettings
from storage.filesystem import open_store
from storage.labels.labels import list_label_categories
from storage.layout import retraining_prefix
from storage.models.models import read_champion
from tasks.index.newest_reports import read_drift
from tasks.night.pin_champion import pin_champion
from tasks.retraining.gather_normals import GatheredNormals, GatherLimits, GatherOrder, gather_normals
from tasks.retraining.judge_candidate import JudgedCandidate, JudgeOrder, judge_candidate
from tasks.retraining.promote_candidate import promote_candidate
from tasks.retraining.refit_model import RefitOrder, refit_model
from tasks.retraining.write_retraining_report import RetrainingFindings, write_retraining_report
from tasks.training.fitted_model import FittedModel

R = TypeVar("R")
_READERS = 8
"""threads that read drift reports"""
L = TypeVar("L", GatherLimits, GateSettings)


@dataclass(frozen=True)
class _Plan:
    """Inputs of all stages of a run."""

    settings: Settings
    run_id: str
    run_date: date
    now: datetime
    from_scratch: bool
    limits: GatherLimits
    gate: GateSettings

    def key(self, category: str, name: str) -> str:
        return retraining_prefix(self.run_date, category, self.run_id) + name

    @property
    def stores(self) -> tuple[str, str]:
        return self.settings.store, self.settings.images


@flow(name="retrain", flow_run_name=named("retrain", today))
def retrain(
    store: str | None = None,
    categories: list[str] | None = None,
    *,
    images: str | None = None,
    from_scratch: bool = False,
    dask_address: str | None = None,
    options: dict[str, Any] | None = None,
    limits: dict[str, float] | None = None,
    recalibrate: bool = False,
) -> RetrainingRun:
    """For each category: gather new normal images, train, compare with the champion, and promote what is better.

    Args:
        store: URI; default `RD_INSPECT_STORE`.
        categories: names; default every category with labels.
        images: URI of the images' own store; default `store`.
        from_scratch: start from new weights; default from the champion's.
        dask_address: a running Dask scheduler; default an embedded cluster.
        options: settings of a category or its method, such as {"steps": 500}; they override every other source.
        limits: fields of tasks.retraining.gather_normals.GatherLimits and rd_core.gate.decision.GateSettings, such as
            {"fewest_new": 30, "recall_margin": 0.02}.
        recalibrate: where the newest drift verdict is recalibrate, judge a new threshold in place of a candidate; if
            none can be set, retrain.

    Returns the RetrainingRun, as Completed (the champions stay), Promoted (each emits an event `model.promoted`)
    or NothingToDo (no candidate was made). Raises RetrainingFailed when a category could not be retrained; the
    others are.
    """
    settings = load_settings(
        store_uri(store), options={"images": images, "dask_address": dask_address, **(options or {})}
    )
    refuse_mistyped_tables(settings, known_categories(settings))
    plan, chosen = _planned(settings, from_scratch, limits or {}), _chosen(settings, categories)
    outcomes: list[CategoryRetraining] = []
    failed: list[tuple[str, str]] = []
    if recalibrate and (shifted := _to_recalibrate(settings, chosen, plan.run_date)):
        models, problems = recalibrate_models(settings, orders_of(settings, shifted), plan.run_id, plan.gate)
        made = {model.category for model in models}
        outcomes, failed = [recalibrated(model) for model in models], [one for one in problems if one[0] in made]
        chosen = [name for name in chosen if name not in made]  # the others too: with too few normals for a threshold
    if chosen:
        with (
            dask_cluster(settings, most_workers=len(chosen)) as scheduler,
            progress_bars(scheduler, "train", dict.fromkeys(chosen)),
        ):
            trained, untrained = retrain_categories.with_options(task_runner=dask_runner(scheduler))(plan, chosen)
        outcomes, failed = outcomes + trained, failed + untrained
    return _end(settings, RetrainingRun(plan.run_id, plan.run_date, tuple(outcomes), tuple(failed)))


@flow(name="retrain-categories", flow_run_name=named("train and compare", lambda _: ""), validate_parameters=False)
def retrain_categories(
    plan: _Plan, categories: Sequence[str]
) -> tuple[list[CategoryRetraining], list[tuple[str, str]]]:
    """Retrain on Dask: (outcomes by category, problems).

    Promotion comes before the report, so that the report shows the champion.
    """
    problems: dict[str, str] = {}
    pinned = _settled(problems, {name: pin_champion.submit(plan.settings.store, name) for name in categories})
    champions = {name: model.version for name, model in pinned.items() if model is not None}
    gathered = _gather(plan, champions, problems)
    fitted = _refit(plan, gathered, problems)
    judged = _judge(plan, champions, fitted, problems)
    promoted = _settled(
        problems,
        {
            name: promote_candidate.submit(plan.settings.store, judgement, run_id=plan.run_id, now=datetime.now(UTC))
            for name, judgement in judged.items()
            if judgement.decision.promote
        },
    )
    findings = {
        name: RetrainingFindings(normals, fitted.get(name), judged.get(name), promoted.get(name))
        for name, normals in gathered.items()
        if name not in problems
    }
    reports = _report(plan, findings, problems)
    without = [name for name, model in pinned.items() if model is None]
    ended_categories = [ended(finding, reports.get(name)) for name, finding in findings.items()] + [
        unstarted(name) for name in without
    ]
    return sorted(ended_categories, key=lambda category: category.category), sorted(problems.items())


def _to_recalibrate(settings: Settings, categories: Sequence[str], today: date) -> list[str]:
    """The categories whose newest drift verdict is recalibrate and is about their champion."""
    store = open_store(settings.store, read_only=True)
    with ThreadPoolExecutor(_READERS) as pool:
        newest = read_drift(store, pool, categories, today).by_category
    asked = {name: drift.model_version for name, drift in newest.items() if drift.action == RECALIBRATE}
    champions = {name: read_champion(store, name) for name in categories if name in asked}
    return [name for name, champion in champions.items() if champion and champion.version == asked[name]]


def _planned(settings: Settings, from_scratch: bool, limits: Mapping[str, Any]) -> _Plan:
    now = datetime.now(UTC)
    today = settings.yesterday(now) + timedelta(days=1)
    return _Plan(settings, str(flow_run.id), today, now, from_scratch, *_limits(limits))


def _gather(plan: _Plan, champions: Mapping[str, str], problems: dict[str, str]) -> dict[str, GatheredNormals]:
    orders = [
        GatherOrder(
            name,
            champion,
            plan.settings.category(name).part_pattern,
            plan.run_date,
            plan.key(name, "normals.parquet"),
            plan.limits,
            repr((retraining_request(plan.settings, name), plan.from_scratch, plan.gate)),
        )
        for name, champion in champions.items()
    ]
    return _settled(problems, {order.category: gather_normals.submit(*plan.stores, order) for order in orders})


def _refit(plan: _Plan, gathered: Mapping[str, GatheredNormals], problems: dict[str, str]) -> dict[str, FittedModel]:
    orders = [
        RefitOrder(retraining_request(plan.settings, name), normals, plan.from_scratch)
        for name, normals in gathered.items()
        if normals.message is None
    ]
    return _settled(
        problems,
        {
            order.request.category: refit_model.submit(*plan.stores, order, run_id=plan.run_id, now=plan.now)
            for order in orders
        },
    )


def _judge(
    plan: _Plan, champions: Mapping[str, str], fitted: Mapping[str, FittedModel], problems: dict[str, str]
) -> dict[str, JudgedCandidate]:
    orders = [
        JudgeOrder(
            name,
            champions[name],
            model.version,
            plan.settings.category(name).part_pattern,
            plan.key(name, "gate.parquet"),
            plan.gate,
        )
        for name, model in fitted.items()
    ]
    return _settled(
        problems,
        {
            order.category: judge_candidate.submit(*plan.stores, order, run_id=plan.run_id, now=datetime.now(UTC))
            for order in orders
        },
    )


def _report(plan: _Plan, findings: Mapping[str, RetrainingFindings], problems: dict[str, str]) -> dict[str, str]:
    return _settled(
        problems,
        {
            name: write_retraining_report.submit(
                *plan.stores,
                finding,
                run_date=plan.run_date,
                run_id=plan.run_id,
                made_at=datetime.now(UTC),
                review_url=plan.settings.plant.review_url,
            )
            for name, finding in findings.items()
        },
    )


def _settled(problems: dict[str, str], futures: Mapping[str, Any]) -> dict[str, Any]:
    """The results. Exceptions are logged and added to `problems`."""
    results, raised = settle(futures)
    for name, why in raised.items():
        problems[name] = in_words(why)
        get_run_logger().error("retraining failed category=%s: %s", name, problems[name])
    return results


def _end(settings: Settings, run: RetrainingRun) -> RetrainingRun:
    for category in run.categories:
        get_run_logger().info(
            "retraining category=%s outcome=%s: %s", category.category, category.outcome, category.words
        )
        emit_promoted(category)
    rows = [artifact_row(category) for category in run.categories]
    title = f"Retraining of {run.run_date}: {message_of(run)}"
    leave_table("retraining", settings, rows, title, report=run.report, problems=run.failed)
    outcomes = {category.category: category.outcome for category in run.categories} | {
        name: "failed" for name, _ in run.failed
    }
    outcome = "failed" if run.failed else state_of(run.categories)
    write_metrics(settings, "retraining", outcome, retraining_metrics(outcomes), failed=bool(run.failed))
    if run.failed:
        raise RetrainingFailed(run)
    return cast(RetrainingRun, Completed(name=state_of(run.categories), message=message_of(run), data=run))


def _chosen(settings: Settings, categories: list[str] | None) -> list[str]:
    known = list_label_categories(open_store(settings.store, read_only=True))
    for name in categories or []:
        if name not in known:
            raise SettingsError(f"Category {name!r} has no labels{nearest(name, known)} Nothing was retrained.")
    return list(dict.fromkeys(categories or known))


def _limits(given: Mapping[str, Any]) -> tuple[GatherLimits, GateSettings]:
    names = {record: [field.name for field in fields(record)] for record in (GatherLimits, GateSettings)}
    known = [name for of_record in names.values() for name in of_record]
    for name in given:
        if name not in known:
            raise SettingsError(
                f"Retraining limit {name!r} is not known{nearest(name, known)} Nothing was retrained."
            )
    return _with(GatherLimits(), given), _with(GateSettings(), given)


def _with(record: L, given: Mapping[str, Any]) -> L:
    """Whole numbers may be floats, as in JSON and typed dictionaries."""
    own = {field.name: given[field.name] for field in fields(record) if field.name in given}
    try:
        return replace(record, **{name: type(getattr(record, name))(value) for name, value in own.items()})
    except (ConfigError, TypeError, ValueError) as e:
        raise SettingsError(f"{e} Nothing was retrained.") from e
