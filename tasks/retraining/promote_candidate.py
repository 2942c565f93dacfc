"""Promotion of a candidate that passed the gate, if its champion is still in force."""

from dataclasses import dataclass
from datetime import datetime

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.logging import get_run_logger

from storage.errors import Conflict
from storage.filesystem import open_store
from storage.models import models
from tasks.retraining.judge_candidate import JudgedCandidate
from tasks.worker.faults import ON_STORAGE_FAULT


@dataclass(frozen=True)
class Promotion:
    """The outcome."""

    category: str
    version: str
    previous: str
    """the champion that it was compared with"""
    overtaken: str | None
    """why it is not in force: another was promoted first; None if it is"""

    @property
    def promoted(self) -> bool:
        return self.overtaken is None


@task(name="promote-candidate", task_run_name="promote {judged.category}", cache_policy=NO_CACHE, **ON_STORAGE_FAULT)
def promote_candidate(
    store_uri: str, judged: JudgedCandidate, *, run_id: str, now: datetime, kind: str = "retraining"
) -> Promotion:
    """Move the champion pointer by compare-and-swap. Repeating it changes nothing.

    The decision holds only for its champion: another one in force stays. `kind` of run: what the history says.
    """
    store = open_store(store_uri)
    names = judged.category, judged.candidate, judged.champion
    try:
        models.promote(
            store, judged.category, judged.candidate,
            by=f"{kind} run {run_id}", now=now, expected=judged.champion,
        )  # fmt: skip
    except Conflict as e:
        get_run_logger().warning("promotion overtaken run=%s category=%s: %s", run_id, judged.category, e)
        return Promotion(*names, str(e))
    get_run_logger().info(
        "model promoted run=%s category=%s model=%s previous=%s", run_id, judged.category, *names[1:]
    )
    return Promotion(*names, None)
