"""Names of flow runs on Prefect's pages and in logs: what a run does, for which days."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from prefect.context import FlowRunContext

from flows.settings import Settings, load_settings, store_uri
from storage.filesystem import Store, open_store

MOST_NAMES = 3
"""categories in a name; the run's parameters have all"""


def named(what: str, days: Callable[[Mapping[str, Any]], str]) -> Callable[[], str]:
    """A flow's `flow_run_name`: `what`, the `days` of its parameters, and the requested categories."""

    def name() -> str:
        context = FlowRunContext.get()
        parameters = (context.parameters if context else None) or {}
        try:
            meant = days(parameters)
        except Exception:  # noqa: BLE001  # the run itself, which must begin first, reports a store that does not answer
            meant = ""
        return f"{what} {meant}".replace(" :", ":").rstrip() + of_categories(parameters.get("categories"))

    return name


def of_categories(names: Sequence[str] | None) -> str:
    """The end of a name; empty for the whole plant."""
    if not names:
        return ""
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ": " + ", ".join(names[:MOST_NAMES]) + more


def window(first: date | None, last: date | None) -> str:
    """2026-11-21, or 2026-11-01 to 2026-11-21."""
    if first is None or last is None or first == last:
        return str(first or last or "")
    return f"{first} to {last}"


def night_day(parameters: Mapping[str, Any]) -> str:
    """The production day of an inspection; by the plant's clock if none is given."""
    return str(parameters.get("run_date") or _settings(parameters).yesterday(datetime.now(UTC)))


def today(parameters: Mapping[str, Any]) -> str:
    """For work on everything in the store, such as a model."""
    return str(_settings(parameters).today(datetime.now(UTC)))


def given_window(parameters: Mapping[str, Any]) -> str:
    """first_day and last_day, as far as given."""
    first, last = parameters.get("first_day"), parameters.get("last_day")
    if first and last is None:
        return f"from {first}"
    return f"until {last}" if last and first is None else window(first, last) or "all days"


def sealed_window(
    parameters: Mapping[str, Any], days: Callable[[Store, date | None, date | None], tuple[date, date] | None]
) -> str:
    """The days of an evaluation or drift report, with the flow's own defaults."""
    first, last = parameters.get("first_day"), parameters.get("last_day")
    if first is None or last is None:
        window_days = days(open_store(_settings(parameters).store, read_only=True), first, last)
        first, last = window_days or (first, last)
    return window(first, last)


def _settings(parameters: Mapping[str, Any]) -> Settings:
    return load_settings(store_uri(parameters.get("store")))
