"""Comparison: every method trained and judged on a category's own labelled images."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from prefect import flow, get_run_logger
from prefect.runtime import flow_run

from flows.dask_cluster import dask_cluster, dask_runner, on_every_worker
from flows.errors import PartlyDone, RunFailed, in_words
from flows.preflight.checks import known_categories, refuse_mistyped_tables
from flows.preflight.comparison_choice import contenders_of, why_impossible
from flows.settings import Settings, SettingsError, load_settings, store_uri
from flows.training_request import training_request
from flows.watching.artifacts import leave_report
from flows.watching.progress import progress_bars
from flows.watching.retraining_outcome import CategoryRetraining, emit_promoted
from flows.watching.run_names import named
from flows.workplace import settle
from rd_core.features.shared_pass import SharedPass
from rd_core.gate.decision import GateSettings
from reports.retraining.decision import PROMOTED
from storage.comparisons import ComparisonOutcome, outcomes
from storage.filesystem import open_store
from storage.layout import retraining_prefix
from storage.models.card import MethodChoice
from storage.models.models import champion_card
from tasks.comparison.fit_contender import ContenderOrder, contender_name, fit_contender
from tasks.comparison.plan_comparison import ComparisonOrder, plan_comparison
from tasks.comparison.write_comparison import ComparedMethods, FailedContender, ReportOrder, write_comparison
from tasks.retraining.judge_candidate import JudgeOrder, judge_candidate
from tasks.retraining.promote_candidate import promote_candidate
from tasks.training.fit_model import fit_model
from tasks.training.training_request import TrainingRequest


@dataclass(frozen=True)
class PromotedMethod:
    """What became of the named method."""

    words: str
    version: str | None = None
    """its model; None: none was trained"""
    promoted: bool = False
    failed: bool = False
    """whether its training or the gate failed"""


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
    """All contenders failed, or all but those of one method."""


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
        category: its name.
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
    refuse_mistyped_tables(settings, known_categories(settings))
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
        return compare(settings.store, settings.images, order, run_id)


@contextmanager
def _removed_at_the_end(shared: SharedPass, scheduler: str) -> Iterator[None]:
    """Its files on all machines; an interrupted run leaves them."""
    with ExitStack() as end:

        def remove(kind: type[BaseException] | None, *_: object) -> None:
            if kind is None or issubclass(kind, Exception):
                with suppress(OSError):  # no worker answers, and the next comparison's first fit removes them
                    on_every_worker(scheduler, shared.remove)

        end.push(remove)
        yield


def choose_method(settings: Settings, category: str, run_id: str) -> tuple[str, MethodChoice]:
    """The method that the newest whole comparison of all methods names, after one if there is none yet, and why. If
    none can be named, the default."""
    store, own = open_store(settings.store, read_only=True), settings.category(category)

    def serves(one: ComparisonOutcome) -> bool:  # settings may have changed since
        possible = one.method is None or why_impossible(own, category, one.method) is None
        return one.every_method and not one.failed and possible

    found: ComparisonOutcome | ComparedMethods | None = next(filter(serves, outcomes(store, category)), None)
    default = own.sure_method
    if found is None:
        try:
            found = compare_category(settings, category, run_id, to_choose=True)
        except (NoneCompared, SettingsError) as e:
            get_run_logger().warning("no method chosen category=%s: %s", category, e)
            return default, MethodChoice(None, f"{default}, the default, because none could be compared. {e}")
    failed = f" Not compared, because they failed: {', '.join(map(str, found.failed))}." if found.failed else ""
    if found.method is None:
        return default, MethodChoice(found.id, f"{default}, the default. {found.sentence}{failed}")
    get_run_logger().info("method chosen category=%s method=%s comparison=%s", category, found.method, found.id)
    return found.method, MethodChoice(found.id, found.sentence + failed)


def promote_named(settings: Settings, compared: ComparedMethods, run_id: str) -> PromotedMethod:
    """Train the named method on all normals as `train` does, and put it in force if the gate allows it, or if there
    is no champion. Contenders know fewer normals, and their weights are not kept."""
    store = open_store(settings.store, read_only=True)
    if compared.method is None:
        return PromotedMethod("Nothing is promoted, because no method is named.")
    card = champion_card(store, compared.category)
    if card and card.method.choice and card.method.choice.comparison == compared.id:
        return PromotedMethod(f"{card.version}, which this comparison chose, is in force.", card.version)
    choice = MethodChoice(compared.id, compared.sentence)
    request = training_request(settings, compared.category, compared.method, choice)
    request = replace(request, settings=replace(request.settings, seed=compared.seed or 0))
    with (
        dask_cluster(settings, most_workers=1) as scheduler,
        progress_bars(scheduler, "train", {compared.category: None}),
    ):
        promote = promote_method.with_options(task_runner=dask_runner(scheduler))
        return promote(settings, request, card.version if card else None, run_id)


@flow(name="promote-method", flow_run_name=named("train the named method", lambda _: ""), validate_parameters=False)
def promote_method(settings: Settings, request: TrainingRequest, champion: str | None, run_id: str) -> PromotedMethod:
    """Train, judge against the champion, and promote."""
    now, category = datetime.now(UTC), request.category
    stores = settings.store, settings.images
    fitted, why = settle({category: fit_model.submit(*stores, request, run_id=run_id, now=now, promote=False)})
    if why:
        return PromotedMethod(f"no model of {request.settings.method}: {in_words(why[category])}", failed=True)
    version = fitted[category].version
    if champion is None:
        first = fitted[category].champion
        words = "the first champion" if first else "a candidate (another became champion meanwhile; compare again)"
        return PromotedMethod(f"{version} is {words} of {category}.", version, promoted=first)
    key = f"{retraining_prefix(settings.today(now), category, run_id)}gate.parquet"
    order = JudgeOrder(category, champion, version, request.part_pattern, key, GateSettings())
    judged, why = settle({category: judge_candidate.submit(*stores, order, run_id=run_id, now=now)})
    if why:
        return PromotedMethod(f"{version} was not judged: {in_words(why[category])}", version, failed=True)
    decision = judged[category].decision
    if not decision.promote:
        return PromotedMethod(f"{version}: {decision.words}", version)
    moved = promote_candidate.submit(
        settings.store, judged[category], run_id=run_id, now=now, kind="comparison"
    ).result()
    if not moved.promoted:
        return PromotedMethod(f"{version} was overtaken: {moved.overtaken}", version)
    emit_promoted(CategoryRetraining(category, PROMOTED, decision.words, champion, promotion=moved))
    return PromotedMethod(f"{version} is in force in place of {champion}. {decision.words}", version, promoted=True)


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
        get_run_logger().error("contender failed run=%s comparison=%s %s", run_id, plan.id, one)
    if len({one.method for one in finished.values()}) < 2:
        raise NoneCompared(
            f"{plan.category}: fewer than two methods could be judged, so none is compared. "
            + "; ".join(map(str, failed))
        )
    report = ReportOrder(plan.key, tuple(failed), order.request.review_url)
    return write_comparison.submit(store, images, report, run_id=run_id, made_at=now).result()
