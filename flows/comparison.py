"""Comparison: every method trained and judged on a category's own labelled images."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from prefect import flow, get_run_logger
from prefect.runtime import flow_run

from flows.dask_cluster import dask_cluster, dask_runner, on_every_worker
from flows.errors import PartlyDone, RunFailed, in_words, sentence
from flows.method_promotion import PromotedMethod, promote_named
from flows.preflight.checks import refuse_unknown_categories
from flows.preflight.comparison_choice import contenders_of, why_impossible
from flows.settings import Settings, SettingsError, load_settings, store_uri
from flows.training_request import training_request
from flows.watching.artifacts import leave_report
from flows.watching.progress import progress_bars
from flows.watching.run_names import named
from flows.workplace import settle
from rd_core.features.shared_pass import SharedPass
from storage.comparisons.outcome import ComparisonOutcome, outcomes
from storage.filesystem import open_store
from storage.models.card import MethodChoice
from tasks.comparison.fit_contender import ContenderOrder, contender_name, fit_contender
from tasks.comparison.plan_comparison import ComparisonOrder, NotCompared, plan_comparison
from tasks.comparison.write_comparison import ComparedMethods, FailedContender, ReportOrder, write_comparison


@dataclass(frozen=True)
class ComparisonRun:
    """The result of one comparison."""

    run_id: str
    compared: ComparedMethods
    promotion: PromotedMethod | None = None
    """None: none was asked for"""

    @property
    def problems(self) -> list[str]:
        """Contenders without scores, and why the named method has no model."""
        failed = self.promotion is not None and self.promotion.failed
        return [*map(str, self.compared.failed), *([self.promotion.words] if self.promotion and failed else [])]

    @property
    def report(self) -> str | None:
        """Key of the HTML."""
        return self.compared.report


class ComparisonFailed(PartlyDone):
    """Some contender or the promotion failed. `run` says what was done."""

    def __init__(self, run: ComparisonRun) -> None:
        super().__init__(run, "; ".join(run.problems))


class NoneCompared(RunFailed):
    """Nothing could be planned, or fewer than two methods could be judged, or, to choose a method, too few images are
    labelled."""


@flow(name="compare", flow_run_name=named("compare", lambda parameters: parameters["category"]))
def compare_methods(
    store: str | None = None,
    category: str = "",
    *,
    images: str | None = None,
    methods: list[str] | None = None,
    seeds: int = 1,
    promote: bool = False,
    dask_address: str | None = None,
    options: dict[str, Any] | None = None,
) -> ComparisonRun:
    """Train every method on one split of a category's normals, and judge all on the same labelled images.

    Args:
        store: URI; default `RD_INSPECT_STORE`.
        category: its name; must be given.
        images: URI of the images' own store; default `store`.
        methods: names in rd_core.detectors.registry; default all.
        seeds: trainings of each method, from the settings' seed on.
        promote: train a model of the named method on all normals; the gate decides whether it becomes the champion.
        dask_address: a running Dask scheduler; default an embedded cluster.
        options: settings of the category; they override every other source.

    Finished contenders of an interrupted run are not trained again. Without `promote` the champion stays as it is.
    Raises ComparisonFailed when a contender failed; the others are judged.
    """
    settings = load_settings(
        store_uri(store), options={"images": images, "dask_address": dask_address, **(options or {})}
    )
    refuse_unknown_categories(settings, [category])
    compared = compare_category(settings, category, str(flow_run.id), methods=methods, seeds=seeds)
    promotion = promote_named(settings, compared, str(flow_run.id)) if promote else None
    run = ComparisonRun(str(flow_run.id), compared, promotion)
    leave_report(
        "comparison", settings, compared.report, f"Methods on {category}: {compared.sentence}", compared.markdown
    )
    if run.problems:
        raise ComparisonFailed(run)
    return run


def compare_category(
    settings: Settings,
    category: str,
    run_id: str,
    *,
    methods: Sequence[str] | None = None,
    seeds: int = 1,
    to_choose: bool = False,
) -> ComparedMethods:
    """Compare on a cluster of its own, or the configured one. to_choose: only if enough images are labelled to name a
    method. Raises as `compare_contenders`, SettingsError."""
    order = replace(comparison_order(settings, category, methods, seeds), to_choose=to_choose)
    bars = {contender_name(one.method, one.seed): None for one in order.contenders}
    # Known before the plan, so that an interrupted run leaves its features to the next.
    shared = SharedPass(hashlib.sha256(f"{settings.images} {category}".encode()).hexdigest()[:16])
    order = replace(order, request=replace(order.request, shared=shared))
    with (
        dask_cluster(settings, most_workers=len(order.contenders)) as scheduler,
        progress_bars(scheduler, "train", bars),
        _removed_at_the_end(shared, scheduler),
    ):
        compare = compare_contenders.with_options(task_runner=dask_runner(scheduler))
        found = compare(settings.store, settings.images, order, run_id)
    if isinstance(found, NotCompared):
        raise NoneCompared(found.why)
    return found


@contextmanager
def _removed_at_the_end(shared: SharedPass, scheduler: str) -> Iterator[None]:
    """Remove its files on all machines. An interrupted run, which no Exception ends, leaves them to the next."""
    try:
        yield
    except Exception:
        _remove(shared, scheduler)
        raise
    _remove(shared, scheduler)


def _remove(shared: SharedPass, scheduler: str) -> None:
    with suppress(OSError):  # no worker answers, and the next comparison's first fit removes them
        on_every_worker(scheduler, shared.remove)


def choose_method(settings: Settings, category: str, run_id: str) -> tuple[str, MethodChoice]:
    """The method that the newest comparison of all methods names, after one if there is none yet, and why. If none
    can be named, the default.

    A comparison serves although contenders failed: they are out of the contest until a person compares again, because
    they would fail again for hours in every training. The reason names them.
    """
    store, own = open_store(settings.store, read_only=True), settings.category(category)

    def serves(one: ComparisonOutcome) -> bool:  # settings may have changed since
        possible = one.method is None or why_impossible(own, category, one.method) is None
        return one.every_method and possible

    found: ComparisonOutcome | ComparedMethods | None = next(filter(serves, outcomes(store, category)), None)
    default = own.sure_method
    if found is None:
        try:
            found = compare_category(settings, category, run_id, to_choose=True)
        except (NoneCompared, SettingsError) as e:
            choice = MethodChoice(None, f"{default}, the default, because no method could be chosen. {e}")
            get_run_logger().warning("category=%s is trained by %s", category, choice.sentence)
            return default, choice
    failed = f" Out of the contest, because they failed: {sentence('; '.join(map(str, found.failed)))}"
    why = found.sentence + (failed if found.failed else "")
    if found.method is None:
        return default, MethodChoice(found.id, f"{default}, the default. {why}")
    get_run_logger().info("method chosen category=%s method=%s comparison=%s", category, found.method, found.id)
    return found.method, MethodChoice(found.id, why)


def comparison_order(settings: Settings, category: str, methods: Sequence[str] | None, seeds: int) -> ComparisonOrder:
    """What to compare. SettingsError as `contenders_of`."""
    contenders, left_out = contenders_of(settings, category, methods, seeds)
    request = training_request(settings, category, method=contenders[0].method)
    return ComparisonOrder(replace(request, settings=contenders[0]), contenders, left_out)


def _in_short(parameters: Mapping[str, Any]) -> str:
    return str(parameters["order"].request.category)


@flow(name="compare-contenders", flow_run_name=named("judge the methods of", _in_short), validate_parameters=False)
def compare_contenders(store: str, images: str, order: ComparisonOrder, run_id: str) -> ComparedMethods | NotCompared:
    """Plan, train and judge each contender, and write the report. One that fails does not stop the others. Raises
    NoneCompared."""
    planned, why = settle({"plan": plan_comparison.submit(store, images, order)})
    if why:
        raise NoneCompared(f"{order.request.category}: {in_words(why['plan'])}") from why["plan"]
    plan = planned["plan"]
    if isinstance(plan, NotCompared):  # expected, so neither task nor flow fails
        return plan
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
        get_run_logger().error("contender failed run=%s comparison=%s %s", run_id, plan.id, one)
    if len({one.method for one in finished.values()}) < 2:
        raise NoneCompared(
            f"{plan.category}: fewer than two methods could be judged, so none is compared. "
            + "; ".join(map(str, failed))
        )
    report = ReportOrder(plan.key, tuple(failed), order.request.review_url)
    return write_comparison.submit(store, images, report, run_id=run_id, made_at=now).result()
