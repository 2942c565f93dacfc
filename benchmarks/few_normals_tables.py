"""Tables of thresholds from few normals."""

from collections.abc import Iterator

from benchmarks.pages import Measured, caption, printed, table
from benchmarks.record import Figure, Record


def few_normals(measured: Measured) -> Iterator[str]:
    """The section of docs/benchmarks.md."""
    record = measured.find("few_normals")
    if record is None:
        return
    alphas, laws, numbers = (record.about[name] for name in ("alphas", "laws", "numbers"))
    first = alphas[0]
    sizes = [f"{n} normals" for n in numbers]
    yield "## Thresholds from few normals"
    yield (
        f"Scores drawn from known laws, {record.about['trainings']} trainings a cell. The mean real false-alarm rate "
        "in multiples of\nalpha, the share of trainings above twice alpha, and the share whose 95 % interval holds "
        f"the true quantile, at alpha {first:g}:"
    )
    rows = [[law, *(_cell(record, first, law, n) for n in numbers)] for law in laws]
    yield table(["law", *sizes], rows)
    yield "The worst law at each alpha: the highest mean rate, the lowest coverage:"
    yield table(["alpha", *sizes], [[f"{alpha:g}", *(_worst(record, alpha, n) for n in numbers)] for alpha in alphas])
    yield (
        f"The threshold's height at alpha {first:g}, mean over the laws: 0 is the median of the scores, 1 the true "
        "quantile. Below,\none of the scores is a wrong label of height 2:"
    )
    names = {"height": "right labels", "height with a wrong label": "a wrong label"}
    rows = [[words, *(_mean(record, first, n, name) for n in numbers)] for name, words in names.items()]
    yield table(["", *sizes], rows)
    yield caption([record])


def _figures(record: Record, alpha: float, law: str, n: int) -> dict[str, Figure]:
    return record.figures[f"alpha {alpha:g}, {law}, {n}"]


def _values(record: Record, alpha: float, n: int, name: str) -> list[float]:
    """Of each law."""
    return [_figures(record, alpha, law, n)[name].median for law in record.about["laws"]]


def _cell(record: Record, alpha: float, law: str, n: int) -> str:
    of = _figures(record, alpha, law, n)
    above, coverage = (printed(of[name].median, "percent") for name in ("above twice alpha", "coverage"))
    return f"{of['mean rate'].median / alpha:.2f}, {above}, {coverage}"


def _worst(record: Record, alpha: float, n: int) -> str:
    rate, coverage = max(_values(record, alpha, n, "mean rate")), min(_values(record, alpha, n, "coverage"))
    return f"{rate / alpha:.2f}, {printed(coverage, 'percent')}"


def _mean(record: Record, alpha: float, n: int, name: str) -> str:
    values = _values(record, alpha, n, name)
    return f"{sum(values) / len(values):.2f}"
