"""Bounded spatial transformers (Jaderberg et al., NeurIPS 2015) and the arithmetic of their maps.

A transform is an affine map, float32 (B, 2, 3), of the places of an aligned image to those of the image that it was
given: the aligned image shows at u what the other has at A u + t. Places are (x, y) from -1 to 1 over width and
height, so they mean the same on every grid.
"""

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

WHOLE = 0.999
"""share of a point from which it counts as all of it, which interpolation rounds"""
WIDTH, LAST = 16, 8
"""channels of the layers; rows and columns of the last, which still knows places"""


class Transformer(nn.Module):
    """Predicts a transform for each image from what it shows. It begins as the identity, and is bounded."""

    identity: Tensor
    bounds: Tensor

    def __init__(self, channels: int, side: int, most_shift: float, most_turn: float) -> None:
        """channels: of the images or features. side: LAST times a power of two, rows and columns to which they are
        averaged first. most_shift, most_turn: see `FYDSettings`."""
        super().__init__()
        self._side = side
        layers: list[nn.Module] = []
        for number in range(int(math.log2(side // LAST))):
            convolution = nn.Conv2d(WIDTH if number else channels, WIDTH, 3 if number else 5, 2, 1 if number else 2)
            layers += [convolution, nn.GroupNorm(1, WIDTH), nn.LeakyReLU(0.1)]
        self.layers = nn.Sequential(*layers, nn.Flatten())
        self.last = nn.Linear(WIDTH * LAST**2, 6)
        self.forget()
        bounds = np.array([[most_turn, most_turn, 2 * most_shift]] * 2, np.float32)
        self.register_buffer("bounds", torch.from_numpy(bounds), persistent=False)
        self.register_buffer("identity", torch.from_numpy(np.eye(2, 3, dtype=np.float32)), persistent=False)

    def forget(self) -> None:
        """Become the identity again."""
        for own in self.last.parameters():
            nn.init.zeros_(own)

    def forward(self, images: Tensor) -> Tensor:
        """Transforms (B, 2, 3) of images or features float32 (B, C, h, w)."""
        raw = self.last(self.layers(F.adaptive_avg_pool2d(images, self._side)))
        return self.identity + self.bounds * torch.tanh(raw.unflatten(1, (2, 3)))

    def shares(self, transforms: Tensor) -> Tensor:
        """Differences of transforms (B, 2, 3) from the identity, in [-1, 1] of the bounds; 0 where the bound is."""
        return (transforms - self.identity) / self.bounds.clamp_min(1e-6)


def composed(outer: Tensor, inner: Tensor) -> Tensor:
    """The transform that is `inner`, then `outer`."""
    matrix = outer[:, :, :2]
    return torch.cat([matrix @ inner[:, :, :2], matrix @ inner[:, :, 2:] + outer[:, :, 2:]], dim=2)


def inverted(transforms: Tensor) -> Tensor:
    """The transforms back; the bounds keep matrices invertible."""
    a, b, c, d = transforms[:, 0, 0], transforms[:, 0, 1], transforms[:, 1, 0], transforms[:, 1, 1]
    adjugate = torch.stack([d, -b, -c, a], dim=1).unflatten(1, (2, 2))
    matrix = adjugate / (a * d - b * c)[:, None, None]
    return torch.cat([matrix, -matrix @ transforms[:, :, 2:]], dim=2)


def places(transforms: Tensor, height: int, width: int) -> Tensor:
    """Where the points of a grid lie in what the transforms are given: (x, y), float32 (B, height, width, 2)."""
    y, x = (
        (2 * torch.arange(side, dtype=torch.float32, device=transforms.device) + 1) / side - 1
        for side in (height, width)
    )
    (xx, xy, xt), (yx, yy, yt) = (row.unbind(1) for row in transforms.unbind(1))
    return torch.stack(
        [
            xx[:, None, None] * x + (xy[:, None] * y + xt[:, None])[:, :, None],
            yx[:, None, None] * x + (yy[:, None] * y + yt[:, None])[:, :, None],
        ],
        dim=3,
    )


def warped(values: Tensor, transforms: Tensor) -> Tensor:
    """Values (B, C, h, w) as their transforms align them, on the same grid; beyond the edges the outermost."""
    grid = places(transforms, *values.shape[2:])
    aligned = F.grid_sample(values, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return aligned.contiguous(memory_format=torch.channels_last)


def counted_after(counted: Tensor, transforms: Tensor) -> Tensor:
    """The points of an aligned grid that show what counts, as `warped` has it, bool (B, h, w).

    counted: bool (B, h, w), of what the transforms are given.
    """
    return warped(counted[:, None].float(), transforms)[:, 0] > WHOLE


def inside(transforms: Tensor, height: int, width: int) -> Tensor:
    """The points of an aligned grid that show what lies within the edges, bool (B, height, width)."""
    return (places(transforms, height, width).abs() <= 1).all(dim=3)


def aligned(images: Tensor, counted: Tensor, transforms: Tensor) -> tuple[Tensor, Tensor]:
    """Images float32 (B, C, h, w) as their transforms align them, and the points that show what counts and lies
    within the edges, bool (B, h, w). counted: bool (B, h, w), of the images."""
    fixed = transforms.detach()
    return warped(images, transforms), counted_after(counted, fixed) & inside(fixed, *images.shape[2:])
