"""The nightly inspection: every category's images of one production day, scored by its champion."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from shlex import quote
from typing import Any, cast

from prefect import flow, get_run_logger
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.errors import PartlyDone, in_words
from flows.night.night_reports import FAILED, NightReport, report_night, report_silence
from flows.night.partition_scoring import score_partitions
from flows.preflight.checks import known_categories, refuse_mistyped_tables
from flows.preflight.night_choice import NightChoice, NoImages, choose_night
from flows.preflight.night_size import seconds_to_come, seconds_to_score
from flows.printing.numbers import counted
from flows.settings import Settings, load_settings, store_uri
from flows.watching.artifacts import leave_report, leave_table
from flows.watching.metrics_files import write_night_metrics
from flows.watching.night_events import tell_completed, tell_empty
from flows.watching.run_names import named, night_day
from flows.workplace import Workplace, settle, workplace
from storage.errors import StorageError
from storage.stores.left_out import LeftOut
from tasks.night.pin_champion import PinnedModel, pin_champion
from tasks.night.plan_batches import PartitionJob, PartitionPlan, plan_batches
from tasks.night.renew_plan import renew_plan
from tasks.night.write_run_report import CategoryOutcome, WrittenReport, write_run_report

SILENT = "cameras silent"
"""outcome of a run without failures in which a category that is made every day had no image"""
TASKS_PER_FLOW_RUN = 450
"""beyond this, another flow run takes the next categories: the Prefect server's recorder is the bottleneck"""


@dataclass(frozen=True)
class InspectionRun:
    """What one run did."""

    run_id: str
    run_date: date
    outcome: str
    """completed | completed with rejects | cameras silent | failed | nothing to do"""
    categories: tuple[CategoryOutcome, ...]
    report: str | None
    """key of the HTML report; None when there was nothing to do"""
    reports: tuple[NightReport, ...] = ()
    """evaluation, drift and index at the end of the run"""


class InspectionFailed(PartlyDone):
    """A category is not complete or had no image, or a report was not written. `run` says what was done."""

    def __init__(self, run: InspectionRun) -> None:
        problems = [f"{outcome.category}: {outcome.message}" for outcome in run.categories if outcome.message]
        problems += [f"{report.kind} report: {report.message}" for report in run.reports if report.state == FAILED]
        super().__init__(run, f"{_in_a_line(run)}. " + "; ".join(problem.rstrip(".") for problem in problems) + ".")


@flow(name="inspect-images", flow_run_name=named("inspect", night_day))
def inspect_images(
    store: str | None = None,
    run_date: date | None = None,
    categories: list[str] | None = None,
    *,
    images: str | None = None,
    reports: bool = True,
    dask_address: str | None = None,
    options: dict[str, Any] | None = None,
) -> InspectionRun:
    """Score one production day. Images of complete partitions are skipped unless they changed.

    Args:
        store: URI; default `RD_INSPECT_STORE`.
        run_date: production day; default yesterday in the plant's time zone.
        categories: names; default every category with images on that day.
        images: URI of the images' own store; default `store`.
        reports: at the end, write the evaluation where images are labelled, the drift report and the index.
        dask_address: a running Dask scheduler; default an embedded cluster.
        options: settings by name; they override every other source.

    Returns the InspectionRun, as Completed, CompletedWithRejects (some images could not be read) or NothingToDo.
    Raises InspectionFailed when a category is not complete or had no image, or a report was not written; the rest
    is done. Raises NoImages when no category has an image of that day. Emits `inspection.completed`, and
    `inspection.empty` for each category with a champion that is made every day and has no image.
    """
    started_at = datetime.now(UTC)
    settings = load_settings(
        store_uri(store), options={"images": images, "dask_address": dask_address, **(options or {})}
    )
    refuse_mistyped_tables(settings, known_categories(settings))
    day = run_date or settings.yesterday(started_at)
    choice = _chosen(settings, day, categories, started_at, reports=reports)
    empty = _not_inspected(choice, day)
    if not choice.there and not choice.broken:
        write_night_metrics(settings, day, "nothing to do", empty, started_at, failed=False)
        return _nothing_to_do(settings, day, empty)
    if choice.left_out.litter:
        get_run_logger().info("skipped what systems leave behind: %s", choice.left_out.litter_in_words)
    with workplace(settings) as place:
        outcomes, left_out = _inspect(settings, day, choice, place, started_at)
        run = _report(settings, day, empty + outcomes, left_out, started_at)
        if reports:
            run = replace(run, reports=report_night(settings, day, categories))
    _leave_table(settings, run)
    tell_completed(day, run.outcome, {"report": run.report, "categories": [_artifact_row(c) for c in run.categories]})
    failed = run.outcome in (FAILED, SILENT) or any(report.state == FAILED for report in run.reports)
    write_night_metrics(settings, day, run.outcome, run.categories, started_at, failed=failed)
    if failed:
        raise InspectionFailed(run)
    name = "CompletedWithRejects" if run.outcome == "completed with rejects" else "Completed"
    return _ended(name, _in_a_line(run), run)


def _chosen(
    settings: Settings, day: date, categories: list[str] | None, started_at: datetime, *, reports: bool
) -> NightChoice:
    """The categories to inspect. Emits events for silent cameras. NoImages when no image came at all."""
    try:
        choice = choose_night(settings, day, categories)
    except NoImages as e:
        _tell_silent(day, e.silent)
        silent = [_silent(name, day) for name in e.silent]
        write_night_metrics(settings, day, SILENT, silent, started_at, failed=True)
        if reports and e.silent:
            report_silence(settings, day)
        raise
    _tell_silent(day, choice.silent)
    return choice


def _tell_silent(day: date, silent: Sequence[str]) -> None:
    for name in silent:
        get_run_logger().warning("no images category=%s run_date=%s, though its model is in force", name, day)
        tell_empty(day, name)


def _silent(category: str, day: date) -> CategoryOutcome:
    message = (
        f"No image of {day}, though its model is in force: look at the camera and at what copies its images. If it "
        f"is not made every day: every_day = false under [categories.{category}] in categories.toml."
    )
    return CategoryOutcome(category, "silent camera", message=message)


def _not_inspected(choice: NightChoice, day: date) -> list[CategoryOutcome]:
    """Problems by category: silent cameras, requested categories without images, folders that no run can read."""
    move = "no run reads them. Move them to images/<category>/<YYYY-MM-DD>/."
    rename = "No run reads this folder. Rename it to images/<letters, digits, . _ ->/<YYYY-MM-DD>/."
    return [
        *(_silent(name, day) for name in choice.silent),
        *(CategoryOutcome(name, "no images", message=f"no images on {day}") for name in choice.idle),
        *(CategoryOutcome(name, "failed", message=f"Not inspected. {why}") for name, why in choice.broken.items()),
        *(CategoryOutcome(folder, "ignored", message=rename) for folder in choice.odd),
        *(CategoryOutcome(folder, "ignored", message=f"{what}: {move}") for folder, what in choice.strays.items()),
    ]


def _nothing_to_do(settings: Settings, day: date, empty: list[CategoryOutcome]) -> InspectionRun:
    message = f"No images of {day} in {settings.images}/images/<category>/{day}/; nothing to do."
    get_run_logger().warning(message)
    run = InspectionRun(str(flow_run.id), day, "nothing to do", tuple(empty), report=None)
    return _ended("NothingToDo", message, run)


def _inspect(
    settings: Settings, day: date, choice: NightChoice, place: Workplace, started_at: datetime
) -> tuple[list[CategoryOutcome], LeftOut]:
    """(outcome of each category, problems)."""
    seconds = seconds_to_come(settings, day, choice.there)
    plan = plan_partitions.with_options(task_runner=place.runner(seconds))
    plans, outcomes = plan(settings, day, list(choice.there), str(flow_run.id), started_at)
    totals: dict[str, int | None] = {planned.job.category: planned.plan.images for planned in plans if planned.plan}
    runner = place.runner(seconds_of_plans(plans), in_turn=True)
    with place.bars("inspect", totals):
        for group in flow_run_groups(plans):
            outcomes += score_partitions.with_options(task_runner=runner)(group, gpu=settings.plant.gpu_workers)
    left_out = choice.left_out
    for planned in plans:
        left_out.add(planned.left_out)
    return [_unless_empty(settings, day, outcome) for outcome in outcomes], left_out


def _unless_empty(settings: Settings, day: date, outcome: CategoryOutcome) -> CategoryOutcome:
    """In S3, a folder with only ignored files looks like a day until it is listed."""
    if outcome.images or outcome.state != "already sealed":
        return outcome
    if not settings.category(outcome.category).every_day:
        return replace(outcome, state="no images", message=f"no images on {day}")
    _tell_silent(day, [outcome.category])
    return _silent(outcome.category, day)


@flow(name="plan-partitions", flow_run_name="plan {day}", validate_parameters=False)
def plan_partitions(
    settings: Settings,
    day: date,
    chosen: list[str],
    run_id: str,
    planned_at: datetime,
    versions: Mapping[str, PinnedModel] | None = None,
) -> tuple[list[PartitionPlan], list[CategoryOutcome]]:
    """Pin every category's champion, then write every manifest: (plans, outcomes of what cannot be planned).

    `versions`: models by category that are pinned already, for a run of many days with one model.
    """
    pinned: dict[str, PinnedModel | None] = {name: versions[name] for name in chosen if versions and name in versions}
    pins, broken = settle({name: pin_champion.submit(settings.store, name) for name in chosen if name not in pinned})
    pinned |= pins
    outcomes = [_no_champion(settings, name) for name, model in pinned.items() if model is None]
    jobs = {
        name: PartitionJob(
            settings.store,
            settings.images,
            day,
            model,
            run_id,
            planned_at,
            settings.plant.batch_images,
            settings.category(name).engine,
            settings.plant.gpu_workers,
        )
        for name, model in pinned.items()
        if model is not None
    }
    plans, unplanned = settle({name: plan_batches.submit(job) for name, job in jobs.items()})
    adopted = {name: plan.plan.manifest for name, plan in plans.items() if plan.plan and plan.plan.run_id != run_id}
    _, lost = settle({name: renew_plan.submit(settings.store, manifest) for name, manifest in adopted.items()})
    unplanned |= lost
    outcomes += [
        CategoryOutcome(name, "failed", message=in_words(why)) for name, why in {**broken, **unplanned}.items()
    ]
    return [plan for name, plan in plans.items() if name not in lost], outcomes


def _no_champion(settings: Settings, category: str) -> CategoryOutcome:
    cure = f"rd-inspect train --category {category} --store {quote(settings.store)}"
    get_run_logger().error("no champion category=%s; its images were not scored. Run: %s", category, cure)
    return CategoryOutcome(
        category, "no champion", message=f"No model is in force, so nothing was scored. Train one: {cure}"
    )


def seconds_of_plans(plans: Sequence[PartitionPlan]) -> float:
    """Estimated seconds of one core to score the plans."""
    todo = ((plan.plan.images, plan.job.model) for plan in plans if plan.plan)
    return sum(seconds_to_score(images, model.pixels) for images, model in todo)


def flow_run_groups(plans: list[PartitionPlan]) -> Iterator[list[PartitionPlan]]:
    """Plans in groups of at most TASKS_PER_FLOW_RUN batches; a larger plan is a group by itself."""
    group: list[PartitionPlan] = []
    for plan in plans:
        if group and sum(len(planned.batches) for planned in [*group, plan]) > TASKS_PER_FLOW_RUN:
            yield group
            group = []
        group.append(plan)
    if group:
        yield group


def _report(
    settings: Settings, day: date, outcomes: list[CategoryOutcome], left_out: LeftOut, started_at: datetime
) -> InspectionRun:
    outcomes = sorted(outcomes, key=lambda outcome: (outcome.state != "silent camera", outcome.category))
    outcome = _outcome(outcomes)
    try:
        report = write_run_report(
            settings.store,
            settings.images,
            day,
            run_id=str(flow_run.id),
            outcome=outcome,
            categories=outcomes,
            started_at=started_at,
            finished_at=datetime.now(UTC),
            litter=left_out.litter_in_words,
            review_url=settings.plant.review_url,
        )
    except StorageError as e:  # such as a full disk: the categories' outcomes must be reported all the same
        problem = CategoryOutcome("run report", "failed", message=f"Not written. {in_words(e)}")
        return InspectionRun(str(flow_run.id), day, "failed", (*outcomes, problem), report=None)
    leave_report("inspection-report", settings, report.key, f"Inspection of {day}: {report.outcome}", report.markdown)
    whole_day = tuple(_as_reported(outcome, report) for outcome in outcomes)
    return InspectionRun(str(flow_run.id), day, report.outcome, whole_day, report.key)


def _as_reported(outcome: CategoryOutcome, report: WrittenReport) -> CategoryOutcome:
    """The outcome with the counts of the whole day, of which this run may have scored none."""
    for name, ok, unreadable, rejected, anomalous in report.counts:
        if name == outcome.category:
            outcome = replace(outcome, ok=ok, unreadable=unreadable, rejected=rejected, anomalous=anomalous)
    return replace(outcome, message=outcome.message or dict(report.blank).get(outcome.category))


def _leave_table(settings: Settings, run: InspectionRun) -> None:
    unwritten = [(f"{report.kind} report", report.message) for report in run.reports if report.state == FAILED]
    title = f"Inspection of {run.run_date}: {run.outcome}"
    rows = [_artifact_row(outcome) for outcome in run.categories]
    leave_table("inspection-categories", settings, rows, title, report=run.report, problems=unwritten)


def _outcome(outcomes: list[CategoryOutcome]) -> str:
    states = {outcome.state for outcome in outcomes}
    if states & {"failed", "no champion", "partly sealed"}:
        return FAILED
    if "silent camera" in states:
        return SILENT
    return "completed"  # with rejects, if the report finds any sealed


def _ended(name: str, message: str, run: InspectionRun) -> InspectionRun:
    """A named final state. Prefect returns its data, `run`, to the flow's caller."""
    return cast(InspectionRun, Completed(name=name, message=message, data=run))


def _in_a_line(run: InspectionRun) -> str:
    images = sum(outcome.images for outcome in run.categories)
    anomalous = sum(outcome.anomalous for outcome in run.categories)
    return f"{counted(images, 'image')} of {run.run_date}, {anomalous} anomalous; report: {run.report}"


def _artifact_row(outcome: CategoryOutcome) -> dict[str, Any]:
    return {
        "category": outcome.category,
        "state": outcome.state,
        "model version": outcome.model_version,
        "images": outcome.images,
        "anomalous": outcome.anomalous,
        "unreadable": outcome.unreadable,
        "rejected": outcome.rejected,
        "message": outcome.message,
    }
