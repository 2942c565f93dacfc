"""Labels in plain words."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from review.plain_words import in_plain_words
from storage.labels.labels import Label

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("label", "words"),
    [
        (Label("k", "normal", None, "Anna", datetime(2026, 11, 21, 13, 3, tzinfo=UTC)),
         "Anna labelled it normal on 21 November at 14:03, for training"),
        (Label("k", "anomalous", None, "Bo", datetime(2025, 12, 31, 23, 30, tzinfo=UTC), "dent", "evaluation"),
         "Bo labelled it anomalous (dent) on 1 January at 00:30, for evaluation"),
        (Label("k", "unsure", None, "Bo", datetime(2025, 7, 2, 3, 4, tzinfo=UTC)),
         "Bo was unsure on 2 July 2025 at 05:04"),
        (Label("k", "withdrawn", None, "Bo", datetime(2026, 7, 2, tzinfo=UTC)),
         "Bo took a label back on 2 July at 02:00"),
        (Label("k", "normal", None, None, datetime(2026, 7, 2, tzinfo=UTC)),
         "Somebody without a name (in labels/c/old.csv) labelled it normal on 2 July at 02:00, for training"),
    ],
)  # fmt: skip
def test_who_said_what_when_and_what_for(label: Label, words: str) -> None:
    file = None if label.labelled_by else "labels/c/old.csv"
    assert in_plain_words(label, file=file, now=NOW, zone=ZoneInfo("Europe/Vienna")) == words
