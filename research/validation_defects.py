"""Synthetic defects to choose settings by, drawn by other rules than those of training.

Training shows the student the defects of `rd_core.pictures.synthetic_defects`; settings judged by the same ones would
be judged too well. These follow the defects of three kinds of product: spots, cracks, stains, broken, smeared,
covered and badly ground patches, chipped borders, missing pieces, and bridges of copper.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, shift

Picture = NDArray[np.float32]
"""(S, S, 3) in [0, 255]"""
Cover = NDArray[np.float32]
"""(S, S) in [0, 1]: how much of the defect is at each place"""
Generator = np.random.Generator
Range = tuple[float, float]
"""(lowest, highest)"""
Defect = Callable[[Picture, Generator, float], tuple[Picture, NDArray[np.bool_]]]
"""(picture, random numbers, inset) -> (picture with a defect, its mask (S, S)). inset, in [0, 1]: how far from the
border the defect's centre lies; 0: anywhere"""

PRESENT = 0.3
"""cover from which a pixel counts as defective"""
VISIBLE, FEWEST_PIXELS = 8, 8
"""a defect is drawn again unless this many pixels (FEWEST_PIXELS) change by more than VISIBLE grey values"""
FOREIGN = 40
"""least difference, in grey values, between a pixel and the colour of a defect over it"""
ATTEMPTS = 20


@dataclass(frozen=True)
class SyntheticDefects:
    """Images with a synthetic defect each."""

    images: NDArray[np.uint8]
    """(N, S, S, 3)"""
    masks: NDArray[np.bool_]
    """(N, S, S)"""
    kinds: tuple[str, ...]
    """(N,)"""


def draw(images: NDArray[np.uint8], kinds: Sequence[Defect], seed: int = 7, inset: float = 1) -> SyntheticDefects:
    """Draw one defect into each of the square images uint8 (N, S, S, 3), the kinds in turn. Deterministic by seed."""
    rng = np.random.default_rng(seed)
    defective_images, masks = [], []
    for number, image in enumerate(images):
        for _ in range(ATTEMPTS):
            defective, mask = kinds[number % len(kinds)](image.astype(np.float32), rng, inset)
            rounded = np.clip(defective, 0, 255).round().astype(np.uint8)
            change = np.abs(rounded.astype(int) - image).max(axis=-1)
            if np.count_nonzero(change > VISIBLE) >= FEWEST_PIXELS and mask.any():
                break
        defective_images.append(rounded)
        masks.append(mask)
    names = tuple(kinds[number % len(kinds)].__name__ for number in range(len(images)))
    return SyntheticDefects(np.stack(defective_images), np.stack(masks), names)


def faded(images: NDArray[np.uint8], drawn: SyntheticDefects, faintest: float, seed: int = 7) -> SyntheticDefects:
    """Fade each defect to a random strength, log-uniform from `faintest` in (0, 1] to 1: detectors that find every
    defect at full strength cannot be compared by them."""
    strength = np.exp(np.random.default_rng(1000 + seed).uniform(np.log(faintest), 0, len(images)))
    share = strength.astype(np.float32)[:, None, None, None]
    defective = images * (1 - share) + drawn.images * share
    return replace(drawn, images=defective.round().clip(0, 255).astype(np.uint8))


def spot(picture: Picture, rng: Generator, inset: float) -> tuple[Picture, NDArray[np.bool_]]:
    """A small dark blot."""
    cover = _blot(rng, len(picture), rng.uniform(0.012, 0.035) * len(picture), inset)
    return picture * (1 - cover[..., None] * rng.uniform(0.35, 0.8)), cover > PRESENT


def crack(picture: Picture, rng: Generator, inset: float) -> tuple[Picture, NDArray[np.bool_]]:
    """A thin dark line that wanders."""
    return _cracked(picture, rng, inset, lengths=(0.12, 0.5), widths=(0.5, 1.0), strengths=(0.25, 0.7))


def stain(picture: Picture, rng: Generator, inset: float) -> tuple[Picture, NDArray[np.bool_]]:
    """A large, faint, cloudy change of light."""
    side = len(picture)
    cover = gaussian_filter(_blot(rng, side, rng.uniform(0.15, 0.4) * side, inset), 0.03 * side)
    cloud = _noise(rng, side, rng.uniform(0.02, 0.08) * side)
    return picture * (1 + (cover * (rng.uniform(-0.25, 0.25) + 0.12 * cloud))[..., None]), cover > PRESENT


def broken(picture: Picture, rng: Generator, inset: float) -> tuple[Picture, NDArray[np.bool_]]:
    """A chipped patch: other light, other grain, the picture's hue."""
    side = len(picture)
    cover = _blot(rng, side, rng.uniform(0.05, 0.16) * side, inset)
    grain = _noise(rng, side, rng.uniform(0.006, 0.02) * side)
    light = np.clip(picture.mean() * (rng.uniform(0.5, 1.4) + 0.25 * grain), 0, 255)
    hue = picture.mean(axis=(0, 1)) / picture.mean()
    return _laid_over(picture, light[..., None] * hue, cover), cover > PRESENT


def smear(picture: Picture, rng: Generator, inset: float) -> tuple[Picture, NDArray[np.bool_]]:
    """A patch that is blurred, more in one direction."""
    side = len(picture)
    cover = _blot(rng, side, rng.uniform(0.06, 0.2) * side, inset)
    rng.uniform()  # decides nothing, but without it all later defects would be others than those that were measured
    dragged = gaussian_filter(picture, (rng.uniform(1, 3) * side / 200, rng.uniform(1, 6) * side / 200, 0))
    return _laid_over(picture, dragged * rng.uniform(0.9, 1.1), cover), cover > PRESENT


def missing(picture: Picture, rng: Generator, inset: float) -> tuple[Picture, NDArray[np.bool_]]:
    """A bite, or a piece too many, in a colour of the picture."""
    cover = _blot(rng, len(picture), rng.uniform(0.012, 0.03) * len(picture), inset)
    for _ in range(ATTEMPTS):
        colour = _a_colour(picture, rng)
        if _differs(picture, colour, cover):
            break
    return _coloured(picture, colour, cover)


def bridge(picture: Picture, rng: Generator, inset: float) -> tuple[Picture, NDArray[np.bool_]]:
    """A short straight bar in a colour of the picture."""
    side = len(picture)
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32)
    for _ in range(ATTEMPTS):
        (row, column), angle = (
            rng.uniform(0.15 * inset * side, (1 - 0.15 * inset) * side, 2),
            rng.choice([0, np.pi / 2, np.pi / 4]),
        )
        length, width = rng.uniform(0.01, 0.04) * side, rng.uniform(0.003, 0.008) * side
        along, across = _turned(rows - row, columns - column, angle)
        bar = (np.abs(along) < length) & (np.abs(across) < width)
        cover = gaussian_filter(bar.astype(np.float32), 0.6)
        colour = _a_colour(picture, rng)
        if _differs(picture, colour, cover):
            break
    return _coloured(picture, colour, cover)


def residue(picture: Picture, rng: Generator, inset: float) -> tuple[Picture, NDArray[np.bool_]]:
    """A patch with a clear edge under which the grain is hardly seen, mostly darker."""
    side = len(picture)
    cover = _blot(rng, side, rng.uniform(0.08, 0.28) * side, inset)
    level = gaussian_filter(picture, (0.02 * side, 0.02 * side, 0))
    covered = level * rng.uniform(0.55, 0.98) + (picture - level) * rng.uniform(0.1, 0.5)
    return _laid_over(picture, covered, cover), cover > PRESENT


def uneven(picture: Picture, rng: Generator, inset: float) -> tuple[Picture, NDArray[np.bool_]]:
    """A box with coarse grain, as where grinding did not reach: streaks along the picture's own direction."""
    side = len(picture)
    middle, sides = rng.uniform(0.2 * inset * side, (1 - 0.2 * inset) * side, 2), rng.uniform(0.15, 0.5, 2) * side
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32)
    down, across = _turned(rows - middle[0], columns - middle[1], rng.normal(0, 0.1))
    cover = ((np.abs(down) < sides[0] / 2) & (np.abs(across) < sides[1] / 2)).astype(np.float32)
    cover = gaussian_filter(cover, rng.uniform(0.5, 3))
    long, short, thin = 0.04 * side, 0.03 * side, 0.003 * side
    along = [
        gaussian_filter(picture, fine) - gaussian_filter(picture, coarse)
        for fine, coarse in (((long, thin, 0), (long, short, 0)), ((thin, long, 0), (short, long, 0)))
    ]
    streaks = max(along, key=lambda grain: float(grain.std()))
    defective = picture * rng.uniform(0.95, 1.2) + streaks * rng.uniform(0.7, 2.5)
    return _laid_over(picture, defective, cover), cover > PRESENT


def hairline(picture: Picture, rng: Generator, inset: float) -> tuple[Picture, NDArray[np.bool_]]:
    """A crack hardly darker than its surroundings."""
    return _cracked(picture, rng, inset, lengths=(0.1, 0.4), widths=(0.4, 0.8), strengths=(0.12, 0.4))


def chip(picture: Picture, rng: Generator, inset: float) -> tuple[Picture, NDArray[np.bool_]]:
    """A dark bite out of the picture's border, whatever `inset` is."""
    side = len(picture)
    cover = _blot(rng, side, rng.uniform(0.03, 0.12) * side, inset)
    row, column = (int(value.mean()) for value in np.nonzero(cover > PRESENT))
    shifts = (-row, 0), (side - 1 - row, 0), (0, -column), (0, side - 1 - column)
    down, right = shifts[rng.integers(4)]
    cover = shift(cover, (down, right), order=0)
    dark = picture.mean() * rng.uniform(0.1, 0.6) * (1 + 0.2 * _noise(rng, side, 0.01 * side))
    return _laid_over(picture, dark[..., None], cover), cover > PRESENT


TEXTURE: tuple[Defect, ...] = (spot, crack, stain, broken, smear, residue, uneven, hairline, chip)
CASTING: tuple[Defect, ...] = (spot, crack, broken, smear, missing)
BOARD: tuple[Defect, ...] = (spot, missing, bridge, bridge, missing)


def _cracked(
    picture: Picture, rng: Generator, inset: float, lengths: Range, widths: Range, strengths: Range
) -> tuple[Picture, NDArray[np.bool_]]:
    """lengths: in sides. widths: in pixels of a picture of 200 pixels. strengths: shares of light lost."""
    side = len(picture)
    cover = _path(rng, side, rng.uniform(*lengths), rng.uniform(*widths) * side / 200, inset)
    return picture * (1 - cover[..., None] * rng.uniform(*strengths)), cover > PRESENT


def _laid_over(picture: Picture, other: Picture, cover: Cover) -> Picture:
    return picture * (1 - cover[..., None]) + other * cover[..., None]


def _coloured(picture: Picture, colour: Picture, cover: Cover) -> tuple[Picture, NDArray[np.bool_]]:
    seen = np.abs(colour - picture).max(axis=-1) * (cover > 0.5)
    return _laid_over(picture, colour, cover), (cover > PRESENT) & (seen > 15)


def _a_colour(picture: Picture, rng: Generator) -> Picture:
    return picture[rng.integers(len(picture)), rng.integers(len(picture))]


def _differs(picture: Picture, colour: Picture, cover: Cover) -> bool:
    seen = np.abs(colour - picture).max(axis=-1) * (cover > 0.5)
    return bool(np.count_nonzero(seen > FOREIGN) > FEWEST_PIXELS)


def _noise(rng: Generator, side: int, grain: float) -> NDArray[np.float32]:
    """Smooth noise of unit variance, (side, side)."""
    noise = gaussian_filter(rng.normal(size=(side, side)).astype(np.float32), grain)
    return noise / (noise.std() + 1e-9)


def _blot(rng: Generator, side: int, radius: float, inset: float) -> Cover:
    """An ellipse with a ragged edge."""
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32)
    row, column = rng.uniform(0.12 * inset * side, (1 - 0.12 * inset) * side, 2)
    along, across = _turned(rows - row, columns - column, rng.uniform(0, np.pi))
    longer = rng.uniform(1, 2.2) ** 0.5
    distance = np.sqrt((along / (radius * longer)) ** 2 + (across / (radius / longer)) ** 2)
    distance += 0.18 * _noise(rng, side, max(1, radius / 2))
    return np.clip((1.15 - distance) / 0.3, 0, 1)


def _path(rng: Generator, side: int, length: float, width: float, inset: float) -> Cover:
    """A nearly straight random walk, `length` sides long and `width` pixels wide, its peak 1."""
    path = np.zeros((side, side), np.float32)
    place, heading = rng.uniform(0.2 * inset * side, (1 - 0.2 * inset) * side, 2), rng.uniform(0, 2 * np.pi)
    for _ in range(int(length * side)):
        heading += rng.normal() * 0.25
        place = np.add(place, (np.sin(heading), np.cos(heading)))
        row, column = np.round(place).astype(int)
        if min(row, column) < 1 or max(row, column) >= side - 1:
            break
        path[row, column] = 1
    path = gaussian_filter(path, width)
    return path / (path.max() + 1e-9)


def _turned(
    rows: NDArray[np.float32], columns: NDArray[np.float32], angle: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Coordinates (along, across) in axes turned by `angle` radians."""
    return rows * np.cos(angle) + columns * np.sin(angle), columns * np.cos(angle) - rows * np.sin(angle)
