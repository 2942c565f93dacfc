"""Recalibration: a new threshold for a model, from later images and without a training."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

from prefect import flow, get_run_logger
from prefect.runtime import flow_run

from flows.errors import PartlyDone, in_words
from flows.preflight.checks import known_categories, refuse_mistyped_tables, refuse_reversed
from flows.preflight.recalibration_choice import orders_of
from flows.printing.numbers import counted
from flows.settings import Settings, load_settings, store_uri
from flows.watching.artifacts import leave_table
from flows.watching.run_names import named, today
from flows.workplace import settle, workplace
from rd_core.gate.decision import GateSettings
from storage.layout import retraining_prefix
from tasks.recalibration.order import RecalibrateOrder
from tasks.recalibration.recalibrate_model import RecalibratedModel, recalibrate_model
from tasks.retraining.judge_candidate import JudgeOrder, judge_candidate
from tasks.retraining.promote_candidate import promote_candidate


@dataclass(frozen=True)
class RecalibrationRun:
    """The model versions of one recalibration."""

    run_id: str
    models: tuple[RecalibratedModel, ...]
    failed: tuple[tuple[str, str], ...] = ()
    """(category, why)"""
    report: str | None = None
    """a recalibration writes none"""


class RecalibrationFailed(PartlyDone):
    """Some category has no new threshold. `run` says what was done."""

    def __init__(self, run: RecalibrationRun) -> None:
        super().__init__(run, "; ".join(f"{category}: {why}" for category, why in run.failed))


@flow(name="recalibrate", flow_run_name=named("recalibrate", today))
def recalibrate(
    store: str | None = None,
    categories: list[str] | None = None,
    first_day: date | None = None,
    last_day: date | None = None,
    *,
    unlabelled: bool = False,
    held_out: bool = False,
    alpha: float | None = None,
    model: str | None = None,
    promote: bool = False,
    judge: bool = False,
    images: str | None = None,
    dask_address: str | None = None,
) -> RecalibrationRun:
    """For each category: a new version with the champion's weights and a new threshold.

    Args:
        store: URI; default `RD_INSPECT_STORE`.
        categories: names; default every category with a champion.
        first_day: default any for labelled normals, 29 days before the last for unlabelled scores.
        last_day: included; default the last.
        unlabelled: calibrate on the sealed scores of these days; default on labelled normals of later days.
        held_out: calibrate on the model's own held-out scores, so that alpha alone changes.
        alpha: promised false-alarm rate; default the category's setting.
        model: the version whose threshold is replaced, of one category; default its champion.
        promote: make the new versions champions.
        judge: make those champions that the gate allows; its decision stays with the model.
        images: URI of the images' own store; default `store`.
        dask_address: a running Dask scheduler; default this process, for it takes seconds.

    Raises RecalibrationFailed when a category has no new threshold; the others have.
    """
    settings = load_settings(store_uri(store), options={"images": images, "dask_address": dask_address})
    refuse_mistyped_tables(settings, known_categories(settings))
    refuse_reversed(first_day, last_day)
    orders = [
        replace(
            order, unlabelled=unlabelled, held_out=held_out, first_day=first_day, last_day=last_day, promote=promote
        )
        for order in orders_of(settings, categories, model, alpha, unlabelled=unlabelled)
    ]
    with workplace(settings) as place:
        calibrate = recalibrate_models.with_options(task_runner=place.runner(0.0, in_turn=True))
        gate = GateSettings() if judge else None
        models, failed = calibrate(settings, orders, str(flow_run.id), gate) if orders else ([], [])
    run = RecalibrationRun(str(flow_run.id), tuple(models), tuple(failed))
    rows = [_artifact_row(model) for model in models]
    leave_table("recalibrated-models", settings, rows, f"{counted(len(models), 'threshold')} new", problems=failed)
    if failed:
        raise RecalibrationFailed(run)
    return run


@flow(name="recalibrate-models", flow_run_name=named("calibrate", lambda _: ""), validate_parameters=False)
def recalibrate_models(
    settings: Settings, orders: Sequence[RecalibrateOrder], run_id: str, gate: GateSettings | None
) -> tuple[list[RecalibratedModel], list[tuple[str, str]]]:
    """Recalibrate each category, and promote what the gate allows: (new models, problems by category).

    gate: its limits; None: nothing is judged.
    """
    now = datetime.now(UTC)
    models, problems = settle(
        {
            order.category: recalibrate_model.submit(settings.store, settings.images, order, run_id=run_id, now=now)
            for order in orders
        }
    )
    if gate is not None:
        champions = {order.category: order.expected for order in orders if order.expected}
        decided, unjudged = settle(
            {
                name: judge_candidate.submit(
                    settings.store, settings.images, _judging(settings, model, champions[name], run_id, now, gate),
                    run_id=run_id, now=now,
                )
                for name, model in models.items()
                if name in champions
            }
        )  # fmt: skip
        promoted, unpromoted = settle(
            {
                name: promote_candidate.submit(settings.store, judged, run_id=run_id, now=now, kind="recalibration")
                for name, judged in decided.items()
                if judged.decision.promote
            }
        )
        for name, judged in decided.items():
            moved = promoted.get(name)
            models[name] = replace(
                models[name],
                champion=moved is not None and moved.promoted,
                decision=judged.decision.words,
                overtaken=moved.overtaken if moved else None,
            )
        problems |= unjudged | unpromoted
    for category, why in problems.items():
        get_run_logger().error("recalibration failed run=%s category=%s: %s", run_id, category, in_words(why))
    return list(models.values()), [(category, in_words(why)) for category, why in problems.items()]


def _judging(
    settings: Settings, model: RecalibratedModel, champion: str, run_id: str, now: datetime, gate: GateSettings
) -> JudgeOrder:
    key = f"{retraining_prefix(settings.today(now), model.category, run_id)}gate.parquet"
    pattern = settings.category(model.category).part_pattern
    return JudgeOrder(model.category, champion, model.version, pattern, key, gate)


def _artifact_row(model: RecalibratedModel) -> dict[str, Any]:
    return {
        "category": model.category,
        "version": model.version,
        "replaces": model.replaces,
        "champion": model.champion,
        "method": model.method,
        "images": model.images,
        "set aside": len(model.set_aside),
        "threshold before": round(model.threshold_before, 4),
        "threshold": round(model.threshold, 4),
        "seconds": round(model.seconds, 1),
    }
