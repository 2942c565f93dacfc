"""What tables of records share: looking figures up, rounding them to what their spread supports, Markdown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from benchmarks.record import Figure, Record
from rd_core.detectors.registry import METHODS

DEFAULT = "reverse_distillation"
NAMES = {name: method.settings.title for name, method in METHODS.items()}
COSTS = {"training processor s": "2", "images/processor s": "2", "training peak mib": "2", "weights mib": "2"}
"""of a method on a folder, and their forms"""
NONE = "–"
"""in a cell whose figure there cannot be: pixels where no masks are"""


@dataclass(frozen=True)
class Measured:
    """All records. ValueError: their costs are of more than one machine."""

    records: Sequence[Record]

    def __post_init__(self) -> None:
        machines = {
            tuple(record.machine[name] for name in ("cpu", "cores", "memory_gib"))
            for record in self.records
            if not is_further_seed(record)
        }
        if len(machines) > 1:
            raise ValueError(
                f"The records are of {len(machines)} machines, {sorted(machines)}: readers compare the figures of a "
                "page, so measure all of them on one"
            )

    def find(self, benchmark: str, engine: str | None = None) -> Record | None:
        """The record of a benchmark, by an engine where it measures one."""
        some = (one for one in self.records if one.benchmark == benchmark and one.about.get("engine") == engine)
        return next(some, None)

    @cached_property
    def of_methods(self) -> list[Record]:
        """One a folder, method and seed."""
        return [one for one in self.records if one.benchmark == "methods"]

    @cached_property
    def folders(self) -> list[str]:
        """Those that methods were measured on."""
        return sorted({one.about["category"] for one in self.of_methods})

    @cached_property
    def methods(self) -> list[str]:
        """Those that were measured, the default first."""
        return [name for name in NAMES if self.runs(name)]

    def runs(self, method: str, folder: str | None = None) -> list[Record]:
        """One a seed, and a folder unless it is given."""
        of_method = [one for one in self.of_methods if one.about["method"] == method]
        return [one for one in of_method if folder in (None, one.about["category"])]

    def figure(self, folder: str, method: str, name: str) -> Figure | None:
        """Over the seeds; a cost is that of seed 0."""
        runs = [run for run in self.runs(method, folder) if not (name in COSTS and is_further_seed(run))]
        tests = [record.figures.get("test", {}) for record in runs]
        values = [test[name].median for test in tests if name in test]
        return Figure.of(values) if values else None

    def pooled(self, method: str, share: str, count: str) -> tuple[int, int]:
        """(images that the shares of the counts are, sum of the counts) over all folders."""
        pairs = [(self.figure(folder, method, share), self.figure(folder, method, count)) for folder in self.folders]
        both = [(part.median * whole.median, whole.median) for part, whole in pairs if part and whole]
        return round(sum(part for part, _ in both)), round(sum(whole for _, whole in both))


def is_further_seed(record: Record) -> bool:
    """Whether it adds to the quality of a method only: not all methods have it, so that its costs, under another load
    or of another machine, would be compared with costs that they do not resemble."""
    return record.benchmark == "methods" and record.about["seed"] != 0


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown."""
    first, *others = (f"| {' | '.join(cells)} |" for cells in (head, *rows))
    return "\n".join([first, "|" + "---|" * len(head), *others])


def caption(records: Iterable[Record | None]) -> str:
    """Commands by commit and date, on a line."""
    commands: dict[str, list[str]] = {}
    for record in filter(None, records):
        commands.setdefault(f"{record.commit}, {record.date}", []).append(f"`{record.command}`")
    return "; ".join(f"{', '.join(some)}, {code}" for code, some in commands.items()) + "."


def spread(figure: Figure, form: str) -> str:
    """The median, and least and most where they differ as printed."""
    middle, least, most = (printed(value, form) for value in (figure.median, figure.least, figure.most))
    return middle if least == most else f"{middle} ({least} to {most})"


def printed(value: float, form: str) -> str:
    """`form`: a format specification; "percent"; or the number of significant digits, as 2."""
    if form == "percent":
        return f"{value:.0%}".replace("%", " %")
    if form.isdigit():
        rounded = float(f"{value:.{form}g}")
        return (
            f"{rounded:,.0f}"
            if abs(rounded) >= 10 ** (int(form) - 1)
            else f"{rounded:.{_decimals(rounded, int(form))}f}"
        )
    return format(value, form)


def _decimals(value: float, digits: int) -> int:
    """That `digits` significant ones need: 0.082 and 1.8 of two."""
    exponent = int(f"{value:e}".partition("e")[2])
    return max(digits - 1 - exponent, 0) if value else 0
