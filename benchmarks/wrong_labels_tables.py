"""Tables of wrong labels among real normals."""

from collections.abc import Iterator

from benchmarks.pages import NAMES, NONE, Measured, caption, printed, table
from benchmarks.record import Record


def wrong_labels(measured: Measured) -> Iterator[str]:
    """The section of docs/benchmarks.md."""
    records = [one for one in measured.records if one.benchmark == "wrong_labels"]
    if not records:
        return
    by_cell = {(one.about["category"], one.about["method"], one.about["share"]): one for one in records}
    shares = sorted({share for *_, share in by_cell})
    rows = sorted(
        {(folder, method) for folder, method, _ in by_cell}, key=lambda row: (row[0], list(NAMES).index(row[1]))
    )
    yield "## Wrong labels among real normals"
    yield (
        "A share of a folder's normals is replaced by defects of test/; the reporting half judges, by the threshold\n"
        "for alpha 0.01. Image AUROC, share of defects found, false alarms; in brackets the defects set aside, of\n"
        "how many, and the normals set aside:"
    )
    head = ["folder, method", *(f"{printed(share, 'percent')} wrong" for share in shares)]
    yield table(
        head,
        [
            [f"{folder}, {NAMES[method]}", *(_cell(by_cell.get((folder, method, s))) for s in shares)]
            for folder, method in rows
        ],
    )
    yield caption(records[:1])


def _cell(record: Record | None) -> str:
    if record is None:
        return NONE
    found = {name: figure.median for name, figure in record.figures["test"].items()}
    aside = f"{found['defects set aside']:.0f} of {found['defects among them']:.0f}, {found['normals set aside']:.0f}"
    recall, alarms = printed(found["recall"], "percent"), f"{100 * found['false alarms']:.1f} %"
    return f"{found['image auroc']:.3f}, {recall}, {alarms} ({aside})"
