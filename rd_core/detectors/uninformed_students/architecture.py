"""The networks of teachers and students as tables, and what they cost; imports no torch."""

from collections.abc import Sequence
from typing import NamedTuple

SCALES = (17, 33, 65)
"""sides, in pixels, of the patches that a descriptor can stand for"""


class Layer(NamedTuple):
    """A convolution without padding, a 2 x 2 maximum where `pool`, and a leaky ReLU after all but the last layer."""

    side: int
    """of the kernel, in pixels"""
    outputs: int
    """channels"""
    pool: bool = False


class Step(NamedTuple):
    """How a layer is computed where a descriptor is wanted at every `stride`-th pixel."""

    stride: int
    """of the convolution"""
    dilation: int
    """of convolution and pooling"""
    halves: bool
    """whether the pooling keeps every second position; otherwise all, and later layers are dilated instead"""


def layers_of(scale: int, width: int, descriptors: int) -> tuple[Layer, ...]:
    """The layers for patches of `scale` pixels, with `width` channels in the first (128 in the paper)."""
    wide = 2 * width
    return {
        17: (Layer(6, width), Layer(5, wide), Layer(5, wide), Layer(4, descriptors)),
        33: (Layer(5, width, True), Layer(5, wide, True), Layer(2, wide), Layer(4, descriptors)),
        65: (
            *(Layer(5, width, True), Layer(5, width, True), Layer(5, wide, True)),
            *(Layer(4, wide), Layer(1, descriptors)),
        ),
    }[scale]


def steps_of(layers: Sequence[Layer], stride: int) -> list[Step]:
    """The steps of one pass that gives the descriptor of the patch at every `stride`-th pixel (a power of two).

    A pooling halves the grid as long as no wanted position is lost; after that it keeps all positions, and later
    layers are dilated (the fast dense extraction of Bailer et al., 2018, as dilations).
    """
    steps, reached, dilation = [], 1, 1
    for layer in layers:
        halves = layer.pool and 2 * reached <= stride
        last = max(1, stride // reached) if layer is layers[-1] else 1
        steps.append(Step(last, dilation, halves))
        if halves:
            reached *= 2
        elif layer.pool:
            dilation *= 2
    return steps


def multiplications(layers: Sequence[Layer], height: int, width: int, stride: int) -> int:
    """Multiplications of such a pass over an input of height x width pixels, its border included."""
    total, inputs = 0, 3
    for layer, step in zip(layers, steps_of(layers, stride), strict=True):
        height, width = ((n - step.dilation * (layer.side - 1) - 1) // step.stride + 1 for n in (height, width))
        total += height * width * layer.side**2 * inputs * layer.outputs
        inputs = layer.outputs
        if layer.pool:
            height, width = ((n // 2 if step.halves else n - step.dilation) for n in (height, width))
    return total


def seen_by(layers: Sequence[Layer]) -> int:
    """Pixels a side, from the first, that decide a descriptor: 17, 32 and 60 for the scales, because poolings of odd
    sides drop the last row and column."""
    side = 1
    for layer in reversed(layers):
        side = (2 * side if layer.pool else side) + layer.side - 1
    return side


def extent(positions: int, scale: int, stride: int) -> int:
    """Pixels that so many positions in a row see."""
    return (positions - 1) * stride + scale
