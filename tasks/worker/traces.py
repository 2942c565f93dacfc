"""Spans of every flow run and task run, for the OpenTelemetry collector that the environment names.

Prefect opens them, a night in one trace. They lead nowhere until their process has a provider, which is made here:
in the flow's process when `flows` is imported, in a Dask worker that has this module as a preload.
"""

import os
from collections.abc import Mapping
from functools import cache

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""OpenTelemetry's own names; all else that it reads from the environment counts too"""
SERVICE = "rd-inspect"
FLUSH_MILLISECONDS = 3000
"""that a worker's end waits for a collector"""


def are_wanted() -> bool:
    """Whether a collector is named."""
    return any(os.environ.get(name) for name in ENDPOINTS)


@cache
def begin_traces() -> None:
    """Send this process's spans to the collector, if one is named; once, however often it is called.

    Without the SDK a warning says what to install, and the run goes on: nobody's night hangs on its traces.
    """
    if not are_wanted():
        return
    try:
        from tasks.worker.trace_provider import provider  # noqa: PLC0415  # an optional extra, needed where a collector is named
    except ImportError as e:
        import logging  # noqa: PLC0415  # a command that sends no spans pays at its first line for all this imports

        logging.getLogger(__name__).warning(
            "A collector of traces is named (%s), and %s is not installed here, so no span is sent. "
            "Install it: pip install 'rd-inspect[traces]'",
            " or ".join(ENDPOINTS),
            e.name,
        )
        return
    from opentelemetry import trace  # noqa: PLC0415  # likewise

    trace.set_tracer_provider(provider(os.environ.get("OTEL_SERVICE_NAME", SERVICE)))


def describe_span(values: Mapping[str, str | int | float]) -> None:
    """Attributes of the span of the task that runs, `rd_inspect.` before each name."""
    from opentelemetry import trace  # noqa: PLC0415  # likewise

    trace.get_current_span().set_attributes({f"rd_inspect.{name}": value for name, value in values.items()})


def dask_setup(_: object) -> None:
    """Dask calls this in each worker that has this module as a preload."""
    begin_traces()


def dask_teardown(_: object) -> None:
    """Dask calls this before such a worker ends."""
    from opentelemetry import trace  # noqa: PLC0415  # likewise

    flush = getattr(trace.get_tracer_provider(), "force_flush", None)  # which only a real provider has
    if flush is not None:
        flush(FLUSH_MILLISECONDS)
