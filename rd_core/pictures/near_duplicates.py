"""Images that show the same photograph again: another encoding, another size, a copy under another name.

The usual perceptual hash tells the signs of the low frequencies (Zauner, "Implementation and Benchmarking of
Perceptual Image Hash Functions", 2010). Parts that lie in a fixture all have the same signs, so it takes every part
for a copy of the first, and a part under another light too. Here a bit tells the parity of a random mixture of the
low frequencies, counted in steps of a few grey levels (Raginsky and Lazebnik, "Locality-sensitive binary codes from
shift-invariant kernels", NIPS 2009): how many bits differ then depends on nothing but how far two pictures are apart,
in grey levels, whatever they have in common.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn

from rd_core.pictures.preprocessing import resize

BITS = 256
"""of a hash"""
MOST_BITS = 60
"""in which two hashes of one photograph may differ: about 1.2 grey levels (root mean square, of low frequencies)"""
_SIDE = 64
_FREQUENCIES = 32
"""along each axis, of the 64 there are: finer ones are lost to encoding and resizing"""
_STEP = 4.0
"""grey levels; pictures this far apart differ in nearly half of the bits, as any two do"""
_LUMA = np.array([0.299, 0.587, 0.114])
"""ITU-R BT.601"""


def perceptual_hash(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """uint8 (H, W, 3) of any size -> bool (256,). Compare hashes of one release only, and do not keep them: NumPy may
    change how it draws the mixtures. Raises ValueError for other arrays."""
    grey = resize(image, _SIDE, _SIDE) @ _LUMA
    low = dctn(grey, norm="ortho")[:_FREQUENCIES, :_FREQUENCIES].ravel() / _SIDE
    mixtures, offsets = _mixtures()
    return np.asarray(np.floor(low @ mixtures / _STEP + offsets) % 2 == 1)


@cache
def _mixtures() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights (1024, 256) of each frequency in each mixture, and where the first step of each begins (256,)."""
    random = np.random.default_rng(0)
    return random.normal(size=(_FREQUENCIES**2, BITS)), random.uniform(size=BITS)


def near_duplicates(
    hashes: NDArray[np.bool_], known: NDArray[np.bool_], most_bits: int = MOST_BITS
) -> list[int | None]:
    """Which of n images show what another one shows already.

    hashes (n, 256), in order of precedence; known (m, 256), of images that are there anyway. For each of the n: None
    to keep it, -1 when a known one differs from it in at most `most_bits` bits, else the index of the nearest earlier
    one that is kept and does. So each that is left out resembles one that stays. Raises ValueError for hashes of
    another form.
    """
    packed, there = _packed(hashes), _packed(known)
    kept: list[int] = []
    found: list[int | None] = []
    for index, one in enumerate(packed):
        if (_distances(one, there) <= most_bits).any():
            found.append(-1)
            continue
        away = _distances(one, packed[kept])
        nearest = int(away.argmin()) if kept else None
        if nearest is not None and away[nearest] <= most_bits:
            found.append(kept[nearest])
            continue
        kept.append(index)
        found.append(None)
    return found


def _distances(one: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Bits in which one (4,) differs from others (k, 4), (k,)."""
    return np.asarray(np.bitwise_count(one ^ others).sum(axis=1, dtype=np.int64))


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
