"""Faults of a task worth a retry, and the pauses between retries."""

from typing import Any, TypedDict

from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task, exponential_backoff

from storage.errors import TransientFault

RETRIES = 4


class RetryPolicy(TypedDict):
    """Keyword arguments of `prefect.task`."""

    retries: int
    retry_delay_seconds: Any
    retry_jitter_factor: float
    retry_condition_fn: Any


def is_storage_fault(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """True for a fault that may pass. A wrong key or a full disk does not: the run fails at once."""
    result = state.result(raise_on_failure=False)
    return isinstance(result, TransientFault)


ON_STORAGE_FAULT = RetryPolicy(
    retries=RETRIES,
    retry_delay_seconds=exponential_backoff(backoff_factor=2),
    retry_jitter_factor=0.5,  # so that the tasks of a night do not come back to a sick server in step
    retry_condition_fn=is_storage_fault,
)
