"""Pictures and their overlays as data URIs, shrunk to fit into one file together."""

import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from reports.overlay import data_uri, overlay, shrunk
from reports.scored_image import ScoredImage

_STEPS = ((448, 80), (320, 80), (224, 82), (192, 75), (192, 60), (160, 50), (128, 40), (96, 30), (64, 20))
"""(longest side in pixels, WebP quality), tried in turn for all pictures of a file"""
_SAMPLE = 8
"""pictures drawn to test whether a step fits"""
_THREADS = 4
"""Pillow releases the interpreter lock, and large reports have hundreds of pictures"""

_HOPE = 1.5
"""bytes may fall by this factor more than the pixel count; steps beyond that are skipped"""


@dataclass(frozen=True)
class Thumbnail:
    """One image's data URIs."""

    picture: str
    overlay: str | None
    """None without an anomaly map"""

    @property
    def size(self) -> int:
        """Bytes of both."""
        return len(self.picture) + len(self.overlay or "")


EMPTY = Thumbnail("", "")
"""stands for a picture in a page whose length without pictures is measured"""


def thumbnails(images: Sequence[ScoredImage], most_bytes: int) -> list[Thumbnail | None]:
    """A thumbnail of each image, None without a picture; together at most `most_bytes`, if 64 pixels a side allow it.

    All have the same size and quality, so that they can be compared.
    """
    drawable = [image for image in images if image.picture is not None]
    sample = drawable[:: max(1, len(drawable) // _SAMPLE)]
    plausible = math.inf
    with ThreadPoolExecutor(_THREADS) as pool:
        for longest, quality in _STEPS:
            draw = partial(_drawn, longest=longest, quality=quality)
            last = (longest, quality) == _STEPS[-1]
            if longest**2 > plausible and not last:
                continue
            sampled = _total(pool.map(draw, sample))
            if not last and sampled * len(drawable) > most_bytes * len(sample):
                plausible = _HOPE * longest**2 * most_bytes * len(sample) / (sampled * len(drawable))
                continue
            drawn = list(pool.map(draw, images))
            if last or _total(drawn) <= most_bytes:
                break
    return drawn


def _total(drawn: Iterable[Thumbnail | None]) -> int:
    return sum(thumbnail.size for thumbnail in drawn if thumbnail)


def _drawn(image: ScoredImage, longest: int, quality: int) -> Thumbnail | None:
    if image.picture is None:
        return None
    small = shrunk(image.picture, longest)
    if image.anomaly_map is None or image.pixel_threshold is None:
        return Thumbnail(data_uri(small, quality), None)
    over = overlay(
        small, image.anomaly_map, image.pixel_threshold, image.boxes, covered=image.covered, ignored=image.ignored
    )
    return Thumbnail(data_uri(small, quality), data_uri(over, quality))
