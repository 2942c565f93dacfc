"""Closes the flow runs that an interrupted command leaves on a Prefect server that stays; they would run for ever."""

import signal
from collections.abc import Iterator
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.context import FlowRunContext
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Cancelled, Crashed

from flows.machinery.interruption import WORDS, signal_of_the_end

_PATIENCE = 1.0
"""seconds for each answer; the command ends within three"""
_UNFINISHED = {"type": {"any_": ["SCHEDULED", "PENDING", "RUNNING"]}}


def close_left_runs() -> None:
    """End the flow run of this context, its parents and its children on the server: Cancelled after Ctrl-C, else
    Crashed. httpx.HTTPError if the server does not answer."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return
    number = signal_of_the_end()
    ended = Cancelled if number == signal.SIGINT else Crashed
    message = f"The command was {WORDS[number]}. The same command continues."
    with (
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
        get_client(sync_client=True, httpx_settings={"timeout": _PATIENCE}) as client,
    ):
        outermost = _outermost(client, context.flow_run.id)
        for run in (outermost, *_unfinished_below(client, [outermost])):
            client.set_flow_run_state(run, ended(message=message), force=True)


def _outermost(client: SyncPrefectClient, run: UUID) -> UUID:
    while (task := client.read_flow_run(run).parent_task_run_id) is not None:
        above = client.read_task_run(task).flow_run_id
        if above is None:
            break
        run = above
    return run


def _unfinished_below(client: SyncPrefectClient, runs: list[UUID]) -> Iterator[UUID]:
    while runs:
        chosen = FlowRunFilter.model_validate({"parent_flow_run_id": {"any_": runs}, "state": _UNFINISHED})
        runs = [run.id for run in client.read_flow_runs(flow_run_filter=chosen)]
        yield from runs
