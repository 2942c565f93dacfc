"""From an interval of rd_core to a figure of a report."""

import math

from rd_core.metrics.intervals import Interval
from reports.evaluation.measures import Measure


def measure_of(name: str, found: Interval, n: int, cases: str = "images", why: str | None = None) -> Measure:
    """NaN becomes None: as the value with `why` it is missing, as an end of the interval without."""
    value, low, high = (
        None if math.isnan(number) else float(number) for number in (found.value, found.low, found.high)
    )
    if value is None:
        return Measure(name, None, n=n, cases=cases, why=why)
    return Measure(name, value, low, high, n, cases)
