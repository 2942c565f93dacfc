"""A run's artifacts on Prefect's pages: its figures, its report's address, and its problems."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from flows.settings import Settings

Problem = tuple[str, str]
"""(what, why)"""


def leave_report(key: str, settings: Settings, report: str | None, title: str, markdown: str) -> None:
    """A short report, with the address of the whole one, whose key is `report`."""
    address = f"The whole report: `{address_of(settings, report)}`\n\n" if report else ""
    create_markdown_artifact(key=key, markdown=address + markdown, description=title)


def leave_table(
    key: str,
    settings: Settings,
    rows: Iterable[Mapping[str, Any]],
    title: str,
    *,
    report: str | None = None,
    problems: Sequence[Problem] = (),
    column: str = "category",
) -> None:
    """A table, with a row for each problem whose `message` no row has. Above it a summary and the report's
    address."""
    table = [dict(row) for row in rows]
    shown = {row.get("message") for row in table}
    table += [{column: what, "message": why} for what, why in problems if why not in shown]
    wrong = f" {len(problems)} problems: see `message`." if problems else ""
    address = f" Report: `{address_of(settings, report)}`" if report else ""
    create_table_artifact(key=key, table=table, description=f"{title}.{wrong}{address}")


def address_of(settings: Settings, key: str) -> str:
    """Address of an object of the store, for people to open."""
    return f"{settings.store.rstrip('/')}/{key}"
