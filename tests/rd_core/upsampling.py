"""Distances brought to the size of an image by torch's and SciPy's own functions."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from torch.nn import functional as F

Maps = NDArray[np.floating]
"""(B, rows, columns)"""


def stretched(distances: Maps, height: int, width: int) -> Maps:
    """As the authors' code upsamples: the outer ones lie on the image's edges."""
    planes = torch.from_numpy(distances).double()[:, None]
    wide: Maps = F.interpolate(planes, (height, width), mode="bilinear", align_corners=True)[:, 0].numpy()
    return wide


def in_the_middles(distances: Maps, height: int, width: int) -> Maps:
    """Each lies in the middle of its pixels, for sides that are multiples of the stride."""
    strides = np.array([height, width]) / distances.shape[1:]
    places = ((np.mgrid[:height, :width].T + 0.5) / strides - 0.5).T
    return np.stack([map_coordinates(one.astype(np.float64), places, order=1, mode="mirror") for one in distances])
