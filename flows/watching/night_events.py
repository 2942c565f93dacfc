"""Events of a night for automations: its outcome, and cameras without images."""

from datetime import date
from typing import Any

from prefect.events import emit_event

COMPLETED, EMPTY = "inspection.completed", "inspection.empty"


def tell_completed(day: date, outcome: str, payload: dict[str, Any]) -> None:
    """`inspection.completed`: a run has ended. Its outcome is also a label, which automations match: completed,
    completed-with-rejects or failed."""
    emit_event(
        event=COMPLETED,
        resource={
            "prefect.resource.id": f"rd-inspect.night.{day}",
            "prefect.resource.name": f"night of {day}",
            "rd-inspect.outcome": outcome.replace(" ", "-"),
        },
        payload={"run_date": str(day), "outcome": outcome, **payload},
    )


def tell_empty(day: date, category: str) -> None:
    """`inspection.empty`: a category with a champion had no image on that day."""
    emit_event(
        event=EMPTY,
        resource={
            "prefect.resource.id": f"rd-inspect.category.{category}",
            "prefect.resource.name": category,
            "rd-inspect.category": category,
            "rd-inspect.run-date": str(day),
        },
        payload={"category": category, "run_date": str(day)},
    )
