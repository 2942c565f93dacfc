"""What people drew and chose in Label Studio, from its JSON export.

A task is an image, and each of its annotations is one person's word:

    choices         the word, such as "normal" or "Defect"; a choice that is no word is the kind of defect
    polygonlabels, rectanglelabels, ellipselabels, brushlabels
                    where the defect is, and of which kind; drawn without a choice they mean 'anomalous'

Coordinates are per cent of the image's sides; a brush is a run-length code of RGBA pixels (the `rle-pack` format).
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.errors import StorageError
from storage.label_words import CHOICES
from storage.labels import WORDS
from storage.rasters import brush_mask, ellipse_corners, polygon_mask, rectangle_corners

_MOST_PIXELS = 100_000_000
_FIELD = "image"


class NotAnExport(StorageError):
    """The file is no export of labels that we understand; nothing of it was taken."""


@dataclass(frozen=True, eq=False)
class Annotation:
    """One person's word on one image."""

    image_key: str
    word: str
    """one of storage.labels.WORDS, but never 'withdrawn'"""
    kind: str | None
    """of defect: the label of most regions, or the choice that is no word"""
    mask: NDArray[np.bool_] | None
    """bool [H, W] of the image's pixels, True where the defect is; None if nothing was drawn"""
    annotator: str
    """their address or name, or 'annotator 3' where the export tells only a number"""
    time: datetime
    """UTC; when it was last changed"""


@dataclass(frozen=True, eq=False)
class Export:
    """All an export says."""

    annotations: tuple[Annotation, ...]
    """in the order of the file"""
    cancelled: int
    """annotations that were skipped or cancelled"""
    empty: int
    """annotations with neither choice nor region: they say nothing, so they are left out"""


def read_export(data: bytes, image_key_of: Callable[[str], str], choices: Mapping[str, str] | None = None) -> Export:
    """The annotations of a JSON export (the format 'JSON', not 'JSON-MIN').

    `image_key_of` maps what a task calls its image to the key of it, and refuses what it does not know.
    `choices`: further choices of the labelling interface by the word they mean, beside CHOICES.
    NotAnExport names task, value and cure; then nothing was taken.
    """
    meanings = {**CHOICES, **{choice.strip().lower(): word for choice, word in (choices or {}).items()}}
    wrong = sorted(set(meanings.values()) - set(WORDS))
    if wrong:
        raise NotAnExport(f"the word {wrong[0]!r} is unknown, so no label was read. Use {' or '.join(WORDS[:3])}.")
    found: list[Annotation] = []
    cancelled = empty = 0
    for task in _tasks(data):
        where = f"task {task.get('id', '(without a number)')}"
        drawn = [one for one in _list_of(task, "annotations", where) if not one.get("was_cancelled")]
        cancelled += len(task["annotations"]) - len(drawn)
        said = [one for one in drawn if _list_of(one, "result", where)]
        empty += len(drawn) - len(said)
        if said:
            key = image_key_of(_image_of(task, where))
            found += [_annotation(one, key, where, meanings) for one in said]
    return Export(tuple(found), cancelled, empty)


def _tasks(data: bytes) -> list[dict[str, Any]]:
    try:
        tasks = json.loads(data)
    except ValueError as e:
        raise NotAnExport(f"the file is not JSON ({e}), so no label was read. Export it again as 'JSON'.") from e
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise NotAnExport("the file is JSON but no list of tasks, so no label was read. Export it again as 'JSON'.")
    if any("annotations" not in task for task in tasks):
        raise NotAnExport(
            "a task has no 'annotations', so no label was read: this is 'JSON-MIN' or another format. Export it "
            "again as 'JSON'."
        )
    return tasks


def _list_of(record: dict[str, Any], name: str, where: str) -> list[dict[str, Any]]:
    value = record.get(name) or []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise NotAnExport(
            f"{where}: {name!r} is no list of records, so no label was read. Export it again as 'JSON'."
        )
    return value


def _image_of(task: dict[str, Any], where: str) -> str:
    fields = task.get("data")
    texts = {name: value for name, value in fields.items() if isinstance(value, str)} if fields else {}
    if _FIELD in texts:
        return texts[_FIELD]
    if len(texts) == 1:
        return next(iter(texts.values()))
    raise NotAnExport(
        f"{where} has the data {', '.join(sorted(texts)) or 'none'}: which of it is the image cannot be told, so no "
        f"label was read. Call it {_FIELD!r}."
    )


def _annotation(one: dict[str, Any], key: str, where: str, meanings: Mapping[str, str]) -> Annotation:
    where = f"{where}, annotation {one.get('id', '(without a number)')} of {key!r}"
    results = one["result"]
    try:
        regions = [result for result in results if _is_region(result, where)]
        chosen = [str(choice) for result in results for choice in result["value"].get("choices", [])]
        kinds = Counter(kind for region in regions for kind in _names(region))
        word, others = _word(chosen, bool(regions), where, meanings)
        mask = _mask(regions, where) if regions and word == "anomalous" else None
        time = _time(one, where)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as e:
        raise NotAnExport(
            f"{where} cannot be read ({e!r}), so no label was read. Export it again as 'JSON', or remove the task."
        ) from e
    named = [kind for kind, _ in kinds.most_common() if kind.lower() not in meanings] + others
    kind = named[0] if named and word == "anomalous" else None
    return Annotation(key, word, kind, mask, _annotator(one.get("completed_by")), time)


def _word(chosen: list[str], drawn: bool, where: str, meanings: Mapping[str, str]) -> tuple[str, list[str]]:
    """The word that choices and regions mean, and the choices that are none."""
    words = sorted({meanings[choice.strip().lower()] for choice in chosen if choice.strip().lower() in meanings})
    others = [choice for choice in chosen if choice.strip().lower() not in meanings]
    if len(words) > 1 or (drawn and words == ["normal"]):
        said = " and ".join([*words, *(["a region of a defect"] if drawn else [])])
        raise NotAnExport(f"{where} says {said}: which holds cannot be told, so no label was read. Correct it there.")
    if not words and not drawn:
        raise NotAnExport(
            f"{where}: the choice {', '.join(map(repr, others)) or 'none'} is no word we know "
            f"({', '.join(sorted(CHOICES))}), so no label was read. Say what it means: "
            f"--word {others[0] if others else 'CHOICE'}=anomalous"
        )
    return words[0] if words else "anomalous", others


def _is_region(result: dict[str, Any], where: str) -> bool:
    if _shape_of(result) in _SHAPES:
        return True
    if str(result.get("type", "")).endswith("labels"):
        raise NotAnExport(
            f"{where} has a region of type {result['type']!r}, which would be lost, so no label was read. Draw "
            f"{', '.join(sorted(_SHAPES))} instead."
        )
    return False


def _shape_of(result: dict[str, Any]) -> str:
    return str(result.get("type", "")).removesuffix("labels")


def _names(region: dict[str, Any]) -> list[str]:
    return (
        [str(name) for name in region["value"].get(region["type"], [])] if region["type"].endswith("labels") else []
    )


def _mask(regions: Iterable[dict[str, Any]], where: str) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] | None = None
    for region in regions:
        height, width = int(region["original_height"]), int(region["original_width"])
        if not 0 < height * width <= _MOST_PIXELS:
            raise ValueError(f"an image of {width} x {height} pixels")
        if region.get("image_rotation"):
            raise NotAnExport(
                f"{where} was drawn on an image turned by {region['image_rotation']} degrees, so its mask would lie "
                "elsewhere; no label was read. Turn the image back and draw it again."
            )
        one = _SHAPES[_shape_of(region)](region["value"], height, width)
        if mask is not None and mask.shape != one.shape:
            raise ValueError(f"regions of images of {mask.shape} and {one.shape} pixels")
        mask = one if mask is None else mask | one
    if mask is None:
        raise ValueError("no region")
    return mask


def _scaled(points: Iterable[Iterable[float]], height: int, width: int) -> NDArray[np.float64]:
    """Points (n, 2), x and y in per cent, as pixels."""
    scaled = np.array([list(point) for point in points], np.float64) * [width / 100, height / 100]
    if scaled.ndim != 2 or scaled.shape[1] != 2 or not np.isfinite(scaled).all():
        raise ValueError(f"points of shape {scaled.shape}, or not finite")
    return scaled


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
    return math.radians(float(value.get("rotation") or 0))


def _annotator(by: object) -> str:
    if not isinstance(by, dict):
        return f"annotator {by}" if by is not None else "annotator unknown"
    name = " ".join(str(by[part]) for part in ("first_name", "last_name") if by.get(part))
    return str(by.get("email") or name or by.get("username") or f"annotator {by.get('id', 'unknown')}")


def _time(one: dict[str, Any], where: str) -> datetime:
    text = one.get("updated_at") or one.get("created_at")
    if not text:
        raise NotAnExport(f"{where} has no time, so the latest label could not be told. Export it again as 'JSON'.")
    when = datetime.fromisoformat(str(text))
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
