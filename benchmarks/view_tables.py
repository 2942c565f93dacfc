"""The table of image sizes and tiles."""

from collections.abc import Iterator, Sequence

from benchmarks.pages import NAMES, NONE, Measured, caption, spread, table
from benchmarks.record import Figure, Record

COLUMNS = {
    "image auroc": ".3f",
    "aupro": ".3f",
    "recall": "percent",
    "undecided": "percent",
    "training processor s": "2",
    "images/processor s": "2",
    "training peak mib": "2",
    "scoring peak mib": "2",
}
HEADS = (
    "folder", "view", "method", "image AUROC", "AUPRO", "defects found", "under review", "training, processor s",
    "images a processor s", "peak of training, MiB", "of scoring, MiB",
)  # fmt: skip


def views(measured: Measured) -> Iterator[str]:
    """The section of docs/benchmarks.md."""
    records = [record for record in measured.records if record.benchmark == "views"]
    if not records:
        return
    yield "## Image size and tiles"
    yield (
        "As under Quality, with other views of the same images (height x width, pixels) and thresholds by a split\n"
        "of the normals: what an image size finds and costs. The photographs of kolektorsdd have about 1,250 x 500\n"
        "pixels, those of the boards (pcb) 640 x 640, those of magnetic_tile many shapes."
    )
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for record in sorted(records, key=_size):
        key = record.about["category"], in_words(record.about["view"]), _method(record)
        groups.setdefault(key, []).append(record)
    rows = [[*key, *_cells(runs)] for key, runs in groups.items()]
    yield table(HEADS, rows)
    commits = ", ".join(sorted({record.commit for record in records}))
    dates = " to ".join(sorted({record.date for record in records}))
    yield f"`python -m benchmarks.views FOLDER`, {commits}, {dates}. One seed where no spread is given."


def _size(record: Record) -> tuple[str, int, int]:
    height, width = _sides(record.about["view"])
    return record.about["category"], height * width, len(record.about["view"])


def in_words(view: Sequence[str]) -> str:
    """Such as "640 x 256, tile 256, overlap 64", of lines as image_size=[640,256]."""
    values = _values(view)
    height, width = _sides(view)
    del values["image_size"]
    values.pop("calibration", None)  # the section says it
    return ", ".join([f"{height} x {width}", *(f"{name.replace('_', ' ')} {values[name]}" for name in values)])


def _sides(view: Sequence[str]) -> tuple[int, int]:
    sides = _values(view)["image_size"].strip("[]").split(",")
    return int(sides[0]), int(sides[-1])


def _values(view: Sequence[str]) -> dict[str, str]:
    return dict(line.replace(" ", "").split("=", 1) for line in view)


def _method(record: Record) -> str:
    return ", ".join([NAMES[record.about["method"]], *(f"`{line}`" for line in record.about["set"])])


def _cells(runs: Sequence[Record]) -> Iterator[str]:
    stopped = next((record.about["stopped"] for record in runs if "stopped" in record.about), None)
    for name, form in COLUMNS.items():
        values = [test[name].median for record in runs if name in (test := record.figures.get("test", {}))]
        yield spread(Figure.of(values), form) if values else f"stopped {stopped}" if stopped else NONE


def tiles_beside_anomalib(measured: Measured) -> Iterator[str]:
    """The section of docs/benchmarks.md."""
    record = measured.find("tiles_beside_anomalib")
    if not record:
        return
    about = record.about
    yield "### PatchCore in tiles beside anomalib's tiling"
    yield (
        f"On {about['category']} at {about['size'][0]} x {about['size'][1]}, tiles of {about['tile']}, overlap\n"
        f"{about['overlap']}, one backbone, {about['vectors']:,} patches in each memory; ours also calibrates."
    )
    names = [name for name in COLUMNS if name in record.figures["ours"]]
    heads = ["", *(head for name, head in zip(COLUMNS, HEADS[3:], strict=True) if name in names)]
    yield table(
        heads, [[row, *(spread(found[n], COLUMNS[n]) for n in names)] for row, found in record.figures.items()]
    )
    yield caption([record])
