"""Drawn shapes as pixel masks.

A pixel belongs to a shape if its centre does. Points are x and y in pixels from the upper left corner; the first
pixel's centre is (0.5, 0.5).
"""

import math

import numpy as np
from numpy.typing import NDArray

_ELLIPSE_CORNERS = 256


def polygon_mask(points: NDArray[np.float64], height: int, width: int) -> NDArray[np.bool_]:
    """The pixels inside a polygon of points (n, 2): bool [height, width], cut at the image's edge.

    Even-odd rule. A polygon without any pixel's centre marks the pixels of its corners, so that no defect is lost.
    """
    flips = np.zeros((height, width + 1), np.int64)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        top, bottom = min(y0, y1), max(y0, y1)
        rows = np.arange(max(0, math.ceil(top - 0.5)), min(height, math.ceil(bottom - 0.5)))
        if not len(rows):
            continue
        crossing = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
        np.add.at(flips, (rows, np.clip(np.ceil(crossing - 0.5), 0, width).astype(np.int64)), 1)
    mask = (np.cumsum(flips, axis=1)[:, :width] % 2).astype(np.bool_)
    if not mask.any():
        column, row = np.floor(points).astype(np.int64).T
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        mask[row[inside], column[inside]] = True
    return mask


def rectangle_corners(corner: NDArray[np.float64], sides: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    """The corners (4, 2) of a rectangle turned clockwise by `angle`, in radians, about its first corner."""
    width, height = sides
    square = np.array([[0, 0], [width, 0], [width, height], [0, height]])
    return corner + square @ _turn(angle)


def ellipse_corners(centre: NDArray[np.float64], radii: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    """Corners (256, 2) of an ellipse turned clockwise by `angle`, in radians, about its centre."""
    around = np.linspace(0, 2 * np.pi, _ELLIPSE_CORNERS, endpoint=False)
    return centre + (np.stack([np.cos(around), np.sin(around)], axis=1) * radii) @ _turn(angle)


def brush_mask(code: bytes, height: int, width: int) -> NDArray[np.bool_]:
    """The pixels of a brush, bool [height, width], from the `rle-pack` code of RGBA pixels.

    A bit stream: number of values (32 bits), bits of a value less 1 (5), four lengths less 1 (4 each); then blocks of
    a flag, the index of a length (2 bits), the block's size less 1 in so many bits, and one value for the block if
    the flag is set, else each value. Raises ValueError for another size.
    """
    values = _unpacked(np.unpackbits(np.frombuffer(code, np.uint8)), 4 * height * width)
    return (values.reshape(height, width, 4)[..., 3] > 0).astype(np.bool_)


def _unpacked(bits: NDArray[np.uint8], expected: int) -> NDArray[np.uint8]:
    at = 0

    def number(count: int) -> int:
        nonlocal at
        if at + count > len(bits):
            raise ValueError("a brush that is cut off")
        value = int("".join(map(str, bits[at : at + count])), 2)
        at += count
        return value

    size, bits_a_value = number(32), number(5) + 1
    if size != expected or bits_a_value != 8:
        raise ValueError(f"a brush of {size} values of {bits_a_value} bits, not {expected} of 8")
    lengths = [number(4) + 1 for _ in range(4)]
    values = np.zeros(size, np.uint8)
    done = 0
    while done < size:
        repeated, length = number(1), lengths[number(2)]
        end = min(size, done + number(length) + 1)
        if repeated:
            values[done:end] = number(8)
        else:
            taken = bits[at : at + 8 * (end - done)]
            if len(taken) < 8 * (end - done):
                raise ValueError("a brush that is cut off")
            values[done:end] = np.packbits(taken)
            at += len(taken)
        done = end
    return values


def _turn(angle: float) -> NDArray[np.float64]:
    """(2, 2), for points as rows; clockwise, because y grows downwards."""
    return np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
