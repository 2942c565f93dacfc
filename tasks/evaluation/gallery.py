"""Which images an evaluation shows: misses, false alarms and what was decided narrowly."""

from collections.abc import Sequence
from typing import Any


def pick(rows: Sequence[dict[str, Any]], most: int) -> tuple[list[dict[str, Any]], ...]:
    """(worst misses, worst false alarms, borderline) of judged rows, at most `most` of each."""

    def margin(row: dict[str, Any]) -> float:
        return float(row["score"]) - float(row["threshold"])

    misses = [row for row in rows if row["label"] == "anomalous" and margin(row) <= 0]
    alarms = [row for row in rows if row["label"] == "normal" and margin(row) > 0]
    right = [row for row in rows if (row["label"] == "anomalous") == (margin(row) > 0)]
    return (
        sorted(misses, key=margin)[:most],
        sorted(alarms, key=margin, reverse=True)[:most],
        sorted(right, key=lambda row: abs(margin(row)))[:most],
    )
