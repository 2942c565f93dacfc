"""Tables of how often a comparison names the right method."""

from collections.abc import Iterator

from benchmarks.pages import Measured, caption, printed, table
from benchmarks.record import Record


def method_choice(measured: Measured) -> Iterator[str]:
    """The section of docs/benchmarks.md."""
    record = measured.find("method_choice")
    if record is None:
        return
    cells = [row.rpartition(", ")[::2] for row in record.figures]
    truths, parts = dict.fromkeys(truth for truth, _ in cells), dict.fromkeys(number for _, number in cells)
    yield "## Choosing a method"
    yield (
        f"Shares of {record.about['repeats']} simulated comparisons (up to 5 points off by chance), by the true\n"
        "image AUROCs of the methods and the number of parts of either label that choose. Winner: the truly best\n"
        "method is ahead of every other beyond chance; false winner: one that is not the only best. In brackets:\n"
        "the second method, the cheapest, is named."
    )
    head = ["true AUROCs", *(f"{number}: winner / false winner" for number in parts)]
    yield table(head, [[truth, *(_cell(record, f"{truth}, {number}") for number in parts)] for truth in truths])
    yield caption([record])


def _cell(record: Record, row: str) -> str:
    figures = record.figures[row]
    winner, false, cheapest = (
        printed(figures[name].median, "percent") for name in ("winner", "false winner", "cheapest named")
    )
    return f"{winner} / {false} ({cheapest})"
