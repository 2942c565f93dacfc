"""Defects with their exact masks, from obvious to barely visible.

Every defect is a function `(image, rng, severity) -> (image, mask)`: image float32 (S, S, 3) in [0, 1], severity
in [0, 1] (0 small and faint, 1 large and obvious), mask bool (S, S) of the pixels that it changed visibly. The
given image is not altered.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter, map_coordinates

from demo import printed_part, woven_cloth
from demo.smooth_noise import smooth_noise

Picture = NDArray[np.float32]
Mask = NDArray[np.bool_]
Defect = Callable[[Picture, np.random.Generator, float], tuple[Picture, Mask]]

_VISIBLE = 0.25
"""coverage from which a pixel belongs to the mask"""


# --- woven cloth


def hole(image: Picture, rng: np.random.Generator, severity: float) -> tuple[Picture, Mask]:
    """A torn hole: dark inside, with broken fibres around the rim."""
    size = len(image)
    scale = size / 160
    inside = _blob(rng, size, radius=(3.5 + 8.5 * severity) * scale, roughness=0.22)
    rim = np.clip(gaussian_filter(inside, 2.2 * scale) * 1.6, 0, 1) - inside
    fibres = np.clip(rim * (0.5 + 0.5 * smooth_noise(rng, size, 0.5, 1.5 * scale)), 0, 1)[..., None]
    dark = np.array([0.05, 0.05, 0.06], np.float32) + 0.02 * smooth_noise(rng, size, 1, 1)[..., None]
    torn = image * (1 - inside[..., None]) + dark * inside[..., None]
    torn = torn * (1 - fibres) + np.array([0.80, 0.79, 0.75], np.float32) * fibres
    return _done(torn), (inside > _VISIBLE) | (fibres[..., 0] > 0.35)


def missing_thread(image: Picture, rng: np.random.Generator, severity: float) -> tuple[Picture, Mask]:
    """A missing weft thread: only the warp is left, over the dark ground."""
    size = len(image)
    pitch = woven_cloth.THREAD_PITCH * size / 160
    columns = np.arange(size)
    length = (0.28 + 0.8 * severity) * size
    start = rng.uniform(0, max(1.0, size - length))
    course = rng.uniform(0.15, 0.85) * size + 0.10 * pitch * np.sin(columns / size * 5 + rng.uniform(0, 6))
    across = np.abs(np.arange(size)[:, None] - course[None, :]) / (0.56 * pitch)
    along = np.clip((columns - start) / 4, 0, 1) * np.clip((start + length - columns) / 4, 0, 1)
    gap = np.clip(1.25 - across**3, 0, 1) * along[None, :]
    thread = 0.5 + 0.5 * np.sin(columns * 2 * np.pi / pitch + rng.uniform(0, 6))
    warp = np.array([0.24, 0.31, 0.42], np.float32) * (0.35 + 0.75 * thread)[None, :, None]
    warp = warp * (1 + 0.12 * smooth_noise(rng, size, 3, 0.5))[..., None]
    cover = (gap * (0.62 + 0.38 * severity))[..., None]
    return _done(image * (1 - cover) + warp * cover), gap > _VISIBLE


def stain(image: Picture, rng: np.random.Generator, severity: float) -> tuple[Picture, Mask]:
    """A dried spill: a brown veil with a darker edge; the weave shows through."""
    size = len(image)
    scale = size / 160
    soaked = gaussian_filter(_blob(rng, size, radius=(8 + 15 * severity) * scale, roughness=0.30), 1.6 * scale)
    # The cloth drinks unevenly: the front runs further along some threads than along others.
    body = np.clip((soaked + 0.10 * smooth_noise(rng, size, 2 * scale, 2 * scale) * (soaked > 0.05) - 0.25) * 3, 0, 1)
    edge = np.clip(body - gaussian_filter(body, 2.5 * scale), 0, 1)
    veil = (body * (0.24 + 0.26 * severity) + edge * 0.45)[..., None]
    veil = np.clip(veil * (1 + 0.12 * smooth_noise(rng, size, 4 * scale, 4 * scale)[..., None]), 0, 1)
    absorbed = 1 - veil * np.array([0.52, 0.72, 0.95], np.float32)
    return _done(image * absorbed), body > _VISIBLE


def foreign_fibre(image: Picture, rng: np.random.Generator, severity: float) -> tuple[Picture, Mask]:
    """A red thread lying loose on the cloth, with its shadow."""
    size = len(image)
    scale = size / 160
    points = _curve(rng, size, length=(16 + 60 * severity) * scale, bend=0.9)
    fibre = _stroke(points, size, width=(0.75 + 0.55 * severity) * scale)
    shadow = np.roll(gaussian_filter(fibre, 1.2 * scale), (round(2 * scale), round(1.4 * scale)), (0, 1))
    laid = image * (1 - 0.55 * np.clip(shadow, 0, 1))[..., None]
    red = np.array([0.70, 0.16, 0.13], np.float32) * (1 + 0.15 * smooth_noise(rng, size, 1, 1))[..., None]
    return _done(laid * (1 - fibre[..., None]) + red * fibre[..., None]), (fibre > _VISIBLE) | (shadow > 0.4)


# --- brushed metal


def scratch(image: Picture, rng: np.random.Generator, severity: float) -> tuple[Picture, Mask]:
    """A groove across the brushing: one bright flank, one dark."""
    size = len(image)
    scale = size / 160
    angle = rng.choice([-1, 1]) * rng.uniform(0.35, 1.35)
    points = _curve(rng, size, length=(18 + 85 * severity) * scale, bend=0.12, angle=angle)
    width = (0.75 + 0.45 * severity) * scale
    bright = _stroke(points, size, width)
    dark = _stroke(points + np.array([1.1, 0.8]) * scale, size, width)
    depth = 0.20 + 0.20 * severity
    cut = image + (depth * bright - 0.9 * depth * dark)[..., None]
    return _done(cut), (bright > _VISIBLE) | (dark > _VISIBLE)


def dent(image: Picture, rng: np.random.Generator, severity: float) -> tuple[Picture, Mask]:
    """A pressed-in spot: the streaks bend, one side catches the lamp and the other turns dark."""
    size = len(image)
    radius = (5 + 9 * severity) * size / 160
    centre = rng.uniform(0.15, 0.85, 2) * size
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    down, right = (rows - centre[0]) / radius, (columns - centre[1]) / radius
    bowl = np.exp(-(down**2 + (right * rng.uniform(0.75, 1.1)) ** 2))
    push = 0.35 * radius * bowl
    bent = np.stack(
        [map_coordinates(image[..., c], [rows + push * down, columns + push * right], order=1, mode="nearest")
         for c in range(3)], axis=-1,
    )  # fmt: skip
    shade = (0.30 + 0.40 * severity) * bowl * (0.55 * right + 0.85 * down)
    return _done(bent * (1 + shade)[..., None]), bowl > 0.22


def rust(image: Picture, rng: np.random.Generator, severity: float) -> tuple[Picture, Mask]:
    """A patch of orange and brown specks that grow together in the middle."""
    size = len(image)
    scale = size / 160
    patch = gaussian_filter(_blob(rng, size, (4 + 11 * severity) * scale, roughness=0.3), 1.5 * scale)
    speckle = smooth_noise(rng, size, 1.3 * scale, 1.8 * scale)
    cover = np.clip((patch * 2.6 - 0.9 + 0.55 * speckle) * 1.5, 0, 1) * (patch > 0.08)
    hue = np.clip(0.5 + 0.3 * smooth_noise(rng, size, 1.6 * scale, 1.6 * scale), 0, 1)[..., None]
    brown = np.array([0.36, 0.19, 0.10], np.float32) * (1 - hue)
    orange = np.array([0.72, 0.40, 0.18], np.float32) * hue
    opacity = (cover * (0.60 + 0.35 * severity))[..., None]
    return _done(image * (1 - opacity) + (brown + orange) * opacity), cover > _VISIBLE


def fingerprint(image: Picture, rng: np.random.Generator, severity: float) -> tuple[Picture, Mask]:
    """A greasy print: whorled ridges that dull the shine."""
    size = len(image)
    scale = size / 160
    centre = rng.uniform(0.25, 0.75, 2) * size
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    tilt = rng.uniform(-0.6, 0.6)
    down = (rows - centre[0]) * np.cos(tilt) + (columns - centre[1]) * np.sin(tilt)
    right = -(rows - centre[0]) * np.sin(tilt) + (columns - centre[1]) * np.cos(tilt)
    height = (15 + 11 * severity) * scale
    far = np.sqrt((down / height) ** 2 + (right / (0.68 * height)) ** 2)
    pad = 1 / (1 + np.exp(np.clip((far - 0.9) * 14, -30, 30)))
    waves = np.hypot(down + 0.3 * height, 1.25 * right) + 1.3 * scale * smooth_noise(rng, size, 6 * scale, 6 * scale)
    ridges = 0.5 + 0.5 * np.sin(waves * 2 * np.pi / (4.2 * scale))
    worn = np.clip(0.85 + 0.25 * smooth_noise(rng, size, 5 * scale, 5 * scale), 0, 1)
    dulled = pad * (0.25 + 0.75 * ridges) * worn * (0.27 + 0.13 * severity)
    return _done(image * (1 - dulled)[..., None]), pad > 0.4


# --- printed part


def missing_print(image: Picture, rng: np.random.Generator, severity: float) -> tuple[Picture, Mask]:
    """Missing print: bare board in place of a part of the legend."""
    size = len(image)
    scale = size / 160
    x, y, text = printed_part.LEGEND[0]
    reach = (12 + 62 * severity) * scale
    start = rng.uniform(x * scale, max(x * scale + 1, (x + 6.2 * len(text)) * scale - reach))
    rows, columns = np.mgrid[0:size, 0:size]
    band = (np.abs(rows - y * scale) < 7.5 * scale) & (columns >= start) & (columns < start + reach)
    ink = band & (image.min(axis=-1) > 0.24)
    if not ink.any():  # the window fell between two words
        band = np.abs(rows - y * scale) < 7.5 * scale
        ink = band & (image.min(axis=-1) > 0.24)
    lost = binary_dilation(ink, iterations=max(1, round(1.6 * scale)))
    board = np.median(image[band & ~lost], axis=0) * (1 + 0.03 * smooth_noise(rng, size, 0.7, 0.7))[..., None]
    return _done(np.where(lost[..., None], board, image)), lost


def smear(image: Picture, rng: np.random.Generator, severity: float) -> tuple[Picture, Mask]:
    """Wet ink dragged over the board."""
    size = len(image)
    scale = size / 160
    points = _curve(rng, size, (14 + 34 * severity) * scale, bend=0.35, angle=rng.uniform(-0.5, 0.5))
    body = np.clip(gaussian_filter(_stroke(points, size, (2.2 + 3.4 * severity) * scale), 1.0 * scale) * 1.2, 0, 1)
    dragged = np.clip(0.70 + 0.38 * smooth_noise(rng, size, 0.7 * scale, 6 * scale), 0, 1)
    veil = (body * dragged * (0.42 + 0.45 * severity))[..., None]
    return _done(image * (1 - veil) + np.array([0.86, 0.87, 0.83], np.float32) * veil), body > 0.35


def bridge(image: Picture, rng: np.random.Generator, severity: float) -> tuple[Picture, Mask]:
    """Solder that joins two neighbouring pads."""
    size = len(image)
    scale = size / 160
    row, pair = rng.integers(0, 2), rng.integers(0, 7)
    x, y = printed_part.PADS[8 * row + pair]
    middle = np.array([y + rng.uniform(-3.5, 3.5), x + 6.0]) * scale
    ends = np.array([[0, -4.6], [rng.uniform(-0.8, 0.8), 0], [0, 4.6]]) * scale
    blob = _stroke(middle + ends, size, (1.0 + 2.4 * severity) * scale)
    shine = np.clip(np.gradient(gaussian_filter(blob, scale), axis=0) * 2.5 * scale, -0.25, 0.4)
    tin = np.array([0.74, 0.74, 0.72], np.float32) * (1 + 0.04 * smooth_noise(rng, size, 1, 1))[..., None]
    soldered = image * (1 - blob[..., None]) + (tin + shine[..., None]) * blob[..., None]
    return _done(soldered), blob > _VISIBLE


def open_trace(image: Picture, rng: np.random.Generator, severity: float) -> tuple[Picture, Mask]:
    """A gap in a copper trace."""
    size = len(image)
    scale = size / 160
    straight = [(40, 112), (54, 112), (68, 112), (82, 112), (138, 55), (148, 60), (90, 13), (90, 20)]
    x, y = straight[rng.integers(0, len(straight))]
    half = (1.6 + 4.2 * severity) * scale
    rows, columns = np.mgrid[0:size, 0:size]
    reach = (half, 4.6 * scale) if y > 30 else (4.0 * scale, half)
    bite = (np.abs(rows - y * scale) < reach[0]) & (np.abs(columns - x * scale) < reach[1])
    cover = gaussian_filter(bite.astype(np.float32), 0.5 * scale)[..., None]
    around = binary_dilation(bite, iterations=round(5 * scale)) & (image[..., 1] < np.median(image[bite][:, 1]))
    board = np.median(image[around], axis=0) if around.any() else np.median(image, axis=(0, 1))
    bare = board * (1 + 0.03 * smooth_noise(rng, size, 0.7, 0.7))[..., None]
    eaten = image * (1 - cover) + bare * cover
    return _done(eaten), binary_dilation(bite) & (np.abs(eaten - image).max(axis=-1) > 0.04)


KINDS: dict[str, dict[str, Defect]] = {
    "woven_cloth": {
        "hole": hole,
        "missing_thread": missing_thread,
        "stain": stain,
        "foreign_fibre": foreign_fibre,
    },
    "brushed_metal": {"scratch": scratch, "dent": dent, "rust": rust, "fingerprint": fingerprint},
    "printed_part": {
        "missing_print": missing_print,
        "smear": smear,
        "bridge": bridge,
        "open_trace": open_trace,
    },
}
"""category -> kind -> defect"""


# --- shapes


def _done(image: NDArray) -> Picture:
    return np.clip(image, 0, 1).astype(np.float32)


def _blob(rng: np.random.Generator, size: int, radius: float, roughness: float) -> NDArray[np.float32]:
    """An irregular round patch, wholly inside the picture: float32 (size, size) in [0, 1], soft for one pixel."""
    margin = min(1.35 * radius, 0.45 * size)
    row, column = rng.uniform(margin, size - margin, 2)
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    angle = np.arctan2(rows - row, columns - column)
    rim = np.ones_like(angle)
    for waves in range(2, 7):
        rim += roughness * rng.normal() / waves * np.cos(waves * angle + rng.uniform(0, 2 * np.pi))
    return np.clip(radius * rim - np.hypot(rows - row, columns - column) + 0.5, 0, 1)


def _curve(
    rng: np.random.Generator, size: int, length: float, bend: float, angle: float | None = None
) -> NDArray[np.float64]:
    """Points (n, 2) as (row, column) along a smooth curve around a random place inside the picture."""
    steps = max(8, round(length))
    first = rng.uniform(0, 2 * np.pi) if angle is None else angle
    turns = np.cumsum(rng.normal(0, bend / np.sqrt(steps), steps)) + bend * np.linspace(-1, 1, steps) * rng.normal()
    heading = first + turns
    points = np.cumsum(np.stack([np.sin(heading), np.cos(heading)], axis=-1), axis=0) * length / steps
    return points - points.mean(axis=0) + rng.uniform(0.3, 0.7, 2) * size


def _stroke(points: NDArray, size: int, width: float) -> NDArray[np.float32]:
    """A line, `width` pixels to either side of `points`, thin at its ends: float32 (size, size) in [0, 1]."""
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32)
    dense = np.linspace(0, len(points) - 1, 4 * len(points))
    path = np.stack([np.interp(dense, np.arange(len(points)), points[:, axis]) for axis in (0, 1)], axis=-1)
    taper = width * np.clip(np.minimum(dense, dense[::-1]) / (0.12 * len(points)), 0.35, 1)
    cover = np.zeros((size, size), np.float32)
    for (row, column), reach in zip(path, taper, strict=True):
        pad = int(reach) + 3
        box = np.s_[
            max(0, int(row) - pad) : max(0, int(row) + pad), max(0, int(column) - pad) : max(0, int(column) + pad)
        ]
        near = np.clip(reach + 0.5 - np.hypot(rows[box] - row, columns[box] - column), 0, 1)
        np.maximum(cover[box], near, out=cover[box])
    return cover
