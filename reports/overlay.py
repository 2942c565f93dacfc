"""Anomaly maps laid over pictures, and pictures as text that can stand inside an HTML file."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_ANCHORS = np.array(
    [[40, 16, 82], [104, 22, 118], [168, 40, 104], [217, 74, 68], [246, 132, 36], [252, 196, 60], [255, 246, 170]],
    np.float32,
)
"""dark violet over red to pale yellow, each step lighter than the one before, so that order shows without hue"""
_FIRST_SEEN = 0.7
"""share of the threshold at which a map begins to show at all"""
_THRESHOLDS = (1e-30, 1e30)
"""what float32 can divide a map by"""
_HIGHEST = float(np.finfo(np.float16).max)
"""of a stored map"""
_CONTOUR = np.array([0, 226, 255], np.uint8)


def overlay(
    picture: NDArray[np.uint8],
    anomaly_map: NDArray[np.floating],
    threshold: float | None,
    contour: bool = True,
) -> NDArray[np.uint8]:
    """`picture` with its anomaly map in colour: uint8 (H, W, 3).

    picture: uint8 (H, W, 3); anomaly_map: float (h, w) of any size, in the units of `threshold`; NaN counts as 0.
    The scale hangs on the threshold alone, so a colour means the same in every image: from 0.7 of the threshold it
    begins to show, at twice the threshold it is full. Without a threshold above 0 the map's own maximum is full.
    `contour` draws the rim of what lies above the threshold.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise ValueError(
            f"picture is {picture.dtype} {picture.shape}: it cannot be drawn. Give uint8 (height, width, 3)."
        )
    if anomaly_map.ndim != 2 or 0 in anomaly_map.shape:
        raise ValueError(f"anomaly map has the shape {anomaly_map.shape}: it cannot be drawn. Give (height, width).")
    height, width = picture.shape[:2]
    ratio = _times_threshold(_resized(anomaly_map, width, height), threshold)
    opacity = _opacity(ratio)[..., None]
    drawn = picture * (1 - opacity) + colours(ratio) * opacity
    drawn = np.round(drawn).astype(np.uint8)
    if contour:
        drawn[_rim(ratio > 1)] = _CONTOUR
    return drawn


def colours(ratio: NDArray[np.floating]) -> NDArray[np.float32]:
    """Colours (..., 3) in [0, 255] of map values given in thresholds: 0.7 and less the first, 2 and more the last."""
    place = np.clip((ratio - _FIRST_SEEN) / (2 - _FIRST_SEEN), 0, 1) * (len(_ANCHORS) - 1)
    steps = np.arange(len(_ANCHORS))
    return np.stack([np.interp(place, steps, _ANCHORS[:, c]) for c in range(3)], axis=-1).astype(np.float32)


def colour_scale_css() -> str:
    """The colours from 0.7 to 2 thresholds as the stops of a CSS gradient."""
    return ", ".join(f"rgb({r:.0f} {g:.0f} {b:.0f})" for r, g, b in _ANCHORS)


def shrunk(picture: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    """`picture`, uint8 (H, W, 3), with its longest side at most `longest` pixels; never enlarged."""
    height, width = picture.shape[:2]
    scale = min(1.0, longest / max(height, width))
    if scale == 1:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def data_uri(picture: NDArray[np.uint8], quality: int = 75) -> str:
    """`picture`, uint8 (H, W, 3), as a WebP data URI; quality in [1, 100]."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "WEBP", quality=quality, method=1)
    return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode("ascii")


def _times_threshold(values: NDArray[np.float32], threshold: float | None) -> NDArray[np.float32]:
    if threshold is not None and threshold > 0:
        return values / np.float32(np.clip(threshold, *_THRESHOLDS))
    return values * np.float32(2 / max(float(values.max()), 1e-12))


def _opacity(ratio: NDArray[np.float32]) -> NDArray[np.float32]:
    """Up to 0.08 below the threshold, 0.35 just above it, 0.85 at twice the threshold."""
    return np.interp(ratio, [_FIRST_SEEN, 1.0, 1.03, 2.0], [0.0, 0.08, 0.35, 0.85]).astype(np.float32)


def _resized(anomaly_map: NDArray[np.floating], width: int, height: int) -> NDArray[np.float32]:
    """Bilinear; a map larger than the picture is averaged down by Pillow's wider support."""
    clean = np.nan_to_num(np.asarray(anomaly_map, np.float32), nan=0.0).clip(0, _HIGHEST)
    return np.asarray(Image.fromarray(clean).resize((width, height), Image.Resampling.BILINEAR))


def _rim(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of `inside` with a neighbour (of four) outside; the picture's own edge is no rim."""
    padded = np.pad(inside, 1, mode="edge")
    core = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return inside & ~core
