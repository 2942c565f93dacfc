"""Times of labels, and whether they are possible."""

from datetime import UTC, date, datetime, time, timedelta

from storage.errors import StorageError

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""an earlier label comes from a clock that was never set"""
LEEWAY = timedelta(minutes=5)
"""tolerance for the clocks of a plant"""


def time_of(value: object, where: str) -> datetime | None:
    """A labelled_at cell in UTC, which text without a zone means; None if empty.

    Cut to microseconds. Raises StorageError for no time.
    """
    if isinstance(value, str):
        value = value.strip()
    if value is None or value == "":
        return None
    try:
        match value:
            case datetime():
                when = value
            case date():
                when = datetime.combine(value, time.min)
            case str():
                when = datetime.fromisoformat(value)
            case _:
                raise ValueError(value)
        return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except (ValueError, OverflowError) as e:
        raise StorageError(
            f"{where}: labelled_at {value!r} is no time, so the latest label could not be told and no label "
            "was read. Write it like 2026-11-22T02:01:00Z."
        ) from e


def is_possible(labelled_at: datetime, now: datetime) -> bool:
    """Whether a label can have been made at that time, seen from `now`."""
    return EARLIEST <= labelled_at <= now + LEEWAY


def refuse_impossible(labelled_at: datetime, now: datetime, where: str) -> None:
    """Raises StorageError with the reason unless `is_possible`."""
    if is_possible(labelled_at, now):
        return
    start = f"{where}: labelled_at {labelled_at.isoformat()}"
    if labelled_at < EARLIEST:
        raise StorageError(
            f"{start} is of a clock that was never set: every other label would count before it, so no label was "
            "read. Correct it, or leave it out."
        )
    raise StorageError(
        f"{start} lies in the future (it is {now:%Y-%m-%dT%H:%M}Z), so it would outvote every correction until then, "
        "and no label was read. Give UTC, or local time with its zone (2026-11-22T02:01:00+01:00); or set the clock."
    )
