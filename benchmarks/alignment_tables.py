"""A table of what alignment gains and costs."""

from collections.abc import Iterator

from benchmarks.pages import NAMES, NONE, Measured, caption, printed, table
from benchmarks.record import Figure


def alignment(measured: Measured) -> Iterator[str]:
    """The section of docs/benchmarks.md."""
    records = [one for one in measured.records if one.benchmark == "alignment"]
    if not records:
        return
    yield "## Alignment"
    yield (
        "Parts as taken, and every image moved at random, those of the training too: by up to 8 pixels of 256 along\n"
        "each axis, and by up to 2 degrees. Thresholds for alpha 0.01. An image without a score does not look like\n"
        "the part, and counts as an alarm. Milliseconds of a processor for an image, decoding included:"
    )
    head = [
        *("part, method", "image AUROC", "AUPRO", "defects found", "false alarms"),
        *("without a score (good, defective)", "ms to read", "ms to score"),
    ]
    yield table(
        head,
        [_row(str(one.about["category"]), row, figures) for one in records for row, figures in one.figures.items()],
    )
    yield caption(records)


def _row(category: str, row: str, figures: dict[str, Figure]) -> list[str]:
    method, taken, kind = row.split(", ")
    name = f'{category}, {NAMES[method]}, {taken}, `align = "{kind}"`'
    if "refused" in figures:
        return [name, "refused: no common part", *[NONE] * 6]
    found = {of: figure.median for of, figure in figures.items()}
    return [
        name,
        f"{found['image auroc']:.3f}",
        f"{found['aupro']:.3f}" if "aupro" in found else NONE,
        printed(found["recall"], "percent"),
        printed(found["false alarms"], "percent"),
        f"{found['good without a score']:.0f}, {found['defective without a score']:.0f}",
        f"{found['ms to read']:.1f}",
        f"{found['ms to score']:.1f}",
    ]
