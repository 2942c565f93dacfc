"""Days and moments as people say them."""

from datetime import date, datetime, tzinfo

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip


def day_in_words(day: date, today: date | None = None) -> str:
    """Such as '14 January 2026'; without the year if it is that of `today`."""
    year = "" if today is not None and today.year == day.year else f" {day.year}"
    return f"{day.day} {_MONTHS[day.month - 1]}{year}"


def moment_in_words(moment: datetime, now: datetime, zone: tzinfo) -> str:
    """Such as '21 November at 14:03', by the clock of `zone`; with the year if it is not that of `now`."""
    there = moment.astimezone(zone)
    return f"{day_in_words(there.date(), now.astimezone(zone).date())} at {there:%H:%M}"
