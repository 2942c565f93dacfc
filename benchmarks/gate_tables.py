"""Tables of how often the gate promotes a candidate."""

from collections.abc import Iterator

from benchmarks.gate import BEYOND, CALIBRATED, IMAGES, row_name
from benchmarks.pages import Measured, caption, printed, table
from benchmarks.record import Figure, Record


def promotions(measured: Measured) -> Iterator[str]:
    """The section of docs/benchmarks.md."""
    record = measured.find("gate")
    if record is None:
        return
    about = record.about
    yield "## The gate"
    yield (
        "How often a candidate is promoted that ranks and finds defects better than the champion, by its real\n"
        f"false-alarm rate (alpha is {about['alpha']:g}) and the number of normals that judge it: first without the "
        "check that\nthe promise is shown, then with it. In "
        f"{about['repeats']} simulated retrainings a cell (up to 10 points off by chance), with\n{about['defects']} "
        "defects:"
    )
    yield _cells(record, "gate before", "gate now")
    yield "Its false alarms alone, exactly:"
    yield _cells(record, "checks before", "checks now")
    yield (
        f"And of as many parts with {IMAGES} images each that resemble each other, {about['draws']:,} draws a cell:"
    )
    yield _cells(record, "checks before, parts", "checks now, parts")
    yield (
        f"Pooled with the false alarms of nested thresholds on the {CALIBRATED} normals that set the threshold, a "
        f"candidate of\n{BEYOND:g} times the promised rate keeps its promise for the check in:"
    )
    sizes = [f"{normals} normals" for normals in about["normals"]]
    pooled = [record.figures[f"pooled, {size}"] for size in sizes]
    rows = [[words, *(_percent(of[name]) for of in pooled)] for name, words in _POOLED.items()]
    yield table(["counted", *sizes], rows)
    yield caption([record])


_POOLED = {"alone": "normals that neither model has seen", "pooled": "pooled with nested ones"}


def _cells(record: Record, before: str, now: str) -> str:
    normals = record.about["normals"]
    rows = []
    for rate in record.about["rates"]:
        some = [record.figures[row_name(rate, count)] for count in normals]
        rows.append([f"{rate:g} times alpha", *(f"{_percent(of[before])}, {_percent(of[now])}" for of in some)])
    return table(["real rate", *(f"{count} normals" for count in normals)], rows)


def _percent(figure: Figure) -> str:
    return printed(figure.median, "percent")
