"""What is said of one contender, from its scores of some judged images."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rd_core.comparison.judged_images import JudgedImage, labels_of
from rd_core.metrics.aupro import aupro
from rd_core.metrics.defect_kinds import flagged_by_kind
from rd_core.metrics.intervals import Interval, clopper_pearson
from rd_core.metrics.pixel_metrics import pixel_auroc, pixel_average_precision
from rd_core.metrics.pixel_tables import PixelTables
from rd_core.metrics.region_recall import AREA_EDGES

NO_KIND = "no kind given"


@dataclass(frozen=True)
class PixelFigures:
    """Of the anomaly maps of some images. All but counts are in [0, 1], None where undefined."""

    auroc: float | None
    average_precision: float | None
    aupro_30: float | None
    """up to a false-positive rate of 0.3"""
    aupro_05: float | None
    """up to one of 0.05"""
    masked: int
    """anomalous images with a mask"""
    regions: int
    """of their masks"""

    @classmethod
    def of(cls, tables: PixelTables) -> "PixelFigures":
        """From the pixels of the images; anomalous images without a mask count in nothing."""
        values = pixel_auroc(tables), pixel_average_precision(tables), aupro(tables, 0.3), aupro(tables, 0.05)
        auroc, precision, aupro_30, aupro_05 = (None if math.isnan(value) else value for value in values)
        return cls(auroc, precision, aupro_30, aupro_05, tables.anomalous_images, tables.regions)


@dataclass(frozen=True)
class Share:
    """The flagged images of a group."""

    name: str
    flagged: int
    total: int
    share: Interval
    """flagged / total and its Clopper-Pearson interval; NaN in [0, 1] without images"""


@dataclass(frozen=True)
class DecisionFigures:
    """The decisions of one threshold about some images."""

    recall: Share
    """anomalous images above the threshold"""
    false_alarms: Share
    """normal images above the threshold"""
    undecided: Share
    """images of either label that a person has to look at"""
    by_kind: tuple[Share, ...]
    """recall of each kind of defect, in the order of their names"""
    by_size: tuple[Share, ...]
    """recall by the share of the image that the mask covers, from small to large"""


def decision_figures(
    scores: NDArray[np.float64],
    images: Sequence[JudgedImage],
    threshold: float,
    review: tuple[float, float],
) -> DecisionFigures:
    """Count the decisions about images [n] with scores [n].

    review: (low, high), of scores above low and up to high the images are undecided. Raises ValueError for scores
    that are not finite.
    """
    anomalous = labels_of(images)
    flagged, undecided = scores > threshold, (scores > review[0]) & (scores <= review[1])

    def share(name: str, chosen: NDArray[np.bool_], among: NDArray[np.bool_]) -> Share:
        hits, total = int((chosen & among).sum()), int(among.sum())
        return Share(name, hits, total, clopper_pearson(hits, total))

    kinds = [image.kind or NO_KIND for image in images if image.anomalous]
    by_kind = flagged_by_kind(threshold, scores[anomalous], kinds)
    sizes = np.array([image.defect_share or np.nan for image in images])
    within = [(sizes > above) & (sizes <= up_to) for above, up_to in pairwise(AREA_EDGES)]
    return DecisionFigures(
        share("recall", flagged, anomalous),
        share("false alarms", flagged, ~anomalous),
        share("undecided", undecided, np.ones_like(anomalous)),
        tuple(Share(row.kind, row.flagged, row.total, row.share) for row in by_kind),
        tuple(share(f"{up_to:g}", flagged, chosen) for up_to, chosen in zip(AREA_EDGES[1:], within, strict=True)),
    )
