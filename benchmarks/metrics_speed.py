"""Seconds for AUPRO and pixel AUROC of the same float16 maps: by tables, by sorting, and by anomalib if it is here.

    python -m benchmarks.metrics_speed [--images 100] [--size 256] [--rounds 5]

Half of the images are anomalous, with masks. Sorting is exact as well: scikit-learn's roc_auc_score over all pixels,
and the per-region overlap accumulated over all pixels in order of their values. Memory is what Python and numpy
allocate at most, maps included: these are made as they are needed, so it should not grow with their number.
"""

import argparse
import statistics
import time
import tracemalloc
from collections.abc import Callable, Iterator
from importlib import import_module

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from rd_core.metrics.aupro import aupro
from rd_core.metrics.masks import EIGHT_CONNECTED
from rd_core.metrics.part_bootstrap import part_bootstrap
from rd_core.metrics.pixel_metrics import pixel_auroc
from rd_core.metrics.pixel_tables import PixelTables
from rd_core.metrics.ranking import auroc

Image = tuple[NDArray[np.float16], NDArray[np.bool_] | None]
LIMIT = 0.3
MEMORY_AT = (50, 200, 800)


def main() -> None:
    """Print a line a way, the ratios and the memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    images = list(_images(arguments.images, arguments.size))
    print(f"{arguments.images} maps of {arguments.size}x{arguments.size}, half with masks, median of seconds")
    ways: dict[str, Callable[[list[Image]], tuple[float, float]]] = {"tables": _by_tables, "sorting": _by_sorting}
    seconds = {name: _report(name, way, images, arguments.rounds) for name, way in ways.items()}
    print(f"sorting / tables: {seconds['sorting'] / seconds['tables']:.1f}")
    _report_anomalib(images, arguments.rounds, seconds["tables"])
    for count in MEMORY_AT:
        print(f"peak memory of tables at {count:4} images: {_peak(count, arguments.size) / 2**20:6.1f} MiB")
    print(f"bootstrap of AUROC, 1000 resamples of 10,000 images of 2,000 parts: {_bootstrap():.2f} s")


def _report(name: str, way: Callable[[list[Image]], tuple[float, float]], images: list[Image], rounds: int) -> float:
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        area, overlap = way(images)
        taken.append(time.perf_counter() - began)
    median = statistics.median(taken)
    print(
        f"{name:9}{median:9.4f} s  (from {min(taken):.4f} to {max(taken):.4f})  "
        f"AUROC {area:.10f}  AUPRO {overlap:.10f}"
    )
    return median


def _images(count: int, size: int) -> Iterator[Image]:
    """Smooth noise like an anomaly map's, and in every other image two discs, raised."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:size, :size]
    for number in range(count):
        values = np.abs(ndimage.gaussian_filter(random.normal(size=(size, size)), 4)) * 4
        mask = None
        if number % 2:
            mask = np.zeros((size, size), dtype=np.bool_)
            for radius in (size // 10, size // 40):
                row, column = random.integers(size, size=2)
                mask |= (rows - row) ** 2 + (columns - column) ** 2 <= radius**2
            values += 0.5 * ndimage.gaussian_filter(mask.astype(np.float64), 4)
        yield values.astype(np.float16), mask


def _tables(images: Iterator[Image]) -> PixelTables:
    """Ten at a time, as a worker would, merged as they come."""
    tables = PixelTables.empty()
    while batch := [image for _, image in zip(range(10), images, strict=False)]:
        maps, masks = zip(*batch, strict=True)
        tables += PixelTables.of(maps, masks, [mask is not None for mask in masks])
    return tables


def _by_tables(images: list[Image]) -> tuple[float, float]:
    tables = _tables(iter(images))
    return pixel_auroc(tables), aupro(tables, LIMIT)


def _by_sorting(images: list[Image]) -> tuple[float, float]:
    values = np.concatenate([m.ravel() for m, _ in images]).astype(np.float32)
    shares = np.zeros(len(values))
    regions = begin = 0
    for values_of_map, mask in images:
        if mask is not None:
            labels, count = ndimage.label(mask, EIGHT_CONNECTED)
            sizes = np.bincount(labels.ravel())
            shares[begin : begin + mask.size] = np.where(mask, 1 / sizes[labels], 0).ravel()
            regions += count
        begin += values_of_map.size
    defects = shares > 0
    order = np.argsort(values)[::-1]
    last_of_value = np.append(np.diff(values[order]) != 0, True)
    rates = np.append(0, np.cumsum(~defects[order])[last_of_value] / np.count_nonzero(~defects))
    overlaps = np.append(0, np.cumsum(shares[order])[last_of_value] / regions)
    end = np.searchsorted(rates, LIMIT, side="right")
    x = np.append(rates[:end], LIMIT)
    y = np.append(overlaps[:end], np.interp(LIMIT, rates, overlaps))
    return float(roc_auc_score(defects, values)), float(np.trapezoid(y, x) / LIMIT)


def _report_anomalib(images: list[Image], rounds: int, ours: float) -> None:
    try:
        # Not a dependency, and slow to import: by name, here.
        torch, anomalib = import_module("torch"), import_module("anomalib.metrics.aupro")
    except ImportError as e:
        print(f"anomalib: not measured, it cannot be imported here ({e})")
        return
    maps = torch.from_numpy(np.stack([m.astype(np.float32) for m, _ in images]))
    masks = torch.from_numpy(np.stack([np.zeros(m.shape, bool) if d is None else d for m, d in images]))

    def way(_: list[Image]) -> tuple[float, float]:
        # The class beneath AUPRO, which takes tensors instead of batches of anomalib's own.
        metric = anomalib._AUPRO(fpr_limit=LIMIT)
        metric.update(maps, masks)
        return float("nan"), float(metric.compute())

    print(f"anomalib / tables: {_report('anomalib', way, images, rounds) / ours:.1f}  (AUPRO alone)")


def _peak(count: int, size: int) -> int:
    tracemalloc.start()
    aupro(_tables(_images(count, size)), LIMIT)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def _bootstrap() -> float:
    random = np.random.default_rng(0)
    labels = np.arange(10_000) % 10 == 0
    parts = [str(image // 5) for image in range(10_000)]
    began = time.perf_counter()
    part_bootstrap(auroc, random.normal(size=10_000) + labels, labels, parts)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
