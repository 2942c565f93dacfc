"""Tables of thresholds on the stored scores of real parts."""

from collections.abc import Iterator
from statistics import mean

from benchmarks.pages import DEFAULT, NAMES, NONE, Measured, caption, printed, table
from benchmarks.record import Record

BEFORE, NOW = "resampled_thresholds_before", "resampled_thresholds"
WAYS = (
    (BEFORE, "split", "before: a quarter of them, a free fit of the tail"),
    (NOW, "split", "a quarter of them"),
    (NOW, "cross", "all of them, held out by cross-fitting"),
)
FIGURES = ("of attainable recall", "recall", "false alarms", "undecided")


def resampled(measured: Measured) -> Iterator[str]:
    """The section of docs/benchmarks.md."""
    record = measured.find(NOW)
    if record is None:
        return
    numbers = list(dict.fromkeys(row.rpartition(" ")[2] for row in record.figures))
    yield "## Thresholds on real parts"
    folders, resamples = len(record.about["folders"]), record.about["resamples"]
    yield (
        f"Of the held-out scores of {NAMES[DEFAULT]} on {folders} folders n are drawn, {resamples} times, and set a\n"
        "threshold for alpha 0.01, which all images of test/ judge. The share of defects found, relative to that at\n"
        "the lowest threshold with at most alpha of the good test images above (the goal is 90 %); in brackets the\n"
        "shares of defects found, of false alarms, and of images under review. Means over the folders:"
    )
    head = ["the threshold is set by", *(f"n = {number}" for number in numbers)]
    records = {name: measured.find(name) for name in (BEFORE, NOW)}
    rows = [
        [words, *(_cell(records[name], f"{way}, {number}") for number in numbers)]
        for name, way, words in WAYS
        if records[name]
    ]
    yield table(head, rows)
    yield caption(records.values())


def _cell(record: Record | None, row: str) -> str:
    figures = record.figures.get(row) if record else None
    if not figures or record is None:
        return NONE
    first, *others = (printed(mean(record.about["by folder"][row][name]), "percent") for name in FIGURES)
    return f"{first} ({', '.join(others)})"
