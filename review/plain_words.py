"""Labels, days and moments in plain words."""

from datetime import date, datetime, tzinfo

from reports.plain_text import shown
from storage.labels.labels import Label

_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_VERBS = {
    "normal": "labelled it normal",
    "anomalous": "labelled it anomalous",
    "unsure": "was unsure",
    "withdrawn": "took a label back",
}


def in_plain_words(label: Label, *, file: str | None, now: datetime, zone: tzinfo) -> str:
    """Such as 'Anna labelled it normal on 21 November at 14:03, for training'.

    file: the key of the label's file, named if no person is; `zone`: time zone of the text.
    """
    if label.labelled_by:
        who = shown(label.labelled_by)
    else:
        who = f"Somebody without a name (in {shown(file)})" if file else "Somebody without a name"
    kind = f" ({shown(label.kind)})" if label.kind else ""
    purpose = f", for {label.purpose}" if label.label in ("normal", "anomalous") else ""
    return f"{who} {_VERBS[label.label]}{kind} on {moment_in_words(label.labelled_at, now, zone)}{purpose}"


def day_in_words(day: date, today: date | None = None) -> str:
    """Such as '14 January 2026'; without the year of `today`."""
    year = "" if today is not None and today.year == day.year else f" {day.year}"
    return f"{day.day} {_MONTHS[day.month - 1]}{year}"


def moment_in_words(moment: datetime, now: datetime, zone: tzinfo) -> str:
    """Such as '21 November at 14:03', in `zone`; with the year if it is not that of `now`."""
    there = moment.astimezone(zone)
    return f"{day_in_words(there.date(), now.astimezone(zone).date())} at {there:%H:%M}"
