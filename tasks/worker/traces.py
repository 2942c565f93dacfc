"""Spans of every flow and task run for an OpenTelemetry collector named in the environment.

Prefect opens the spans, one trace for each night. They need a provider in their process, which is made here: in the
flow's process when `flows` is imported, in a Dask worker with this module as a preload.
"""

import os
from collections.abc import Mapping
from functools import cache

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""OpenTelemetry's own names; its other variables apply too"""
SERVICE = "rd-inspect"
FLUSH_MILLISECONDS = 3000
"""seconds that a worker's end waits for a collector"""


def are_wanted() -> bool:
    """Whether a collector is named."""
    return any(os.environ.get(name) for name in ENDPOINTS)


@cache
def begin_traces() -> None:
    """Send this process's spans to the collector, if one is named; repeated calls do nothing.

    Without the SDK a warning names what to install, and the run continues.
    """
    if not are_wanted():
        return
    try:
        from tasks.worker.trace_provider import provider  # noqa: PLC0415  # an optional extra, needed where a collector is named
    except ImportError as e:
        import logging  # noqa: PLC0415  # a command that sends no spans pays at its first line for all this imports

        logging.getLogger(__name__).warning(
            "A trace collector is named (%s), but %s is not installed here, so no span is sent. "
            "Install it: pip install 'rd-inspect[traces]'",
            " or ".join(ENDPOINTS),
            e.name,
        )
        return
    from opentelemetry import trace  # noqa: PLC0415  # imports much, and not every command sends spans

    trace.set_tracer_provider(provider(os.environ.get("OTEL_SERVICE_NAME", SERVICE)))


def describe_span(values: Mapping[str, str | int | float]) -> None:
    """Set attributes of the running task's span, with `rd_inspect.` before each name."""
    from opentelemetry import trace  # noqa: PLC0415  # imports much, and not every command sends spans

    trace.get_current_span().set_attributes({f"rd_inspect.{name}": value for name, value in values.items()})


def dask_setup(_: object) -> None:
    """Called by Dask in each worker with this module as a preload."""
    begin_traces()


def dask_teardown(_: object) -> None:
    """Called by Dask before such a worker ends."""
    from opentelemetry import trace  # noqa: PLC0415  # imports much, and not every command sends spans

    flush = getattr(trace.get_tracer_provider(), "force_flush", None)  # which only a real provider has
    if flush is not None:
        flush(FLUSH_MILLISECONDS)
