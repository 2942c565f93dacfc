"""Pixel metrics: how well map values separate defect pixels from defect-free ones."""

from rd_core.metrics import ranking
from rd_core.metrics.pixel_tables import PixelTables


def pixel_auroc(tables: PixelTables) -> float:
    """Pixel AUROC in [0, 1]; ties count half. NaN without a defect pixel or a defect-free one.

    Large defects dominate it: read AUPRO beside it.
    """
    return float(ranking.auroc(tables.ranking()))


def pixel_average_precision(tables: PixelTables) -> float:
    """Pixel average precision in [0, 1]. Chance reaches the share of defect pixels. NaN as pixel_auroc."""
    return float(ranking.average_precision(tables.ranking()))
