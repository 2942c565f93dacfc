"""3x3 convolutions by a quarter of the multiplications, on a CPU: Winograd's F(4x4, 3x3) as three matrix products.

Wide 3x3 convolutions are bound by arithmetic, and oneDNN and OpenVINO multiply out each of their nine taps. Here
tiles of 6 x 6 are brought to 36 values, each of these is multiplied by the kernel's (one product of channels a
value), and the sums are brought back to tiles of 4 x 4 (Lavin and Gray, Fast Algorithms for Convolutional Neural
Networks, CVPR 2016). The way there and back takes products, too, whose share falls with the channels.
"""

import math
from collections.abc import Iterator, Sequence
from typing import TypeGuard

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from rd_core.kernels.cook_toom import minimal_filter
from rd_core.kernels.one_by_one import one_by_one

TILE, WINDOW = 4, 6
"""pixels a side: of what a tile gives, and of what it is computed from"""
LEAST_CHANNELS = 96
"""in and out: with fewer, the way to tiles and back costs what the products save"""
LEAST_TILES = 16
"""of a batch: with fewer rows, products wait for the kernel, which is four times as large here"""
TILES_AT_ONCE = 256
"""what lies between the products then stays in the processor's cache"""

_FILTER = minimal_filter(TILE, 3, (0.0, 0.6, -0.6, 1.7, -1.7))  # the usual 0, 1, -1, 2, -2 round twice as much


def _in_two_directions(matrix: NDArray[np.float64]) -> Tensor:
    """(a, b) for a row -> (a^2, b^2) for a flattened square."""
    return torch.from_numpy(np.kron(matrix, matrix))


_TAPS = _in_two_directions(_FILTER.taps)
_INPUTS, _OUTPUTS = _in_two_directions(_FILTER.inputs).float(), _in_two_directions(_FILTER.outputs).float()


class WinogradConvolution(nn.Conv2d):
    """A 3x3 convolution at stride 1 that keeps the size, the same to rounding; its weights are kept twice.

    Where layers have to run one by one, and where it would not pay, it is the convolution that it was made of.
    """

    kernels: Tensor
    """float32 (36, C, C'): the weights as the tiles' values are multiplied by them, four times as many"""

    def __init__(self, convolution: nn.Conv2d) -> None:
        inputs, outputs = convolution.in_channels, convolution.out_channels
        super().__init__(inputs, outputs, 3, padding=1, bias=convolution.bias is not None, device="meta")
        self.weight, self.bias = convolution.weight, convolution.bias
        taps = self.weight.detach().double().permute(2, 3, 1, 0).reshape(9, -1)
        kernels = (_TAPS.to(taps) @ taps).float().view(WINDOW**2, inputs, outputs)
        self.register_buffer("kernels", kernels, persistent=False)

    def pays(self, x: Tensor) -> bool:
        """Whether `x` (B, C, h, w) is convolved by fewer multiplications, and at most half of them."""
        (images, _, height, width), (rows, columns) = x.shape, _tiles(x)
        return (
            not one_by_one(x)
            and x.dtype == self.kernels.dtype == torch.float32
            and not torch.is_autocast_enabled("cpu")
            and images * rows * columns >= LEAST_TILES
            and 2 * WINDOW**2 * rows * columns <= 9 * height * width
        )

    def forward(self, x: Tensor) -> Tensor:
        """float32 (B, C, h, w) -> (B, C', h, w)."""
        return self.followed(x) if self.pays(x) else super().forward(x)

    def followed(self, x: Tensor, *, plus: Tensor | None = None, by: nn.Module | None = None) -> Tensor:
        """`by(self(x) + plus)` where it pays, piece by piece: plus (B, C', h, w), `by` works on each value alone."""
        (images, channels, height, width), (rows, columns) = x.shape, _tiles(x)
        windows = _windows(x)
        summands = None if plus is None else _in_tiles(plus)
        y = x.new_empty(images, rows, TILE, columns, TILE, self.out_channels)
        most = min(images * rows * columns, max(TILES_AT_ONCE, columns))
        here, there = x.new_empty(2, WINDOW**2 * most * max(channels, self.out_channels))
        for piece in _pieces(images, rows, columns):
            done = y[piece]
            done.copy_(_convolved(windows[:, :, *piece], self.kernels, here, there))
            if self.bias is not None:
                done.add_(self.bias)
            if summands is not None:
                done.add_(summands[piece])
            if by is not None:
                done.copy_(by(done))  # which copies nothing where `by` works in place
        whole = y.view(images, TILE * rows, TILE * columns, self.out_channels)
        return whole[:, :height, :width].permute(0, 3, 1, 2)


def with_fewer_multiplications(module: nn.Module) -> nn.Module:
    """`module`, whose norms are folded, with each wide 3x3 convolution made a WinogradConvolution, in place."""
    for name, child in list(module.named_children()):
        if _is_wide(child):
            setattr(module, name, WinogradConvolution(child))
        else:
            with_fewer_multiplications(child)
    return module


def _is_wide(layer: nn.Module) -> TypeGuard[nn.Conv2d]:
    return (
        type(layer) is nn.Conv2d  # others place their input in ways of their own
        and layer.kernel_size == (3, 3)
        and layer.stride == layer.dilation == layer.padding == (1, 1)
        and layer.padding_mode == "zeros"
        and layer.groups == 1
        and min(layer.in_channels, layer.out_channels) >= LEAST_CHANNELS
    )


def _tiles(x: Tensor) -> tuple[int, int]:
    """Rows and columns of tiles that cover (B, C, h, w)."""
    return -(-x.shape[2] // TILE), -(-x.shape[3] // TILE)


def _pieces(images: int, rows: int, columns: int) -> Iterator[tuple[slice, slice]]:
    """Images and rows of tiles that are computed together: some images, or where one is large some of its rows."""
    together, high = max(1, TILES_AT_ONCE // (rows * columns)), max(1, min(rows, TILES_AT_ONCE // columns))
    for first in range(0, images, together):
        for top in range(0, rows, high):
            yield slice(first, first + together), slice(top, top + high)


def _windows(x: Tensor) -> Tensor:
    """(B, C, h, w) -> each tile's pixels, zeros beyond the image: a view (6, 6, B, rows, columns, C) of a copy."""
    rows, columns = _tiles(x)
    right, below = TILE * columns - x.shape[3] + 1, TILE * rows - x.shape[2] + 1
    padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, right, 1, below))
    return padded.unfold(1, WINDOW, TILE).unfold(2, WINDOW, TILE).permute(4, 5, 0, 1, 2, 3)


def _in_tiles(x: Tensor) -> Tensor:
    """(B, C, h, w) -> (B, rows, 4, columns, 4, C), a view where whole tiles cover it."""
    rows, columns = _tiles(x)
    right, below = TILE * columns - x.shape[3], TILE * rows - x.shape[2]
    whole = x.permute(0, 2, 3, 1)
    whole = F.pad(whole, (0, 0, 0, right, 0, below)) if right or below else whole
    return whole.unflatten(2, (columns, TILE)).unflatten(1, (rows, TILE))


def _convolved(windows: Tensor, kernels: Tensor, here: Tensor, there: Tensor) -> Tensor:
    """Windows (6, 6, images, rows, columns, C) -> (images, rows, 4, columns, 4, C'), a view of `there`.

    here, there: room for 36 values of each tile and channel, in which the products are computed in turn.
    """
    images, rows, columns, channels = windows.shape[2:]
    (values, _, outputs), tiles = kernels.shape, images * rows * columns
    x = _view(here, windows.shape).copy_(windows)
    x = torch.mm(_INPUTS, x.view(values, -1), out=_view(there, (values, tiles * channels)))
    x = torch.bmm(x.view(values, tiles, channels), kernels, out=_view(here, (values, tiles, outputs)))
    x = torch.mm(_OUTPUTS, x.view(values, -1), out=_view(there, (TILE**2, tiles * outputs)))
    return x.view(TILE, TILE, images, rows, columns, outputs).permute(2, 3, 0, 4, 1, 5)


def _view(room: Tensor, shape: Sequence[int]) -> Tensor:
    """The first values of a flat tensor, in that shape."""
    return room[: math.prod(shape)].view(shape)
