"""Near-duplicate images: the same photograph in another encoding, size or file.

A bit of the hash is the parity of a random projection of the low frequencies, in steps of a few grey levels (Raginsky
and Lazebnik, "Locality-sensitive binary codes from shift-invariant kernels", NIPS 2009), so the number of differing
bits depends only on the distance between two pictures. The signs that the usual hash takes (Zauner 2010) are alike
for all parts in a fixture.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn

from rd_core.pictures.preprocessing import resize

BITS = 256
"""length of a hash"""
MOST_BITS = 60
"""most differing bits of near-duplicates: about 1.2 grey levels (root mean square of low frequencies)"""
_SIDE = 64
_FREQUENCIES = 32
"""along each axis, of 64: finer ones do not survive encoding and resizing"""
_STEP = 4.0
"""grey levels; pictures this far apart differ in nearly half of the bits, as unrelated ones do"""
_LUMA = np.array([0.299, 0.587, 0.114])
"""ITU-R BT.601"""


def perceptual_hash(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Hash an image uint8 (H, W, 3) of any size to bool (256,). Raises ValueError for other arrays.

    Do not store hashes: NumPy may change its random numbers between versions.
    """
    grey = resize(image, _SIDE, _SIDE) @ _LUMA
    low = dctn(grey, norm="ortho")[:_FREQUENCIES, :_FREQUENCIES].ravel() / _SIDE
    mixtures, offsets = _mixtures()
    return np.asarray(np.floor(low @ mixtures / _STEP + offsets) % 2 == 1)


@cache
def _mixtures() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Projection weights (1024, 256) and offsets (256,)."""
    random = np.random.default_rng(0)
    return random.normal(size=(_FREQUENCIES**2, BITS)), random.uniform(size=BITS)


def near_duplicates(
    hashes: NDArray[np.bool_], known: NDArray[np.bool_], most_bits: int = MOST_BITS
) -> list[int | None]:
    """Find the near-duplicates among n images.

    hashes (n, 256), in order of precedence; known (m, 256), of images kept in any case. Returns for each: None to
    keep it, -1 if a known one differs in at most `most_bits` bits, otherwise the index of the nearest earlier kept
    image that does. Raises ValueError for hashes of another form.
    """
    packed, there = _packed(hashes), _packed(known)
    kept: list[int] = []
    duplicates: list[int | None] = []
    for index, bits in enumerate(packed):
        if (_distances(bits, there) <= most_bits).any():
            duplicates.append(-1)
            continue
        away = _distances(bits, packed[kept])
        nearest = int(away.argmin()) if kept else None
        if nearest is not None and away[nearest] <= most_bits:
            duplicates.append(kept[nearest])
            continue
        kept.append(index)
        duplicates.append(None)
    return duplicates


def _distances(bits: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Numbers (k,) of bits in which a hash (4,) differs from others (k, 4)."""
    return np.asarray(np.bitwise_count(bits ^ others).sum(axis=1, dtype=np.int64))


def _packed(hashes: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """bool (n, 256) -> uint64 (n, 4)."""
    given = np.asarray(hashes)
    if not given.size:
        return np.zeros((0, BITS // 64), dtype=np.uint64)
    if given.ndim != 2 or given.shape[1] != BITS or given.dtype != np.bool_:
        raise ValueError(
            f"hashes of shape {given.shape} and dtype {given.dtype} cannot be compared. Give bool (n, {BITS}), from "
            "perceptual_hash()."
        )
    return np.packbits(given, axis=1).view(np.uint64)
