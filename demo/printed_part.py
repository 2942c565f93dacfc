"""A printed board with pads, traces, vias and a legend: always the same part, placed with a small jitter."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import affine_transform, gaussian_filter

from demo.smooth_noise import smooth_noise

PADS = [(26 + 12 * i, y) for y in (30, 62) for i in range(8)] + [(102, 132), (118, 132)]
"""(x, y) of the solder pads' centres on a board of 160 units"""
TRACES = [
    [(26, 62), (26, 84), (40, 98), (40, 128)],
    [(38, 62), (38, 80), (54, 96), (54, 128)],
    [(50, 62), (50, 76), (68, 94), (68, 128)],
    [(62, 62), (62, 72), (82, 92), (82, 128)],
    [(86, 62), (86, 80), (104, 98), (130, 98), (138, 106), (138, 128)],
    [(98, 62), (98, 76), (110, 88), (140, 88), (148, 80), (148, 40)],
    [(110, 62), (110, 72), (136, 72), (138, 70), (138, 40)],
    [(26, 30), (26, 13), (140, 13), (148, 21), (148, 40)],
    [(50, 30), (50, 20), (131, 20), (138, 27), (138, 40)],
]
"""corner points of the copper traces, same units"""
VIAS = [(40, 128), (54, 128), (68, 128), (82, 128), (138, 128), (138, 40), (148, 40)]
LEGEND = [(14, 147, "RD-4711  REV C"), (97, 112, "J2"), (100, 46, "U1"), (98, 147, "C7")]
"""(x, y, text) of the printed legend"""
_OVERSAMPLE = 4
_MASK = np.array([0.07, 0.30, 0.20], np.float32)
_TRACE = np.array([0.20, 0.53, 0.32], np.float32)
_GOLD = np.array([0.83, 0.70, 0.40], np.float32)
_INK = np.array([0.90, 0.91, 0.86], np.float32)


def draw(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """A flawless part: float32 (size, size, 3) in [0, 1], sRGB.

    It is shifted by up to 1.5 % of the size and turned by up to 0.8 degrees.
    """
    copper, pads, ink = _placed(rng, size)
    board = _MASK * (1 + 0.05 * _weave(rng, size))[..., None]
    image = board * (1 - copper[..., None]) + _TRACE * copper[..., None]

    scale = size / 160
    down, right = np.gradient(gaussian_filter(np.maximum(copper, 1.6 * pads), 0.9 * scale))
    edge_light = (-0.30 * right - 0.42 * down) * scale
    gold = _GOLD * (1 + 0.03 * smooth_noise(rng, size, 1.2 * scale, 1.2 * scale))[..., None]
    image = image * (1 - pads[..., None]) + gold * pads[..., None]
    wear = 1 - 0.10 * np.clip(0.7 * smooth_noise(rng, size, 0.8, 0.8), 0, 1)
    opacity = (0.93 * ink * wear)[..., None]
    image = image * (1 - opacity) + _INK * opacity + edge_light[..., None]

    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) / size
    light = 1.10 - 0.16 * np.hypot(columns - 0.35, rows - 0.3) + rng.normal(0, 0.012)
    noise = 0.008 * rng.standard_normal((size, size, 3), dtype=np.float32)
    return np.clip(image * light[..., None] + noise, 0, 1).astype(np.float32)


def _placed(rng: np.random.Generator, size: int) -> tuple[NDArray, NDArray, NDArray]:
    """Copper, pads and ink, each float (size, size) in [0, 1], at this part's own place under the camera."""
    angle = np.deg2rad(np.clip(rng.normal(0, 0.3), -0.8, 0.8))
    shift = np.clip(rng.normal(0, 0.006 * size, 2), -0.015 * size, 0.015 * size)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array([size / 2, size / 2])
    offset = middle - turn @ middle + shift
    copper, pads, ink = (
        np.clip(affine_transform(layer, turn, offset=offset, order=1, mode="nearest"), 0, 1)
        for layer in _artwork(size)
    )
    return copper, pads, ink


@lru_cache(maxsize=4)
def _artwork(size: int) -> tuple[NDArray, NDArray, NDArray]:
    """Copper, pads and ink as designed, drawn large and scaled down for smooth edges."""
    large = size * _OVERSAMPLE
    unit = large / 160
    layers = [Image.new("L", (large, large), 0) for _ in range(3)]
    copper, pads, ink = (ImageDraw.Draw(layer) for layer in layers)
    for corners in TRACES:
        points = [(x * unit, y * unit) for x, y in corners]
        copper.line(points, fill=255, width=round(2.6 * unit), joint="curve")
    for x, y in VIAS:
        _disc(copper, x, y, 5.0, unit)
        _disc(pads, x, y, 3.9, unit)
        _disc(pads, x, y, 1.7, unit, fill=0)
    for x, y in PADS:
        copper.rounded_rectangle(_box(x, y, 4.4, 7.2, unit), radius=1.4 * unit, fill=255)
        pads.rounded_rectangle(_box(x, y, 3.5, 6.3, unit), radius=1.0 * unit, fill=255)
    ink.rectangle(_box(68, 46, 52, 5, unit), outline=255, width=round(1.1 * unit))
    ink.ellipse(_box(22, 46, 1.6, 1.6, unit), fill=255)
    for x, y, text in LEGEND:
        ink.text((x * unit, y * unit), text, fill=255, font=ImageFont.load_default(9.5 * unit), anchor="lm")
    first, second, third = (_scaled_down(layer, size) for layer in layers)
    return first, second, third


def _disc(layer: ImageDraw.ImageDraw, x: float, y: float, radius: float, unit: float, fill: int = 255) -> None:
    layer.ellipse(_box(x, y, radius, radius, unit), fill=fill)


def _box(x: float, y: float, half_width: float, half_height: float, unit: float) -> tuple[float, ...]:
    return (x - half_width) * unit, (y - half_height) * unit, (x + half_width) * unit, (y + half_height) * unit


def _scaled_down(layer: Image.Image, size: int) -> NDArray:
    return np.asarray(layer.resize((size, size), Image.Resampling.BOX), np.float32) / 255


def _weave(rng: np.random.Generator, size: int) -> NDArray:
    """The glass cloth of the board, faint below the solder mask."""
    rows, columns = np.mgrid[0:size, 0:size] * np.float32(160 / size)
    cloth = np.sin(columns * 2 * np.pi / 5.3) * np.sin(rows * 2 * np.pi / 5.3)
    return 0.35 * cloth + 0.2 * smooth_noise(rng, size, 0.7, 0.7)
