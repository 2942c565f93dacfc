"""Each region's contribution to the AUPRO, to compare two models region by region."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from rd_core.metrics.aupro import area_under_ramp, check_limit, false_positive_rates
from rd_core.metrics.float16_bins import bins
from rd_core.metrics.pixel_tables import PixelTables
from rd_core.metrics.pixel_truth import DefectiveMap, pixel_truths
from rd_core.pictures.masks import region_of_pixels


def region_auproes(
    tables: PixelTables,
    maps: Iterable[NDArray[np.float16]],
    masks: Iterable[NDArray[np.bool_] | None],
    is_anomalous: Iterable[bool | np.bool_],
    limit: float = 0.3,
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Compute (value in [0, 1] of each of r regions [r], number from 0 of its image [r]).

    tables: of all images that count, for the model's false-positive rates. maps, masks and labels as in
    PixelTables.of(), one image in memory at a time. The mean over all regions is aupro(tables, limit). NaN without a
    defect-free pixel. Raises ConfigError as aupro() does, ValueError for inputs that contradict each other.
    """
    check_limit(limit)
    area = area_under_ramp(*false_positive_rates(tables.defect_free()), limit) / limit
    values, images = [np.zeros(0)], [np.zeros(0, dtype=np.intp)]
    for image, truth in enumerate(pixel_truths(maps, masks, is_anomalous)):
        if isinstance(truth, DefectiveMap):
            regions, count = region_of_pixels(truth.defects)
            areas = np.bincount(regions, area[bins(truth.values[truth.defects])], minlength=count)
            values.append(areas / np.bincount(regions, minlength=count))
            images.append(np.full(count, image, dtype=np.intp))
    return np.concatenate(values), np.concatenate(images)
