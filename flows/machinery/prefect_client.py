"""This process as a client of a Prefect server: temporary settings, and what it must send before it ends."""

import contextlib
import logging
from collections.abc import Iterator, Mapping

from prefect.context import refresh_global_settings_context
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, get_current_settings

from flows.machinery.environment import environment

SEND_SECONDS = 10
"""for a command's last log lines"""


def configured_url() -> str | None:
    """The API URL from `PREFECT_API_URL` or the active Prefect profile."""
    return PREFECT_API_URL.value()


@contextlib.contextmanager
def client_of_embedded(values: Mapping[str, str]) -> Iterator[None]:
    """Set Prefect's settings through the environment, and send waiting logs and events at the end.

    Prefect's temporary settings do not reach new threads, where a flow would start another server. Heartbeats are
    off: their thread delays the end of every flow run by up to a second, and only a server that outlives a killed
    run needs them.
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
    """Send logs and events while the server runs; later, Prefect would try for a minute or more."""
    for worker in (APILogWorker, EventsWorker):
        logging.getLogger(worker.__name__).setLevel(logging.ERROR)  # that one event is left is no warning
        worker.drain_all(timeout=SEND_SECONDS)
