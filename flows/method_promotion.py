"""Promotion of the method that a comparison names."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from shlex import quote

from prefect import flow

from flows.dask_cluster import dask_cluster, dask_runner
from flows.errors import in_words
from flows.settings import Settings
from flows.training_request import training_request
from flows.watching.progress import progress_bars
from flows.watching.retraining_outcome import CategoryRetraining, emit_promoted
from flows.watching.run_names import named
from flows.workplace import settle
from rd_core.gate.decision import GateSettings
from reports.retraining.decision import PROMOTED
from storage.filesystem import open_store
from storage.layout import retraining_prefix
from storage.models.card import MethodChoice
from storage.models.models import champion_card
from tasks.comparison.write_comparison import ComparedMethods
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


def promote_named(settings: Settings, compared: ComparedMethods, run_id: str) -> PromotedMethod:
    """Train the named method on all normals as `train` does, and put it in force if the gate allows it, or if there
    is no champion. Contenders know fewer normals, and their weights are not kept."""
    store = open_store(settings.store, read_only=True)
    if compared.method is None:
        return PromotedMethod(
            "Nothing is promoted, because no method is named; what is in force stays. To choose one yourself: "
            f"rd-inspect train --category {quote(compared.category)} --method NAME"
        )
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
