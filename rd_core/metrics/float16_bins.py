"""One bin for each float16 value, in the order of the values.

Flipping all bits of negatives and only the sign of positives gives integers in the order of the values, from -inf
(bin 1023) over 0 (bin 32768) to inf (bin 64512). -0 shares the bin of +0. Bins beyond the infinities are NaN and stay
empty.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

BINS = 65536
_SIGN = 0x8000
_POSITIVE_ZERO_BIN = _SIGN
_NEGATIVE_ZERO_BIN = _SIGN - 1
_INFINITY_BITS = 0x7C00
_PIECE = 2**20
"""values"""


def _order() -> NDArray[np.uint16]:
    bits = np.arange(BINS, dtype=np.uint16)
    bins = np.where(bits & _SIGN, ~bits, bits | _SIGN).astype(np.uint16)
    bins[_SIGN] = _POSITIVE_ZERO_BIN
    return bins


_BIN_OF_BITS = _order()
_BITS_OF_BIN = np.where(np.arange(BINS) & _SIGN, np.arange(BINS) ^ _SIGN, ~np.arange(BINS) & 0xFFFF).astype(np.uint16)

VALUES: NDArray[np.float64] = _BITS_OF_BIN.view(np.float16).astype(np.float64)
"""the value of each bin, float64 [65536], rising; NaN for bins without a value"""
for _table in (_BIN_OF_BITS, _BITS_OF_BIN, VALUES):
    _table.setflags(write=False)


def bits(values: NDArray[np.float16]) -> NDArray[np.uint16]:
    """Bits, uint16 [n], flat, of float16 values of any shape."""
    return np.ascontiguousarray(values).view(np.uint16).ravel()


def pieces(flat: NDArray[np.uint16]) -> Iterator[NDArray[np.uint16]]:
    """Parts of a flat array, in order, so that what is computed of them stays small."""
    return (flat[start : start + _PIECE] for start in range(0, len(flat), _PIECE))


def bins(values: NDArray[np.float16]) -> NDArray[np.uint16]:
    """Bins, uint16 [n], flat, of float16 values of any shape. A NaN's bin lies beyond the infinities."""
    return _BIN_OF_BITS[bits(values)]


def in_order(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Reorder counts by bits [65536] to counts by bin [65536].

    Counting by bits and reordering once is cheaper than finding the bin of every pixel.
    """
    ordered = counts[_BITS_OF_BIN]
    ordered[_POSITIVE_ZERO_BIN] += ordered[_NEGATIVE_ZERO_BIN]
    ordered[_NEGATIVE_ZERO_BIN] = 0
    return ordered


def nan_count(values: NDArray[np.float16]) -> int:
    """Number of NaNs, counted on integers: NumPy's isnan is slow for float16."""
    magnitudes = (piece & (_SIGN - 1) for piece in pieces(bits(values)))
    return sum(int(np.count_nonzero(some > _INFINITY_BITS)) for some in magnitudes)
