"""What a colour of a heat map means: one scale for misses and strong defects, the same for all pictures of a model.

It hangs on the pixel threshold, which one in a thousand pixels of good parts exceeds. Each step of the palette
doubles the value, from a quarter of the pixel threshold, where good parts begin to show, to 16 times of it: so a
strong defect keeps its shape, and what the model saw of a missed one can be seen.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_ANCHORS = np.array(
    [[60, 40, 150], [120, 40, 170], [190, 45, 135], [232, 80, 85], [248, 138, 50], [253, 200, 75], [255, 248, 185]],
    np.float32,
)
"""violet over red to pale yellow, each step lighter than the one before, so that order shows without hue"""
_FIRST, _LAST = -2.0, 4.0
"""powers of two: of the first and the last colour, in multiples of the pixel threshold"""
_STEPS = np.linspace(_FIRST, _LAST, 385)
"""the same, so finely that no step can be seen"""
_COLOURS = np.stack(
    [np.interp(_STEPS, np.linspace(_FIRST, _LAST, len(_ANCHORS)), _ANCHORS[:, channel]) for channel in range(3)],
    axis=-1,
).astype(np.float32)
_OPACITY = np.interp(_STEPS, [_FIRST, -1.0, 0.0, _LAST], [0.0, 0.15, 0.5, 0.8]).astype(np.float32)
"""how much of the colour is laid over the picture"""
_LEVELS = (1e-30, 1e30)
"""what float32 can divide a map by"""


@dataclass(frozen=True)
class Tick:
    """A mark of the legend."""

    place: float
    """per cent of its length, from the left"""
    label: str


def multiples(values: NDArray[np.float32], level: float) -> NDArray[np.float32]:
    """Map values in multiples of the pixel threshold `level`; if that is 0, the map's own maximum is 16."""
    if level > 0:
        return values / np.float32(np.clip(level, *_LEVELS))
    return values * np.float32(2**_LAST / max(float(values.max()), 1e-12))


def laid_over(grey: NDArray[np.float32], ratio: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A picture's luma (H, W) in [0, 255] under the colours of multiples (H, W) of the pixel threshold: (H, W, 3).

    Up to 1/4 nothing shows; the more, the less of the picture, of which a fifth is left at 16.
    """
    step = np.round((_octaves(ratio) - _FIRST) / (_LAST - _FIRST) * (len(_COLOURS) - 1)).astype(np.intp)
    kept = (grey * (1 - _OPACITY)[step])[..., None]
    return np.round(kept + (_COLOURS * _OPACITY[:, None])[step]).astype(np.uint8)


def gradient_css() -> str:
    """The colours as the stops of a CSS gradient."""
    return ", ".join(f"rgb({r:.0f} {g:.0f} {b:.0f})" for r, g, b in _ANCHORS)


def ticks(level: float | None, threshold: float | None) -> list[Tick]:
    """What stands below the colours: multiples of the pixel threshold `level`, and where the map's `threshold` lies
    if that is another."""
    marks = [Tick(_place(value), label) for value, label in ((0.25, "¼"), (1, "1"), (4, "4"), (16, "16 ×"))]
    if level and threshold and threshold != level:
        marks.append(Tick(_place(threshold / level), "threshold"))
    return marks


def _octaves(ratio: NDArray[np.float32] | float) -> NDArray[np.floating]:
    """Powers of two within the scale; what is not above 0 is its beginning."""
    return np.log2(np.clip(ratio, 2.0**_FIRST, 2.0**_LAST))


def _place(ratio: float) -> float:
    return float((_octaves(ratio) - _FIRST) / (_LAST - _FIRST) * 100)
