"""Pictures and their overlays, made just small enough for all of them to stand inside one file."""

import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from reports.overlay import data_uri, overlay, shrunk
from reports.scored_image import ScoredImage

_STEPS = ((448, 80), (320, 80), (224, 82), (192, 75), (192, 60), (160, 50), (128, 40), (96, 30), (64, 20))
"""(longest side in pixels, WebP quality), tried in turn for all pictures of a file alike"""
_SAMPLE = 8
"""pictures drawn to find out whether a step fits, before all are"""
_THREADS = 4
"""a night of many categories has hundreds of pictures, and Pillow draws beside Python"""

_HOPE = 1.5
"""how much smaller than in proportion to its pixels a smaller picture may turn out: larger steps are not tried"""


@dataclass(frozen=True)
class Thumbnail:
    """One image's data URIs."""

    picture: str
    overlay: str | None
    """None if the image has no anomaly map"""

    @property
    def size(self) -> int:
        """bytes of both"""
        return len(self.picture) + len(self.overlay or "")


EMPTY = Thumbnail("", "")
"""stands in a page for a picture, so that it is known how long the page is but for what the pictures hold"""


def thumbnails(images: Sequence[ScoredImage], most_bytes: int) -> list[Thumbnail | None]:
    """A thumbnail of each image, None where it has no picture; together at most `most_bytes` long if 64 pixels allow.

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
    over = overlay(small, image.anomaly_map, image.pixel_threshold, image.boxes)
    return Thumbnail(data_uri(small, quality), data_uri(over, quality))
