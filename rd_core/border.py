"""How much more normal cells differ at an image's border than inside it.

Beyond the border a convolution sees zeros, which no image is like. What the teacher says there depends on how far the
image is from them, on light and on the cut, so cells at the border, and in corners most of all, look odd however good
the part is. They count for so much less. Other places that differ more than their neighbours do so by the part alone,
which is left to the networks.
"""

import torch
from torch import Tensor

REACH = 32
"""pixels from the border, to where it was seen (docs/decisions/0021)"""
NOTHING = 1e-12
"""squared spread, below which the inside does not differ"""
WIDEST = 4.0
"""spread, so that a border is looked at however still the inside is"""


def border_spread(squares: Tensor, side: int) -> Tensor:
    """Squared spreads (rows, columns) of cells of `side` pixels -> spreads (rows, columns): 1 inside, at the border
    from 1 to WIDEST, alike at places as far from it. All are 1 where no cell lies inside."""
    rings = max(1, REACH // side)
    above, left = (torch.minimum(torch.arange(n), torch.arange(n).flip(0)).clamp_max(rings) for n in squares.shape)
    kinds = above[:, None] * (rings + 1) + left
    inside = rings * (rings + 2)
    if not (kinds == inside).any():
        return torch.ones_like(squares)
    means = squares.new_zeros(inside + 1).scatter_reduce(
        0, kinds.flatten(), squares.flatten(), "mean", include_self=False
    )
    return (means / means[inside].clamp_min(NOTHING)).clamp(1, WIDEST**2).sqrt()[kinds]
