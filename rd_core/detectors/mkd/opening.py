"""Morphological opening of maps: peaks smaller than a disc vanish."""

import torch
from torch import Tensor
from torch.nn import functional as F


def opened(maps: Tensor, radius: int, counted: Tensor | None = None) -> Tensor:
    """Grey-scale opening of maps (B, H, W) by a disc: an erosion, then a dilation.

    It equals opening the binary map of every threshold, as the authors do. Pixels beyond the edge, and those that do
    not count (bool (B, H, W), False), take no part; the result there is 0.
    """
    if not radius:
        return maps
    if counted is None:
        return _dilated(-_dilated(-maps, radius), radius)
    eroded = -_dilated((-maps).masked_fill(~counted, -torch.inf), radius)
    return _dilated(eroded.masked_fill(~counted, -torch.inf), radius).masked_fill(~counted, 0)


def _dilated(maps: Tensor, radius: int) -> Tensor:
    """Maxima (B, H, W) over a disc; what lies beyond the edge is lower than everything."""
    height, width = maps.shape[1:]
    padded = F.pad(maps, (radius,) * 4, value=-torch.inf)
    largest = maps
    for down in range(-radius, radius + 1):
        for across in range(-radius, radius + 1):
            if 0 < down**2 + across**2 <= radius**2:
                top, left = radius + down, radius + across
                largest = torch.maximum(largest, padded[:, top : top + height, left : left + width])
    return largest
