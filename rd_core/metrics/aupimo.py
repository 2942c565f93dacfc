"""AUPIMO: recall of an image's defect pixels at very low false-positive rates.

Bertoldo et al., "AUPIMO: Redefining Visual Anomaly Detection Benchmarks with High Speed and Low Tolerance", 2024. An
image's score is the mean of its true-positive rate over the logarithm of the shared FPR (the mean FPR of the normal
images) between 1e-5 and 1e-4.

The curve has a point for every value that occurs, and is linear in the logarithm between. Below the lowest FPR above
0 only values that no normal pixel reaches count.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rd_core.errors import ConfigError
from rd_core.metrics.aupro import area_under_ramp, false_positive_rates
from rd_core.metrics.float16_bins import BINS, bins
from rd_core.metrics.pixel_tables import PixelTables
from rd_core.metrics.pixel_truth import DefectiveMap, pixel_truths


@dataclass(frozen=True, eq=False)
class Aupimo:
    """What a defect pixel adds to its image's score, by its value. It depends on the normal images alone."""

    area: NDArray[np.float64]
    """[65536], by bin, in [0, 1], rising; all NaN without normal images"""
    levels: int
    """distinct shared FPRs within the bounds; the authors call a score from fewer than 300 inaccurate"""

    @classmethod
    def of(cls, tables: PixelTables, lower: float = 1e-5, upper: float = 1e-4) -> "Aupimo":
        """Compute it from the tables of all normal images. Raises ConfigError unless 0 < lower < upper <= 1."""
        if not 0 < lower < upper <= 1:
            raise ConfigError(
                f"FPR bounds of {lower} and {upper} span no range of logarithms. Give 0 < lower < upper <= 1."
            )
        if not tables.normal_images:
            return cls(np.full(BINS, np.nan), 0)
        above, at_least = false_positive_rates(tables.normal)
        occurring = at_least[tables.normal > 0]
        levels = int(np.count_nonzero((occurring >= lower) & (occurring <= upper)))
        # What lies above every normal pixel is found from the lower bound on; no FPR below it matters.
        ends = np.log(np.where(at_least > 0, at_least, lower))
        starts = np.where(above > 0, np.log(np.where(above > 0, above, 1)), ends)
        up_to_lower, up_to_upper = (area_under_ramp(starts, ends, float(np.log(bound))) for bound in (lower, upper))
        return cls((up_to_upper - up_to_lower) / np.log(upper / lower), levels)

    def scores(
        self,
        maps: Iterable[NDArray[np.float16]],
        masks: Iterable[NDArray[np.bool_] | None],
        is_anomalous: Iterable[bool | np.bool_],
    ) -> NDArray[np.float64]:
        """The score in [0, 1] of each image [N]; arguments as in PixelTables.of().

        NaN for normal images, for images without mask or map, and without normal images in the tables.
        """
        return np.array(
            [
                self.of_defects(bins(truth.values[truth.defects])) if isinstance(truth, DefectiveMap) else np.nan
                for truth in pixel_truths(maps, masks, is_anomalous)
            ]
        )

    def of_defects(self, defects: NDArray[np.uint16]) -> float:
        """The score of one image from the bins (see float16_bins) of its defect pixels, at least one."""
        return float(self.area[defects].mean())
