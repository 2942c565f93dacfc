"""Tables of what defects among the images do to a threshold."""

from collections.abc import Iterator

from benchmarks.pages import Measured, caption, printed, table
from benchmarks.record import Figure

Figures = dict[str, Figure]


def contamination(measured: Measured) -> Iterator[str]:
    """The section of docs/benchmarks.md."""
    record = measured.find("contamination")
    if not record:
        return
    yield "## Defects among the images"
    yield (
        "Simulated scores of six laws, alpha 0.01: the median over the laws, least and most in brackets. Normal\n"
        "images that are [set aside](decisions/0037-wrong-labels-and-unlabelled-scores.md) where no defect is:"
    )
    names = ("normals set aside", "lost more than one")
    rows = [
        [row.removeprefix("clean, "), *(_percent(figures[name]) for name in names)]
        for row, figures in record.figures.items()
        if row.startswith("clean")
    ]
    yield table(["normals", "set aside", "trainings that lose more than one"], rows)
    yield (
        "Real false-alarm rate, and recall of clear defects, where some of the images called normal are defects; in\n"
        "brackets if none is set aside:"
    )
    yield table(*_careful(record.figures, "labelled, ", "normals"))
    yield "The same of thresholds from unlabelled scores; in brackets if all count as normal:"
    yield table(*_careful(record.figures, "unlabelled, ", "scores"))
    yield caption([record])


def _careful(every: dict[str, Figures], way: str, noun: str) -> tuple[list[str], list[list[str]]]:
    """Head and rows: defects by number of images."""
    cells = {
        tuple(row.removeprefix(way).split(", ")): figures for row, figures in every.items() if row.startswith(way)
    }
    numbers, defects = (list(dict.fromkeys(cell[place] for cell in cells)) for place in (0, 1))
    head = ["defects", *(f"{int(number):,} {noun}" for number in numbers)]
    return head, [
        [words.replace("%", " %"), *(_both(cells[number, words]) for number in numbers)] for words in defects
    ]


def _both(figures: Figures) -> str:
    rate, recall, naive_rate, naive_recall = (
        figures[name].median for name in ("rate", "recall", "naive rate", "naive recall")
    )
    return f"{_share(rate)}, {printed(recall, 'percent')} ({_share(naive_rate)}, {printed(naive_recall, 'percent')})"


def _percent(figure: Figure) -> str:
    return f"{_share(figure.median)} ({_share(figure.least)} to {_share(figure.most)})"


def _share(share: float) -> str:
    return f"{share:.2%}".replace("%", " %")
