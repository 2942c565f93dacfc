"""The results of one Label Studio annotation: regions drawn on the image, choices, and other answers.

A task can show several pictures: `to_name` names a result's picture, `item_index` its place among several of that
name. Coordinates are per cent of the image's sides; a brush is a run-length code of RGBA pixels (`rle-pack`).
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.errors import StorageError
from storage.pictures.rasters import brush_mask, ellipse_corners, polygon_mask, rectangle_corners

_MOST_PIXELS = 100_000_000
_FARTHEST = 1e6
"""per cent of a side; points beyond were not drawn by hand"""
_BESIDE = frozenset(
    {"choices", "labels", "relation", "taxonomy", "number", "rating", "textarea", "datetime", "pairwise", "ranker"}
)
"""types of results without a place"""
_HEARD = frozenset({"choices", "labels", "relation"})
"""those of them that a label has a field for, or that join regions"""


class NotAnExport(StorageError):
    """The file is no supported export; nothing was imported."""


@dataclass(frozen=True)
class Results:
    """The results of one annotation."""

    regions: tuple[dict[str, Any], ...]
    """drawn on the image"""
    choices: tuple[str, ...]
    """about the image"""
    kinds: tuple[str, ...]
    """labels of its regions, most frequent first"""
    elsewhere: Mapping[str, int]
    """number of results on another picture or text of the task, by its name"""
    unheard: Mapping[str, int]
    """number of answers that a label has no field for, by type"""


def objects_of(results: Iterable[dict[str, Any]]) -> set[str]:
    """The names of the results' pictures."""
    return {str(result["to_name"]) for result in results if result.get("to_name") is not None}


def sorted_results(results: Sequence[dict[str, Any]], image: str | None, where: str) -> Results:
    """Regions and choices on `image`, the name of its tag; None if there is no other.

    Raises NotAnExport for a region type without a mask: it would be lost.
    """
    about, elsewhere = [], Counter[str]()
    for result in results:
        name = str(result.get("to_name", image))
        page = result.get("item_index") or 0
        if image is not None and name != image:
            elsewhere[name] += 1
        elif page != 0:
            elsewhere[f"{name}, picture {page}"] += 1
        else:
            about.append(result)
    regions = [result for result in about if _is_region(result, where)]
    choices = [str(choice) for result in about for choice in _texts(result, "choices", where)]
    drawn = {region.get("id") for region in regions}
    beside = [result for result in about if result.get("type") == "labels" and result.get("id") in drawn]
    kinds = Counter(
        name for region in (*regions, *beside) for name in _texts(region, str(region["type"]), where) if name.strip()
    )
    unheard = Counter(
        str(region["type"]) for region in about if region not in regions and region.get("type") not in _HEARD
    )
    return Results(tuple(regions), tuple(choices), tuple(kind for kind, _ in kinds.most_common()), elsewhere, unheard)


def mask_of(regions: Iterable[dict[str, Any]], where: str) -> NDArray[np.bool_]:
    """The pixels in any of the regions, bool [H, W]. Raises NotAnExport; ValueError and its like name the value."""
    mask: NDArray[np.bool_] | None = None
    for region in regions:
        height, width = (_side(region, name, where) for name in ("original_height", "original_width"))
        if not 0 < height * width <= _MOST_PIXELS:
            raise ValueError(f"an image of {width} x {height} pixels")
        if region.get("image_rotation"):
            raise NotAnExport(
                f"{where} was drawn on an image turned by {region['image_rotation']} degrees, so its mask would lie "
                "elsewhere; no label was read. Turn the image back and draw it again."
            )
        shape = _SHAPES[_shape_of(region)](region["value"], height, width)
        if mask is not None and mask.shape != shape.shape:
            raise ValueError(f"regions of images of {mask.shape} and {shape.shape} pixels")
        mask = shape if mask is None else mask | shape
    if mask is None:
        raise ValueError("no region")
    return mask


def _is_region(result: dict[str, Any], where: str) -> bool:
    if _shape_of(result) in _SHAPES:
        return True
    if result.get("type") not in _BESIDE:
        raise NotAnExport(
            f"{where} has a region of type {result.get('type')!r}, which would be lost, so no label was read. Draw "
            f"{', '.join(sorted(_SHAPES))} instead."
        )
    return False


def _shape_of(result: dict[str, Any]) -> str:
    return str(result.get("type", "")).removesuffix("labels")


def _texts(result: dict[str, Any], name: str, where: str) -> list[str]:
    """The list under `name` in a result's value; relations have no value, plain shapes no labels."""
    if result.get("type") == "relation":
        return []
    value = result.get("value")
    texts = value.get(name, []) if isinstance(value, dict) else None
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise NotAnExport(
            f"{where} has a result of type {result.get('type')!r} whose {name} are no list of texts, so no label was "
            "read. Export it again as 'JSON'."
        )
    return texts


def _side(region: dict[str, Any], name: str, where: str) -> int:
    side = region.get(name)
    if isinstance(side, bool) or not isinstance(side, (int, float)) or side != side // 1:
        raise NotAnExport(
            f"{where} has a region whose {name} is {side!r}: the image's size in pixels is not known, so its mask "
            "could not be drawn and no label was read. Open the task in Label Studio, save it, and export again."
        )
    return int(side)


def _scaled(points: Iterable[Iterable[float]], height: int, width: int) -> NDArray[np.float64]:
    """Points (n, 2), x and y in per cent, in pixels."""
    drawn = np.array([list(point) for point in points], np.float64)
    if drawn.ndim != 2 or drawn.shape[1] != 2 or not (np.abs(drawn) <= _FARTHEST).all():
        raise ValueError(f"points of shape {drawn.shape}, or far outside the image")
    return drawn * [width / 100, height / 100]


def _polygon(value: dict[str, Any], height: int, width: int) -> NDArray[np.bool_]:
    return polygon_mask(_scaled(value["points"], height, width), height, width)


def _rectangle(value: dict[str, Any], height: int, width: int) -> NDArray[np.bool_]:
    [corner, sides] = _scaled([[value["x"], value["y"]], [value["width"], value["height"]]], height, width)
    return polygon_mask(rectangle_corners(corner, sides, _angle(value)), height, width)


def _ellipse(value: dict[str, Any], height: int, width: int) -> NDArray[np.bool_]:
    [centre, radii] = _scaled([[value["x"], value["y"]], [value["radiusX"], value["radiusY"]]], height, width)
    return polygon_mask(ellipse_corners(centre, radii, _angle(value)), height, width)


def _brush(value: dict[str, Any], height: int, width: int) -> NDArray[np.bool_]:
    if value.get("format") != "rle":
        raise ValueError(f"a brush in the format {value.get('format')!r}")
    return brush_mask(bytes(value["rle"]), height, width)


_SHAPES: dict[str, Callable[[dict[str, Any], int, int], NDArray[np.bool_]]] = {
    "polygon": _polygon, "rectangle": _rectangle, "ellipse": _ellipse, "brush": _brush,
}  # fmt: skip


def _angle(value: dict[str, Any]) -> float:
    angle = math.radians(float(value.get("rotation") or 0))
    if not math.isfinite(angle):
        raise ValueError(f"a rotation of {value['rotation']!r} degrees")
    return angle
