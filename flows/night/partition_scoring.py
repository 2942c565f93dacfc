"""Scores the plans of a run in batches on the workers, and seals them."""

import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import dask
from prefect import flow, get_run_logger
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture

from flows.errors import in_words
from flows.watching.run_names import named, of_categories, window
from flows.workplace import settle
from storage.errors import Conflict
from storage.records import Plan, Receipt
from tasks.night.plan_batches import PartitionPlan, plan_batches
from tasks.night.score_batch import score_batch
from tasks.night.seal_partition import seal_partition
from tasks.night.write_run_report import CategoryOutcome

MOST_PLANS = 5
"""plans of one partition in one run: another run may seal some of its images first, and the rest is planned again"""
ONE_GPU = {"GPU": 1}
"""the Dask resource of a worker process that was started with `--resources GPU=1`"""


@dataclass
class _Tally:
    """Counts of what a run has scored of a partition so far."""

    receipts: list[Receipt] = field(default_factory=list)
    seconds: float = 0.0

    def outcome(self, planned: PartitionPlan, state: str, message: str | None = None) -> CategoryOutcome:
        broken = planned.left_out.broken
        if broken and state in ("sealed", "already sealed"):
            state, message = "partly sealed", _unseen(broken)
        stages: defaultdict[str, float] = defaultdict(float)
        for receipt in self.receipts:
            for stage, spent in receipt.seconds.items():
                stages[stage] += spent
        return CategoryOutcome(
            category=planned.job.category,
            state=state,
            model_version=planned.job.model.version,
            images=planned.listed,
            ok=sum(receipt.ok for receipt in self.receipts),
            unreadable=sum(receipt.unreadable for receipt in self.receipts),
            rejected=sum(receipt.rejected for receipt in self.receipts),
            anomalous=sum(receipt.anomalous for receipt in self.receipts),
            scored_now=sum(receipt.rows for receipt in self.receipts),
            seconds=self.seconds,
            seconds_by_stage=tuple(stages.items()),
            message=message,
        )


def _in_short(parameters: Mapping[str, Any]) -> str:
    plans: list[PartitionPlan] = parameters["plans"]
    days = sorted({plan.job.run_date for plan in plans})
    return window(days[0], days[-1]) + of_categories([plan.job.category for plan in plans])


@flow(name="score-partitions", flow_run_name=named("score", _in_short), validate_parameters=False)
def score_partitions(plans: list[PartitionPlan], priority: int = 0, *, gpu: bool = False) -> list[CategoryOutcome]:
    """Score and seal each plan. All batches are submitted first, so that workers never wait for a seal.

    Batches with a higher `priority` overtake others on the same cluster. With `gpu` they wait for workers with the
    Dask resource GPU.
    """
    if gpu:
        _warn_without_gpu()
    futures = [_submit(planned, priority, gpu) for planned in plans]
    return [_finish(planned, some, priority, gpu) for planned, some in zip(plans, futures, strict=True)]


def _warn_without_gpu() -> None:
    """Dask silently holds back tasks that no worker may take."""
    context = FlowRunContext.get()
    client = getattr(context.task_runner, "client", None) if context else None
    if client is None:  # another task runner than Dask's: there are no resources to look for
        return
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    if not any(worker["resources"].get("GPU") for worker in workers):
        get_run_logger().warning(
            "gpu_workers = true, but none of %d Dask workers offers the resource GPU; scoring waits until one does. "
            "Start one with: dask worker ADDRESS --resources GPU=1 --nthreads 1 --nworkers 1",
            len(workers),
        )


def _submit(planned: PartitionPlan, priority: int, gpu: bool) -> dict[str, PrefectFuture[Receipt]]:
    demands = {"resources": ONE_GPU} if gpu else {}
    # small categories first: their seals come early
    with dask.annotate(priority=priority - len(planned.batches), **demands):
        return {
            batch.digest: score_batch.submit(planned.job.store_uri, planned.job.images_uri, batch)
            for batch in planned.batches
        }


def _finish(
    planned: PartitionPlan, futures: dict[str, PrefectFuture[Receipt]], priority: int, gpu: bool
) -> CategoryOutcome:
    """Gather the receipts and seal. If another run has sealed some of the images, plan and score the rest."""
    tally = _Tally()
    started = time.perf_counter()
    for _ in range(MOST_PLANS):
        if planned.plan is None:
            return tally.outcome(planned, "sealed" if tally.receipts else "already sealed")
        receipts, problems = settle(futures)
        tally.receipts = list(receipts.values())
        tally.seconds = time.perf_counter() - started
        if problems:
            return tally.outcome(planned, "failed", _describe(list(problems.values()), len(futures)))
        refused = _seal(planned.job.store_uri, planned.plan, tally.receipts)
        if refused is None:
            return tally.outcome(planned, "sealed")
        if not isinstance(refused, Conflict):
            return tally.outcome(planned, "failed", f"Scored, but not completed. {in_words(refused)}")
        get_run_logger().warning("another run sealed images of %s; planning the rest", planned.job.category)
        replanned, problems = settle({"plan": plan_batches.submit(planned.job)})
        if problems:
            return tally.outcome(planned, "failed", in_words(problems["plan"]))
        planned = replanned["plan"]
        futures = _submit(planned, priority, gpu)
    return tally.outcome(
        planned, "failed", f"Other runs completed images of this partition {MOST_PLANS} times meanwhile."
    )


def _seal(store_uri: str, plan: Plan, receipts: list[Receipt]) -> Exception | None:
    """Seal the plan; returns the exception, if any."""
    sealing = seal_partition.submit(store_uri, plan, receipts, datetime.now(UTC))
    _, problems = settle({"seal": sealing})
    return problems.get("seal")


def _unseen(broken: Mapping[str, str]) -> str:
    folder, why = next(iter(broken.items()))
    more = f" (and {len(broken) - 1} more folders)" if len(broken) > 1 else ""
    return (
        f"{folder} cannot be read{more}, so its images were not scored; all others are complete. {why} Run the "
        "same inspection again once it can be read."
    )


def _describe(problems: list[Exception], batches: int) -> str:
    return (
        f"{len(problems)} of {batches} batches failed, so the partition is not complete; what was scored is kept. "
        f"First: {in_words(problems[0])} Run the same inspection again to continue."
    )
