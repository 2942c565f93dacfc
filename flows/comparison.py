"""Comparison: every method trained and judged on a category's own labelled images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from prefect import flow, get_run_logger
from prefect.runtime import flow_run

from flows.dask_cluster import dask_cluster, dask_runner
from flows.errors import PartlyDone, RunFailed, in_words
from flows.preflight.checks import known_categories, refuse_mistyped_tables
from flows.preflight.comparison_choice import contenders_of
from flows.settings import Settings, load_settings, store_uri
from flows.training import training_request
from flows.watching.artifacts import leave_report
from flows.watching.progress import progress_bars
from flows.watching.run_names import named
from flows.workplace import settle
from tasks.comparison.fit_contender import ContenderOrder, contender_name, fit_contender
from tasks.comparison.plan_comparison import ComparisonOrder, plan_comparison
from tasks.comparison.write_comparison import ComparedMethods, FailedContender, ReportOrder, write_comparison


@dataclass(frozen=True)
class ComparisonRun:
    """The result of one comparison."""

    run_id: str
    compared: ComparedMethods

    @property
    def report(self) -> str | None:
        """Key of the HTML."""
        return self.compared.report


class ComparisonFailed(PartlyDone):
    """Some contender failed. `run` says what the others are."""

    def __init__(self, run: ComparisonRun) -> None:
        super().__init__(run, "; ".join(one.words for one in run.compared.failed))


class NoneCompared(RunFailed):
    """All contenders failed, or all but those of one method."""


@flow(name="compare", flow_run_name=named("compare", lambda parameters: parameters["category"]))
def compare_methods(
    store: str | None = None,
    category: str = "",
    *,
    images: str | None = None,
    methods: list[str] | None = None,
    seeds: int = 1,
    dask_address: str | None = None,
    options: dict[str, Any] | None = None,
) -> ComparisonRun:
    """Train every method on one split of a category's normals, and judge all on the same labelled images.

    Args:
        store: URI; default `RD_INSPECT_STORE`.
        category: its name.
        images: URI of the images' own store; default `store`.
        methods: names in rd_core.detectors.registry; default all.
        seeds: trainings of each method, from the settings' seed on.
        dask_address: a running Dask scheduler; default an embedded cluster.
        options: settings of the category; they override every other source.

    Finished contenders of an interrupted run are not trained again. The champion stays as it is. Raises
    ComparisonFailed when a contender failed; the others are judged.
    """
    settings = load_settings(
        store_uri(store), options={"images": images, "dask_address": dask_address, **(options or {})}
    )
    refuse_mistyped_tables(settings, known_categories(settings))
    compared = compare_category(settings, category, str(flow_run.id), methods=methods, seeds=seeds)
    run = ComparisonRun(str(flow_run.id), compared)
    leave_report(
        "comparison", settings, compared.report, f"Methods on {category}: {compared.sentence}", compared.markdown
    )
    if compared.failed:
        raise ComparisonFailed(run)
    return run


def compare_category(
    settings: Settings, category: str, run_id: str, *, methods: Sequence[str] | None = None, seeds: int = 1
) -> ComparedMethods:
    """Compare on a cluster of its own, or the configured one. Raises as `compare_contenders`, SettingsError."""
    order = comparison_order(settings, category, methods, seeds)
    bars = {contender_name(one.method, one.seed): None for one in order.contenders}
    with (
        dask_cluster(settings, most_workers=len(order.contenders)) as scheduler,
        progress_bars(scheduler, "train", bars),
    ):
        compare = compare_contenders.with_options(task_runner=dask_runner(scheduler))
        return compare(settings.store, settings.images, order, run_id)


def comparison_order(settings: Settings, category: str, methods: Sequence[str] | None, seeds: int) -> ComparisonOrder:
    """What to compare. SettingsError as `contenders_of`."""
    contenders, left_out = contenders_of(settings, category, methods, seeds)
    request = training_request(settings, category, method=contenders[0].method)
    return ComparisonOrder(replace(request, settings=contenders[0]), contenders, left_out)


def _in_short(parameters: Mapping[str, Any]) -> str:
    return str(parameters["order"].request.category)


@flow(name="compare-contenders", flow_run_name=named("judge the methods of", _in_short), validate_parameters=False)
def compare_contenders(store: str, images: str, order: ComparisonOrder, run_id: str) -> ComparedMethods:
    """Plan, train and judge each contender, and write the report. One that fails does not stop the others. Raises
    NoneCompared, and as `plan_comparison`."""
    planned, why = settle({"plan": plan_comparison.submit(store, images, order)})
    if why:
        raise NoneCompared(f"{order.request.category}: {in_words(why['plan'])}") from why["plan"]
    plan = planned["plan"]
    now = datetime.now(UTC)
    orders = {
        contender_name(method, seed): ContenderOrder(order.request, plan.key, method, seed)
        for method, seed in plan.contenders
    }
    finished, problems = settle(
        {
            name: fit_contender.submit(store, images, contender, run_id=run_id, now=now)
            for name, contender in orders.items()
        }
    )
    failed = [
        FailedContender(orders[name].method, orders[name].seed, in_words(why)) for name, why in problems.items()
    ]
    for one in failed:
        get_run_logger().error("contender failed run=%s comparison=%s %s", run_id, plan.id, one.words)
    if len({one.method for one in finished.values()}) < 2:
        raise NoneCompared(
            f"{plan.category}: fewer than two methods could be judged, so none is compared. "
            + "; ".join(one.words for one in failed)
        )
    report = ReportOrder(plan.key, tuple(failed), order.request.review_url)
    return write_comparison.submit(store, report, run_id=run_id, made_at=now).result()
