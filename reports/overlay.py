"""Pictures under anomaly maps and defect outlines, and pictures as data URIs."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from reports.heat_scale import laid_over, multiples
from reports.scored_image import Box

_HIGHEST = float(np.finfo(np.float16).max)
"""largest value of a stored map"""
_RIM = np.array([0, 226, 255], np.uint8)
_MARK, _HALO = (255, 255, 255), (0, 0, 0)
_REDUCING_GAP = 3.0
"""a picture is averaged quickly down to this multiple of its final size, and resampled from there"""
_STRIP_PIXELS = 2**20
_STRIPE = 64
"""grey levels that the stripes of ignored regions are lighter than the gaps"""
IGNORED = np.array([224, 60, 138], np.uint8)
"""colour of ignored pixels"""
_OUTLINE = np.array([64, 255, 96], np.uint8)
_PIXELS_A_LINE = 220
"""pixels of the longer side for each pixel of line width, so that marks look alike at every size"""


def overlay(
    picture: NDArray[np.uint8],
    anomaly_map: NDArray[np.floating],
    pixel_threshold: float,
    boxes: Sequence[Box] = (),
    marks: bool = True,
    *,
    covered: Box | None = None,
    ignored: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """`picture` in grey with its anomaly map in colour: uint8 (H, W, 3).

    picture: uint8 (H, W, 3); anomaly_map: float (h, w) of any size, in the unit of `pixel_threshold`; NaN is 0.
    Colours: `reports.heat_scale`. `marks`: a cyan rim around pixels above the pixel threshold, `boxes` around
    defects, and a ring at the map's maximum. covered: the part of the picture that the map lies over; the rest stays
    grey. None: all of it. ignored: bool (h, w) of any size over the picture; hatched where True.
    """
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise ValueError(
            f"picture is {picture.dtype} {picture.shape}: it cannot be drawn. Give uint8 (height, width, 3)."
        )
    if anomaly_map.ndim != 2 or 0 in anomaly_map.shape:
        raise ValueError(f"anomaly map has the shape {anomaly_map.shape}: it cannot be drawn. Give (height, width).")
    height, width = picture.shape[:2]
    clean = np.nan_to_num(np.asarray(anomaly_map, np.float32), nan=0.0).clip(0, _HIGHEST)
    left, top, right, bottom = frame = _in_pixels(covered or Box(0, 0, 1, 1), width, height)
    ratio = multiples(_resized(clean, right - left, bottom - top), pixel_threshold)
    grey = _grey(picture)
    drawn = np.round(grey).astype(np.uint8)[..., None].repeat(3, axis=2)
    beneath = drawn[top:bottom, left:right]
    beneath[:] = laid_over(grey[top:bottom, left:right], ratio)
    line = max(1, round(max(height, width) / _PIXELS_A_LINE))
    if marks:
        beneath[_rim(ratio > 1, line)] = _RIM
    if ignored is not None:
        _hatch(drawn, ignored, line)
    return _marked(drawn, clean, frame, boxes, line) if marks else drawn


def outlined(picture: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """`picture`, uint8 (H, W, 3), with a green line around the True pixels of `mask`, bool (h, w) of any size.

    The line lies outside the defect and is black at its outer side, so that it shows on any background.
    """
    height, width = picture.shape[:2]
    scaled = Image.fromarray(mask.astype(np.uint8) * 255).resize((width, height), Image.Resampling.BOX)
    defect = np.asarray(scaled) > 0
    near, far = _grown(defect), _grown(_grown(defect))
    drawn = picture.copy()
    drawn[far & ~near] = _HALO
    drawn[near & ~defect] = _OUTLINE
    return drawn


def ignored_in_colour(picture: NDArray[np.uint8], ignored: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """`picture`, uint8 (H, W, 3), with the pixels of `ignored`, bool (H, W), half in `IGNORED`."""
    drawn = picture.copy()
    drawn[ignored] = (picture[ignored] // 2) + (IGNORED // 2)
    return drawn


def shrunk(picture: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    """`picture`, uint8 (H, W, 3), with its longest side at most `longest` pixels; never enlarged."""
    height, width = picture.shape[:2]
    scale = min(1.0, longest / max(height, width))
    if scale == 1:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    factor = max(1, int(min(width / size[0], height / size[1]) / _REDUCING_GAP))
    small = Image.fromarray(_reduced(picture, factor))
    box = (0, 0, width / factor, height / factor)
    return np.asarray(small.resize(size, Image.Resampling.LANCZOS, box))


def _reduced(picture: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Means of `factor` x `factor` pixels, fewer at the edges; in strips, for Pillow takes 4 bytes for a pixel."""
    if factor == 1:
        return picture
    rows = factor * max(1, _STRIP_PIXELS // (factor * picture.shape[1]))
    strips = [picture[top : top + rows] for top in range(0, len(picture), rows)]
    return np.concatenate([np.asarray(Image.fromarray(strip).reduce(factor)) for strip in strips])


def data_uri(picture: NDArray[np.uint8], quality: int = 75) -> str:
    """`picture`, uint8 (H, W, 3), as a WebP data URI; quality in [1, 100]."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "WEBP", quality=quality, method=1)
    return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode("ascii")


def _grey(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Luma (H, W), so that no colour of the part is taken for one of the map."""
    return picture.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)


def _resized(clean: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """Bilinear; Pillow averages a map that is larger than the picture."""
    return np.asarray(Image.fromarray(clean).resize((width, height), Image.Resampling.BILINEAR))


def _in_pixels(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of a box, the last two excluded; at least one pixel of a picture of that size."""
    left, top = min(round(box.left * width), width - 1), min(round(box.top * height), height - 1)
    right = max(left + 1, min(round((box.left + box.width) * width), width))
    return left, top, right, max(top + 1, min(round((box.top + box.height) * height), height))


def _hatch(drawn: NDArray[np.uint8], ignored: NDArray[np.bool_], line: int) -> None:
    """Darkens `ignored` (h, w), stretched over `drawn`, with diagonal stripes."""
    height, width = drawn.shape[:2]
    stretched = np.asarray(Image.fromarray(ignored).resize((width, height), Image.Resampling.NEAREST))
    stripes = (np.arange(height)[:, None] + np.arange(width)) // (2 * line) % 2 == 0
    drawn[stretched] //= 2
    drawn[stretched & stripes] += _STRIPE


def _marked(
    drawn: NDArray[np.uint8],
    clean: NDArray[np.float32],
    frame: tuple[int, int, int, int],
    boxes: Sequence[Box],
    line: int,
) -> NDArray[np.uint8]:
    """Draws boxes and the peak in white and black, so that they show on any background; lines `line` pixels wide.

    frame: (left, top, right, bottom) of the map `clean`.
    """
    height, width = drawn.shape[:2]
    canvas = Image.fromarray(drawn)
    pen = ImageDraw.Draw(canvas)
    for box in boxes:
        left, top, right, bottom = _in_pixels(box, width, height)
        pen.rectangle((left - 1, top - 1, right, bottom), outline=_HALO)
        pen.rectangle((left, top, right - 1, bottom - 1), outline=_MARK, width=line)
    if clean.max() > 0:
        row, column = np.unravel_index(int(clean.argmax()), clean.shape)
        x = frame[0] + (column + 0.5) / clean.shape[1] * (frame[2] - frame[0])
        y = frame[1] + (row + 0.5) / clean.shape[0] * (frame[3] - frame[1])
        for radius, colour, wide in ((4.5 * line + 1, _HALO, line + 2), (4.5 * line, _MARK, line)):
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), outline=colour, width=wide)
    return np.asarray(canvas)


def _rim(inside: NDArray[np.bool_], line: int) -> NDArray[np.bool_]:
    """Pixels of `inside` at most `line` steps (4-neighbours) from outside; the picture's edge is no rim."""
    core = inside
    for _ in range(line):
        padded = np.pad(core, 1, mode="edge")
        core = core & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return inside & ~core


def _grown(area: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """`area` and its 8-neighbours."""
    padded = np.pad(area, 1)
    rows = padded[:-2] | padded[1:-1] | padded[2:]
    return np.asarray(rows[:, :-2] | rows[:, 1:-1] | rows[:, 2:])
