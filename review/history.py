"""What people said of an image, in plain words."""

from datetime import datetime, tzinfo

from reports.plain_text import shown
from review.plain_days import moment_in_words
from storage.labels.labels import Label

_SAID = {"normal": "said normal", "anomalous": "said defect", "unsure": "was unsure", "withdrawn": "took a word back"}


def in_plain_words(label: Label, *, file: str | None, now: datetime, zone: tzinfo) -> str:
    """Such as 'Anna said normal on 21 November at 14:03, for training'.

    file: the key of the file that says so, which is named where no person is; `zone`: by whose clock.
    """
    if label.labelled_by:
        who = shown(label.labelled_by)
    else:
        who = f"Somebody without a name (in {shown(file)})" if file else "Somebody without a name"
    kind = f" ({shown(label.kind)})" if label.kind else ""
    purpose = f", for {label.purpose}" if label.label in ("normal", "anomalous") else ""
    return f"{who} {_SAID[label.label]}{kind} on {moment_in_words(label.labelled_at, now, zone)}{purpose}"
