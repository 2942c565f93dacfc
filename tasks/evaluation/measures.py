"""From rd_core's metrics to a report's figures, and why one is missing."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rd_core.metrics import pixel_metrics
from rd_core.metrics.aupimo import Aupimo
from rd_core.metrics.aupro import aupro
from rd_core.metrics.intervals import Interval, clopper_pearson
from rd_core.metrics.pixel_tables import PixelTables
from rd_core.metrics.region_recall import RegionRecall
from reports.evaluation.measures import Measure

AUPIMO_LEVELS = 300
"""fewest false-positive rates within AUPIMO's bounds for an accurate value, according to its authors"""


def measure_of(name: str, interval: Interval, n: int, cases: str = "images", why: str | None = None) -> Measure:
    """NaN becomes None: a missing value with `why`, or a missing end of the interval."""
    value, low, high = (
        None if math.isnan(number) else float(number) for number in (interval.value, interval.low, interval.high)
    )
    if value is None:
        return Measure(name, None, n=n, cases=cases, why=why)
    return Measure(name, value, low, high, n, cases)


def pixel_measures(
    tables: PixelTables, recalls: Sequence[RegionRecall], aupimo: NDArray[np.float64], anomalous: int
) -> list[Measure]:
    """From the tables: recalls by partition, AUPIMO of each masked image [k], and the number of anomalous images."""
    why = _why_missing(anomalous, tables)
    values = {
        "pixel_auroc": pixel_metrics.pixel_auroc(tables),
        "pixel_average_precision": pixel_metrics.pixel_average_precision(tables),
        "aupro_30": aupro(tables, 0.3),
        "aupro_05": aupro(tables, 0.05),
    }
    measures = [
        Measure(name, None if np.isnan(value) else value, n=tables.regions, cases="defects", why=why)
        for name, value in values.items()
    ]
    return [*measures, *_aupimo(tables, aupimo, why), _defect_recall(recalls, why)]


def _why_missing(anomalous: int, tables: PixelTables) -> str | None:
    if not anomalous:
        return "no judged image is labelled anomalous"
    if not tables.anomalous_images:
        return "no anomalous image has a mask that can be counted"
    return None if tables.defect_free().any() else "the masks leave no pixel free of defects"


def _aupimo(tables: PixelTables, scores: NDArray[np.float64], why: str | None) -> list[Measure]:
    names = ("aupimo", "aupimo_median")
    levels = Aupimo.of(tables).levels
    defined = scores[~np.isnan(scores)]
    why = why or _why_no_aupimo(tables, levels, len(defined))
    if why is not None:
        return [Measure(name, None, cases="masked images", why=why) for name in names]
    rough = f"rough: only {levels} false-positive rates lie within its bounds, {AUPIMO_LEVELS} are needed"
    return [
        Measure(
            name, float(value), n=len(defined), cases="masked images", why=rough if levels < AUPIMO_LEVELS else None
        )
        for name, value in zip(names, (defined.mean(), np.median(defined)), strict=True)
    ]


def _why_no_aupimo(tables: PixelTables, levels: int, scores: int) -> str | None:
    if not tables.normal_images:
        return "no normal image has a map, and the false-positive rates need normal images"
    if not levels:
        return "too few pixels of normal images for false-positive rates from 1e-5 to 1e-4: label more normal images"
    return None if scores else "it could not be measured: see what failed"


def _defect_recall(recalls: Sequence[RegionRecall], why: str | None) -> Measure:
    if why is None and not recalls:
        why = "the model card is gone, which tells from which value on a pixel of a map is anomalous"
    hits, total = (
        sum(sum(counts) for counts in many) for many in ([r.found for r in recalls], [r.total for r in recalls])
    )
    return measure_of("defect_recall", clopper_pearson(hits, total), total, "defects", why)
