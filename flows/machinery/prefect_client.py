"""This process as a client of a Prefect server: its settings for a while, and what it must send before it leaves."""

import contextlib
import logging
from collections.abc import Iterator, Mapping

from prefect.context import refresh_global_settings_context
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, get_current_settings

from flows.machinery.environment import environment

SEND_SECONDS = 10
"""for what a command has logged last"""


def configured_url() -> str | None:
    """From `PREFECT_API_URL` or the active Prefect profile."""
    return PREFECT_API_URL.value()


@contextlib.contextmanager
def client_of_embedded(values: Mapping[str, str]) -> Iterator[None]:
    """The environment, and with it Prefect's settings: its own way to set them for a while is blind in new threads,
    and a flow called from one would start another server. At the end what waits is sent.

    Heartbeats are off, which no environment variable can say: they are for a server that outlives a killed run, and
    the thread that sends them holds up the end of every flow run, for up to a second.
    """
    try:
        with environment(values):
            refresh_global_settings_context()
            get_current_settings().flows.heartbeat_frequency = None
            try:
                yield
            finally:
                _send_what_waits()
    finally:
        refresh_global_settings_context()


def _send_what_waits() -> None:
    """Logs and events, while the server is there: else Prefect sends them when the process ends, and tries for a
    minute or more if nobody answers."""
    for worker in (APILogWorker, EventsWorker):
        logging.getLogger(worker.__name__).setLevel(logging.ERROR)  # that one event is left is no warning
        worker.drain_all(timeout=SEND_SECONDS)
