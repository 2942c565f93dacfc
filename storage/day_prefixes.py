"""Prefixes that cover many production days in few requests."""

from datetime import date, timedelta


def days_below(before: str, first: date, last: date) -> list[str]:
    """Prefixes that cover the days from `first` to `last`, both included, below `before`, in order.

    The day follows directly on `before`, such as 'seals/run_date='. A whole month is one prefix, so that listing a
    year takes few requests.
    """
    prefixes, day = [], first
    while day <= last:
        next_month = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
        if day.day == 1 and next_month - timedelta(days=1) <= last:
            prefixes.append(f"{before}{day:%Y-%m}-")
            day = next_month
        else:
            prefixes.append(f"{before}{day.isoformat()}/")
            day += timedelta(days=1)
    return prefixes
