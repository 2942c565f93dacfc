"""The colour scale of heat maps, the same for all images of a model.

It is relative to the pixel threshold, which one in a thousand pixels of good parts exceeds. Each step doubles the
value, from 1/4 to 16 times the threshold, so that strong defects keep their shape and missed ones are visible.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ANCHORS = np.array(
    [[60, 40, 150], [120, 40, 170], [190, 45, 135], [232, 80, 85], [248, 138, 50], [253, 200, 75], [255, 248, 185]],
    np.float32,
)
"""violet through red to pale yellow, rising in lightness, so that the order is visible without hue"""
_FIRST, _LAST = -2.0, 4.0
"""of the first and last colour, as powers of two of the pixel threshold"""
_STEPS = np.linspace(_FIRST, _LAST, 385)
"""the same in invisibly fine steps"""
_COLOURS = np.stack(
    [np.interp(_STEPS, np.linspace(_FIRST, _LAST, len(_ANCHORS)), _ANCHORS[:, channel]) for channel in range(3)],
    axis=-1,
).astype(np.float32)
_OPACITY = np.interp(_STEPS, [_FIRST, -1.0, 0.0, _LAST], [0.0, 0.15, 0.5, 0.8]).astype(np.float32)
"""of the colour over the image"""
_LEVELS = (1e-30, 1e30)
"""range of divisors that float32 maps bear"""


@dataclass(frozen=True)
class Tick:
    """One tick of the legend."""

    place: float
    """per cent of the scale's length, from the left"""
    label: str


def multiples(values: NDArray[np.float32], level: float) -> NDArray[np.float32]:
    """Map values in multiples of the pixel threshold `level`; if that is 0, the map's maximum is 16."""
    if level > 0:
        return values / np.float32(np.clip(level, *_LEVELS))
    return values * np.float32(2**_LAST / max(float(values.max()), 1e-12))


def laid_over(grey: NDArray[np.float32], ratio: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Luma (H, W) in [0, 255] under the colours of `ratio` (H, W), in pixel thresholds: (H, W, 3).

    Colours are transparent up to 1/4 and 80 % opaque at 16.
    """
    step = np.round((_octaves(ratio) - _FIRST) / (_LAST - _FIRST) * (len(_COLOURS) - 1)).astype(np.intp)
    kept = (grey * (1 - _OPACITY)[step])[..., None]
    return np.round(kept + (_COLOURS * _OPACITY[:, None])[step]).astype(np.uint8)


def gradient_css() -> str:
    """The colours as the stops of a CSS gradient."""
    return ", ".join(f"rgb({r:.0f} {g:.0f} {b:.0f})" for r, g, b in _ANCHORS)


def ticks(level: float | None, threshold: float | None) -> list[Tick]:
    """The legend's ticks: multiples of the pixel threshold `level`, and the map's `threshold` if it is another."""
    marks = [Tick(_place(value), label) for value, label in ((0.25, "¼"), (1, "1"), (4, "4"), (16, "16 ×"))]
    if level and threshold and threshold != level:
        marks.append(Tick(_place(threshold / level), "threshold"))
    return marks


def _octaves(ratio: NDArray[np.float32] | float) -> NDArray[np.floating]:
    """log2 within the scale; values up to 0 are at its beginning."""
    return np.log2(np.clip(ratio, 2.0**_FIRST, 2.0**_LAST))


def _place(ratio: float) -> float:
    return float((_octaves(ratio) - _FIRST) / (_LAST - _FIRST) * 100)
