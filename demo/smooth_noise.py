"""Random fields of a chosen grain, from which every surface is made."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft


def smooth_noise(rng: np.random.Generator, size: int, down: float, across: float) -> NDArray[np.float32]:
    """Gaussian noise smoothed by Gaussians of `down` and `across` pixels: float32 (size, size), mean 0, variance 1.

    Filtered in the frequency domain, so that wide grains cost no more than fine ones; the field wraps around.
    """
    noise = rng.standard_normal((size, size), dtype=np.float32)
    field = fft.irfft2(fft.rfft2(noise) * _gaussian_transfer(size, down, across), s=(size, size))
    field -= field.mean()
    return field / (field.std() + 1e-9)


@lru_cache(maxsize=64)
def _gaussian_transfer(size: int, down: float, across: float) -> NDArray[np.float32]:
    rows, columns = fft.fftfreq(size)[:, None], fft.rfftfreq(size)[None, :]
    transfer = np.exp(-2 * np.pi**2 * ((down * rows) ** 2 + (across * columns) ** 2))
    return transfer.astype(np.float32)
