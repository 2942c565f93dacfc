"""Defect masks: resampled to the grid of the anomaly map, and split into regions."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

EIGHT_CONNECTED = np.ones((3, 3), dtype=np.bool_)


def mask_on_grid(mask: NDArray[np.bool_] | NDArray[np.integer], height: int, width: int) -> NDArray[np.bool_]:
    """Resample a mask (h, w) of any size, bool or integer with defects not 0, to bool (height, width).

    A map pixel is a defect when at least half of its area is, or when it is the one that a region covers most, so no
    defect vanishes. Areas are exact integers. Raises ValueError for other arrays.
    """
    given = np.asarray(mask)
    if given.ndim != 2 or not given.size or given.dtype.kind not in "bui":
        raise ValueError(
            f"a mask of shape {given.shape} and dtype {given.dtype} marks no pixels. Give bool or integer (h, w)."
        )
    defects: NDArray[np.bool_] = given != 0
    if given.shape == (height, width):
        return defects
    kept = np.zeros((height, width), dtype=np.bool_)
    box = _box(defects)
    if box is None:
        return kept
    cells = tuple(map(_cells, box, given.shape, kept.shape))  # of the grid, which the defects touch
    covered, near = np.zeros([of.stop - of.start for of in cells]), kept[cells]
    labels, _ = ndimage.label(defects[box], EIGHT_CONNECTED)
    for number, within in enumerate(ndimage.find_objects(labels), start=1):
        rows, columns = (slice(o.start + i.start, o.start + i.stop) for o, i in zip(box, within, strict=True))
        top, vertical = _overlaps(rows, given.shape[0], height)
        left, horizontal = _overlaps(columns, given.shape[1], width)
        top, left = top - cells[0].start, left - cells[1].start
        region = vertical @ (labels[within] == number) @ horizontal.T
        covered[top : top + region.shape[0], left : left + region.shape[1]] += region
        row, column = np.unravel_index(region.argmax(), region.shape)
        near[top + row, left + column] = True
    near |= 2 * covered >= given.size
    return kept


def region_of_pixels(mask: NDArray[np.bool_]) -> tuple[NDArray[np.intp], int]:
    """Label the 8-connected regions of a mask bool [H, W]: (region number from 0 of each of its k True pixels in
    reading order [k], number of regions)."""
    box = _box(mask)
    if box is None:
        return np.zeros(0, dtype=np.intp), 0
    labels, count = ndimage.label(mask[box], EIGHT_CONNECTED)
    return labels[mask[box]].astype(np.intp) - 1, count


def _box(mask: NDArray[np.bool_]) -> tuple[slice, slice] | None:
    """Bounding box of the True pixels, or None. Only the box is labelled: defects are small and labelling is slow."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return None
    columns = np.flatnonzero(mask[rows[0] : rows[-1] + 1].any(axis=0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _cells(span: slice, size: int, cells: int) -> slice:
    """The grid cells that a span of so many pixels touches."""
    return slice(span.start * cells // size, -(-span.stop * cells // size))


def _overlaps(span: slice, size: int, cells: int) -> tuple[int, NDArray[np.float64]]:
    """Overlap of a span's pixels with grid cells: (first cell, (cells covered, pixels of the span)).

    In units of 1 / (size * cells) a pixel is `cells` long and a cell `size`, so overlaps are whole numbers and exact
    in float64.
    """
    touched = _cells(span, size, cells)
    pixels = np.arange(span.start, span.stop) * cells
    borders = np.arange(touched.start, touched.stop)[:, None] * size
    ends = np.minimum(pixels + cells, borders + size)
    return touched.start, np.maximum(ends - np.maximum(pixels, borders), 0).astype(np.float64)
