"""The photographs and maps of the images that methods disagree on, shrunk to fit into one file together."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from reports.comparison.results import DisagreedImage, MethodView
from reports.overlay import data_uri, outlined, overlay, shrunk

_STEPS = ((352, 80), (288, 75), (224, 75), (160, 60), (112, 45), (80, 30))
"""(longest side in pixels, WebP quality), tried in turn for all pictures of a file"""


@dataclass(frozen=True)
class Strip:
    """One image's pictures as data URIs."""

    photograph: Markup | None
    """with the defect's outline; None without a picture"""
    maps: tuple[Markup | None, ...]
    """of each view; None without a map"""

    @property
    def size(self) -> int:
        """Bytes of all."""
        return len(self.photograph or "") + sum(len(one or "") for one in self.maps)


def strips(images: Sequence[DisagreedImage], most_bytes: int) -> list[Strip]:
    """The pictures of each image, all of the same size and quality; none if they do not fit into `most_bytes`."""
    for longest, quality in _STEPS if most_bytes > 0 else ():
        drawn = [_strip(image, longest, quality) for image in images]
        if sum(strip.size for strip in drawn) <= most_bytes:
            return drawn
    return [Strip(None, (None,) * len(image.views)) for image in images]


def _strip(image: DisagreedImage, longest: int, quality: int) -> Strip:
    if image.picture is None:
        return Strip(None, (None,) * len(image.views))
    small = shrunk(image.picture, longest)
    photograph = small if image.defect is None else outlined(small, image.defect)

    def over(view: MethodView) -> Markup | None:
        scored = view.scored
        if scored.anomaly_map is None or scored.pixel_threshold is None:
            return None
        drawn = overlay(
            small, scored.anomaly_map, scored.pixel_threshold, covered=scored.covered, ignored=scored.ignored
        )
        return Markup(data_uri(drawn, quality))

    return Strip(Markup(data_uri(photograph, quality)), tuple(over(view) for view in image.views))
