"""What a run leaves on Prefect's pages: its figures, where its report lies, and what went wrong."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from flows.settings import Settings

Problem = tuple[str, str]
"""(what, why)"""


def leave_report(key: str, settings: Settings, report: str | None, said: str, markdown: str) -> None:
    """A report in short, with the address of the whole one, whose key is `report`. `said`: one line on what it is."""
    address = f"The whole report: `{address_of(settings, report)}`\n\n" if report else ""
    create_markdown_artifact(key=key, markdown=address + markdown, description=said)


def leave_table(
    key: str,
    settings: Settings,
    rows: Iterable[Mapping[str, Any]],
    said: str,
    *,
    report: str | None = None,
    problems: Sequence[Problem] = (),
    column: str = "category",
) -> None:
    """A table, with a row for each problem whose `message` none has. Above it `said` and the report's address."""
    table = [dict(row) for row in rows]
    told = {row.get("message") for row in table}
    table += [{column: what, "message": why} for what, why in problems if why not in told]
    wrong = f" {len(problems)} went wrong: see `message`." if problems else ""
    address = f" Report: `{address_of(settings, report)}`" if report else ""
    create_table_artifact(key=key, table=table, description=f"{said}.{wrong}{address}")


def address_of(settings: Settings, key: str) -> str:
    """Where an object of the store lies, for people to open."""
    return f"{settings.store.rstrip('/')}/{key}"
