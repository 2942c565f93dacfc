"""Backfill: score past days that are missing, partly scored or interrupted, with the current champion."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from shlex import quote
from typing import Any, cast

from prefect import flow, get_run_logger
from prefect.runtime import flow_run
from prefect.states import Completed
from prefect.task_runners import TaskRunner

from flows.errors import PartlyDone, in_words
from flows.inspection import flow_run_groups, plan_partitions
from flows.mending import Mended, mend_partitions
from flows.night.partition_scoring import score_partitions
from flows.preflight.grid_choice import chosen_categories, chosen_days, refuse_unknown_version
from flows.preflight.night_size import seconds_to_score
from flows.preflight.redecision import refuse_redecision
from flows.printing.grid import grid_rows
from flows.printing.numbers import counted
from flows.settings import Settings, load_settings, store_uri
from flows.watching.artifacts import leave_table
from flows.watching.metrics import backfill_metrics
from flows.watching.metrics_files import write_metrics
from flows.watching.run_names import given_window, named
from flows.workplace import ALWAYS, settle, workplace
from storage.analysis.grid import Cell, Grid, read_grid
from storage.filesystem import open_store
from storage.records import Partition
from tasks.night.pin_champion import PinnedModel, pin_champion, pin_version
from tasks.night.redecide_partition import redecide_partition
from tasks.recalibration.sealed_scores import sealed_days

PRIORITY = -1_000_000
"""lower than that of any night's batch (minus its number), so that nights on the same cluster overtake"""
AT_ONCE = 2
"""days at the same time: while one waits for its last batches, the next one fills the workers"""


@dataclass(frozen=True)
class Undone:
    """A day or category that a backfill could not do."""

    category: str
    run_date: date | None
    """None: the whole category"""
    why: str


@dataclass(frozen=True)
class BackfillRun:
    """What one backfill did."""

    run_id: str
    outcome: str
    """completed | incomplete | nothing to do | dry run"""
    versions: Mapping[str, str]
    """by category: the pinned model version"""
    before: Grid
    after: Grid
    """the same as `before` in a dry run"""
    scored: int
    """images that got a row now"""
    mended: int
    """damaged batches and map metadata that were repaired"""
    redecided: int
    """images whose sealed scores were decided anew"""
    problems: tuple[Undone, ...]
    report: str | None = None
    """a backfill writes none"""


def done_in_words(run: BackfillRun) -> str:
    """How many images were scored and decided anew, and what was mended."""
    anew = f"{counted(run.redecided, 'image')} decided anew, " if run.redecided else ""
    return f"{anew}{counted(run.scored, 'image')} scored, damaged batches mended: {run.mended}"


class BackfillIncomplete(PartlyDone):
    """Some days of the period are not complete. `run` says what was done."""

    def __init__(self, run: BackfillRun) -> None:
        left = f"{len(run.after.undone)} of {len(run.after.cells)} days by category are left undone"
        why = (f"{problem.category} {problem.run_date or ''}: {problem.why}" for problem in run.problems)
        super().__init__(run, "; ".join([left, *why]) + ". Run the same backfill again: what is complete stays.")


@flow(name="backfill", flow_run_name=named("backfill", given_window))
def backfill(
    store: str | None = None,
    first_day: date | None = None,
    last_day: date | None = None,
    categories: list[str] | None = None,
    *,
    model: str | None = None,
    oldest_first: bool = False,
    at_once: int = AT_ONCE,
    dry_run: bool = False,
    mend: bool = False,
    redecide: bool = False,
    images: str | None = None,
    dask_address: str | None = None,
    options: dict[str, Any] | None = None,
) -> BackfillRun:
    """Score every day of a period that the pinned model has not completely scored. Complete days are left alone.

    Args:
        store: URI; default `RD_INSPECT_STORE`.
        first_day: default 29 days before the last.
        last_day: included; default the last day with images.
        categories: names; default every category with images.
        model: a version that each category has; default each one's current champion.
        oldest_first: default newest first.
        at_once: days scored at the same time.
        dry_run: only look.
        mend: read every score file and map of the period, and score damaged batches of complete days anew.
        redecide: first decide anew about scores that versions with the same weights and view have sealed; the rest
            is scored.
        images: URI of the images' own store; default `store`.
        dask_address: a running Dask scheduler; default an embedded cluster.
        options: settings by name; they override every other source.

    The store decides what is done, so an interrupted backfill continues where it stopped. Another model adds
    partitions and removes none. Returns the BackfillRun, as Completed, DryRun or NothingToDo. Raises
    BackfillIncomplete when something is left undone; the rest is done.
    """
    more = {"images": images, "dask_address": dask_address, **(options or {})}
    settings = load_settings(store_uri(store), options=more)
    chosen = chosen_categories(settings, categories)
    window = chosen_days(settings, chosen, first_day, last_day)
    pinned, problems = _pin(settings, chosen, model)
    for name, one in pinned.items() if redecide else ():
        refuse_redecision(open_store(settings.store, read_only=True), name, one.version, *window)
    before = _grid(settings, window, chosen, pinned)
    if dry_run:
        return _ended(settings, pinned, before, before, "dry run", _Done(), problems)
    done, undecided = _redecide(settings, window, pinned) if redecide else (_Done(), [])
    left = _grid(settings, window, chosen, pinned) if done.redecided else before
    problems += undecided
    if not left.undone and not mend:
        return _ended(
            settings, pinned, before, left, "completed" if done.redecided else "nothing to do", done, problems
        )
    days = _days(left, pinned, oldest_first=oldest_first)
    with workplace(settings) as place:
        runner = place.runner(ALWAYS if mend else _seconds(days, pinned), in_turn=True)
        if place.scheduler and not settings.plant.dask_address:
            from flows.dask_cluster import let_others_go_first  # noqa: PLC0415  # brings Dask, which a small backfill does without

            let_others_go_first(place.scheduler)
        with place.bars("inspect", _images_to_do(days)):
            done.mended = _mend(settings, left, runner) if mend else Mended()
            done.scored, unscored = _score_days(
                settings, days, pinned, runner, max(1, at_once) if place.scheduler else 1
            )
    after = _grid(settings, window, chosen, pinned)
    return _ended(settings, pinned, before, after, "completed", done, problems + unscored)


@dataclass
class _Done:
    """What a backfill has done so far."""

    redecided: int = 0
    scored: int = 0
    mended: Mended = field(default_factory=Mended)


def _redecide(
    settings: Settings, window: tuple[date, date], pinned: Mapping[str, PinnedModel]
) -> tuple[_Done, list[Undone]]:
    """Decide anew about the sealed scores of the days; their images are not needed."""
    store, now = open_store(settings.store, read_only=True), datetime.now(UTC)
    partitions = [
        Partition(name, day, model.version)
        for name, model in pinned.items()
        for day in sealed_days(store, name, *window)
    ]
    results, problems = settle(
        {
            str(number): redecide_partition.submit(settings.store, partition, run_id=str(flow_run.id), now=now)
            for number, partition in enumerate(partitions)
        }
    )
    failed = [(partitions[int(number)], in_words(why)) for number, why in problems.items()]
    return _Done(redecided=sum(result.images for result in results.values())), [
        Undone(partition.category, partition.run_date, why) for partition, why in failed
    ]


def _pin(settings: Settings, chosen: Sequence[str], model: str | None) -> tuple[dict[str, PinnedModel], list[Undone]]:
    """The models of this whole backfill: (by category, categories without one)."""
    if model:
        refuse_unknown_version(open_store(settings.store, read_only=True), chosen, model)
        pinned, broken = settle({name: pin_version.submit(settings.store, name, model) for name in chosen})
        without: set[str] = set()
    else:
        pins, broken = settle({name: pin_champion.submit(settings.store, name) for name in chosen})
        pinned = {name: model for name, model in pins.items() if model is not None}
        without = pins.keys() - pinned.keys()
    store = quote(settings.store)
    problems = [
        Undone(
            name,
            None,
            "No model is in force, so nothing was scored. "
            f"Train one: rd-inspect train --category {name} --store {store}",
        )
        for name in sorted(without)
    ]
    return pinned, problems + [Undone(name, None, in_words(why)) for name, why in broken.items()]


def _grid(
    settings: Settings, window: tuple[date, date], chosen: Sequence[str], pinned: Mapping[str, PinnedModel]
) -> Grid:
    store, images = open_store(settings.store), open_store(settings.images, read_only=True)
    versions = {name: pinned[name].version if name in pinned else None for name in chosen}
    return read_grid(store, images, *window, versions, tell=get_run_logger().warning)


def _days(grid: Grid, pinned: Mapping[str, PinnedModel], *, oldest_first: bool) -> dict[date, list[Cell]]:
    """Cells of the grid to score, by day, in the order of work."""
    days: dict[date, list[Cell]] = {}
    for cell in sorted(grid.undone, key=lambda cell: cell.run_date, reverse=not oldest_first):
        if cell.category in pinned:
            days.setdefault(cell.run_date, []).append(cell)
    return days


def _seconds(days: Mapping[date, Sequence[Cell]], pinned: Mapping[str, PinnedModel]) -> float:
    """Estimated seconds of one core to score them."""
    cells = ((cell.to_do, pinned[cell.category]) for cells in days.values() for cell in cells)
    return sum(seconds_to_score(images, model.pixels) for images, model in cells)


def _images_to_do(days: Mapping[date, Sequence[Cell]]) -> dict[str, int | None]:
    totals: dict[str, int | None] = {}
    for cell in (cell for cells in days.values() for cell in cells):
        totals[cell.category] = (totals.get(cell.category) or 0) + cell.to_do
    return totals


def _score_days(
    settings: Settings,
    days: Mapping[date, Sequence[Cell]],
    pinned: Mapping[str, PinnedModel],
    runner: TaskRunner[Any],
    at_once: int,
) -> tuple[int, list[Undone]]:
    """(images scored, problems). A failed day does not stop the others."""
    scored, problems = 0, list[Undone]()
    pool = ThreadPoolExecutor(at_once, thread_name_prefix="day")
    try:
        # Each thread is to know which flow run it belongs to.
        work = {
            day: pool.submit(copy_context().run, _score_day, settings, day, cells, pinned, runner)
            for day, cells in days.items()
        }
        for day, future in work.items():
            try:
                images, unscored = future.result()
            except Exception as e:  # noqa: BLE001  # any failure becomes this day's outcome; the other days continue
                images, unscored = 0, [Undone(cell.category, day, in_words(e)) for cell in days[day]]
            scored, problems = scored + images, problems + unscored
    finally:
        pool.shutdown(cancel_futures=True)  # an interrupted backfill begins no further day
    return scored, problems


def _score_day(
    settings: Settings,
    day: date,
    cells: Sequence[Cell],
    pinned: Mapping[str, PinnedModel],
    runner: TaskRunner[Any],
) -> tuple[int, list[Undone]]:
    chosen = [cell.category for cell in cells]
    plan = plan_partitions.with_options(task_runner=runner)
    plans, outcomes = plan(settings, day, chosen, str(flow_run.id), datetime.now(UTC), pinned)
    for group in flow_run_groups(plans):
        outcomes += score_partitions.with_options(task_runner=runner)(group, PRIORITY, gpu=settings.plant.gpu_workers)
    for outcome in outcomes:
        get_run_logger().info("backfilled day=%s category=%s state=%s", day, outcome.category, outcome.state)
    problems = [Undone(outcome.category, day, outcome.message) for outcome in outcomes if outcome.message]
    return sum(outcome.scored_now for outcome in outcomes), problems


def _mend(settings: Settings, grid: Grid, runner: TaskRunner[Any]) -> Mended:
    partitions = [Partition(cell.category, cell.run_date, cell.version) for cell in grid.cells if cell.version]
    return mend_partitions.with_options(task_runner=runner)(settings, partitions, PRIORITY)


def _ended(
    settings: Settings,
    pinned: Mapping[str, PinnedModel],
    before: Grid,
    after: Grid,
    outcome: str,
    done: _Done,
    problems: Sequence[Undone],
) -> BackfillRun:
    """A named final state. Prefect returns its data, `run`, to the flow's caller."""
    undone = (*problems, *(Undone(where.category, where.run_date, why) for where, why in done.mended.problems))
    versions = {name: model.version for name, model in pinned.items()}
    incomplete = outcome != "dry run" and (bool(undone) or bool(after.undone))
    run = BackfillRun(
        str(flow_run.id), "incomplete" if incomplete else outcome, versions, before, after, done.scored,
        done.mended.total, done.redecided, undone,
    )  # fmt: skip
    wrong = [(f"{problem.category} {problem.run_date or ''}".strip(), problem.why) for problem in undone]
    leave_table(
        "backfill-grid", settings, grid_rows(after), f"{run.outcome}: {after.counts}", problems=wrong, column="day"
    )
    if outcome != "dry run":
        figures = backfill_metrics(scored=done.scored, mended=done.mended.total, undone=len(after.undone))
        write_metrics(settings, "backfill", run.outcome, figures, failed=incomplete)
    if incomplete:
        raise BackfillIncomplete(run)
    name = {"dry run": "DryRun", "nothing to do": "NothingToDo"}.get(outcome, "Completed")
    message = f"{done_in_words(run)}; {after.counts}"
    return cast(BackfillRun, Completed(name=name, message=message, data=run))
