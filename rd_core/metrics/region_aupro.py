"""What each region adds to the AUPRO, so that two models can be compared region by region."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from rd_core.metrics.aupro import area_under_ramp, check_limit, false_positive_rates
from rd_core.metrics.float16_bins import bins
from rd_core.metrics.masks import region_of_pixels
from rd_core.metrics.pixel_tables import PixelTables
from rd_core.metrics.pixel_truth import DefectiveMap, pixel_truths


def region_auproes(
    tables: PixelTables,
    maps: Iterable[NDArray[np.float16]],
    masks: Iterable[NDArray[np.bool_] | None],
    is_anomalous: Iterable[bool | np.bool_],
    limit: float = 0.3,
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """(value in [0, 1] of each of r regions [r], the image from 0 that it is on [r]), image by image.

    tables: of all images that count, these among them; they give the false-positive rates, which belong to a model as
    a whole. maps, masks and labels as of PixelTables.of(), one image held at a time. The values' mean is
    aupro(tables, limit) when all masked images are given. NaN without a defect-free pixel. Raises ConfigError as
    aupro() does, ValueError for inputs that contradict each other.
    """
    check_limit(limit)
    area = area_under_ramp(*false_positive_rates(tables.defect_free()), limit) / limit
    values, images = [np.zeros(0)], [np.zeros(0, dtype=np.intp)]
    for image, truth in enumerate(pixel_truths(maps, masks, is_anomalous)):
        if isinstance(truth, DefectiveMap):
            regions, count = region_of_pixels(truth.defects)
            found = np.bincount(regions, area[bins(truth.values[truth.defects])], minlength=count)
            values.append(found / np.bincount(regions, minlength=count))
            images.append(np.full(count, image, dtype=np.intp))
    return np.concatenate(values), np.concatenate(images)
