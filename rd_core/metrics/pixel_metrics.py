"""How well the values of the maps tell defect pixels from defect-free ones, over all pixels at once."""

from rd_core.metrics import ranking
from rd_core.metrics.pixel_tables import PixelTables
from rd_core.metrics.ranking import OracleF1


def pixel_auroc(tables: PixelTables) -> float:
    """In [0, 1], ties count half. NaN without a defect pixel or without a defect-free one.

    Large defects rule it, and with few defect pixels it is near 1 for poor maps too: read AUPRO beside it.
    """
    return float(ranking.auroc(tables.ranking()))


def pixel_average_precision(tables: PixelTables) -> float:
    """In [0, 1]; the share of defect pixels is what chance would reach. NaN as pixel_auroc."""
    return float(ranking.average_precision(tables.ranking()))


def pixel_f1_max(tables: PixelTables) -> OracleF1:
    """The best F1 of any pixel threshold, chosen with the masks at hand: an oracle. NaN as pixel_auroc."""
    return ranking.oracle_f1(tables.ranking())
