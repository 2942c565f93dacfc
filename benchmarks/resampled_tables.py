"""Tables of thresholds on the stored scores of real parts."""

from collections.abc import Iterator, Mapping
from statistics import mean

from benchmarks.pages import NAMES, NONE, Measured, caption, printed, table
from benchmarks.record import Figure, Record

WAYS = {"split": "a quarter of them", "cross": "all of them"}
FIGURES = ("recall", "false alarms", "undecided")


def resampled(measured: Measured) -> Iterator[str]:
    """The section of docs/benchmarks.md."""
    record = measured.find("resampled_thresholds")
    if record is None:
        return
    numbers = list(dict.fromkeys(row.rpartition(" ")[2] for row in record.figures))
    methods = [name for name in NAMES if name in record.about["attainable"]]
    yield "## Thresholds on real parts"
    yield (
        f"Of the held-out scores of a model n are drawn, {record.about['resamples']} times, and set a threshold for\n"
        "alpha 0.01, which all images of test/ judge: share of defects found, false alarms, images under review.\n"
        "Means over the folders:"
    )
    head = ["method, threshold set by", *(f"n = {number}" for number in numbers)]
    rows = [(f"{NAMES[method]}, {words}", f"{method}, {way}") for method in methods for way, words in WAYS.items()]
    yield table(head, [[words, *(_cell(record, f"{row}, {n}") for n in numbers)] for words, row in rows])
    attainable = "; ".join(_by_folder(record.about["attainable"], "percent"))
    yield (
        "The share of defects found relative to the attainable one, at the lowest threshold with at most alpha of\n"
        "the good test images above; beyond 100 % more of them alarm. Only of folders where at least 30 % are\n"
        f"attainable: elsewhere one good image decides it. Attainable are: {attainable}."
    )
    yield table(head, [[words, *(_relative(record, f"{row}, {n}") for n in numbers)] for words, row in rows])
    chances = "; ".join(_by_folder(record.about["above held out"], ".2f"))
    yield (
        "The chance that a good image of test/ scores above a held-out one, 0.5 where they are alike. PaDiM and\n"
        f"PatchCore leave each part out exactly: {chances}."
    )
    yield caption([record])


def _by_folder(of_methods: Mapping[str, Mapping[str, float]], form: str) -> Iterator[str]:
    for method, values in of_methods.items():
        folders = ", ".join(f"{folder} {printed(value, form)}" for folder, value in sorted(values.items()))
        yield f"{NAMES[method]}: {folders}"


def _cell(record: Record, row: str) -> str:
    of_folders = record.about["by folder"].get(row)
    if not of_folders:
        return NONE
    recall, alarms, undecided = (mean(of[name] for of in of_folders.values()) for name in FIGURES)
    return ", ".join((printed(recall, "percent"), f"{100 * alarms:.1f} %", printed(undecided, "percent")))


def _relative(record: Record, row: str) -> str:
    figure: Figure | None = record.figures.get(row, {}).get("of attainable recall")
    if figure is None:
        return NONE
    least, most = printed(figure.least, "percent"), printed(figure.most, "percent")
    return f"{printed(figure.median, 'percent')} ({least} to {most})"
