"""What people drew and chose in Label Studio, from its JSON export.

A task is an image, and each of its annotations is one person's word:

    choices         the word, such as "normal" or "Defect"; a choice that is no word is the kind of defect
    polygonlabels, rectanglelabels, ellipselabels, brushlabels
                    where the defect is, and of which kind; drawn without a choice they mean 'anomalous'

What was said of another picture of the task is no word on the image: it is left out, and counted by name.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from storage.errors import StorageError
from storage.labels import annotators
from storage.labels.cells import WORDS, text_of
from storage.labels.regions import NotAnExport, Results, mask_of, objects_of, sorted_results
from storage.labels.times import refuse_impossible, time_of
from storage.labels.words import CHOICES, meanings_of, plain_choice

_FIELD = "image"
T = TypeVar("T")
_PICTURE = re.compile(r"\.(png|jpe?g|jp2|bmp|tiff?|webp|gif|heic|dcm)($|\?)", re.IGNORECASE)
_OTHER_FORMATS = (
    ({"images", "annotations", "categories"}, "COCO"),
    ({"items", "categories"}, "Datumaro"),
    ({"shapes", "imagePath"}, "labelme"),
    ({"_via_img_metadata"}, "VGG Image Annotator"),
    ({"annotations"}, "Label Studio, one task alone"),
)
"""keys of other tools' JSON"""


@dataclass(frozen=True, eq=False)
class Annotation:
    """One person's label of one image."""

    image_key: str
    word: str
    """one of storage.labels.cells.WORDS except 'withdrawn'"""
    kind: str | None
    """of defect: the label of most regions, or a choice that is no word"""
    mask: NDArray[np.bool_] | None
    """bool [H, W] in the image's pixels, True for the defect; None without a drawing"""
    annotator: str
    """address or name, or 'annotator 3' if the export has only a number"""
    time: datetime
    """UTC; time of the last change"""


@dataclass(frozen=True, eq=False)
class Export:
    """The contents of an export."""

    annotations: tuple[Annotation, ...]
    """in the file's order"""
    cancelled: int
    """number of skipped or cancelled annotations"""
    empty: int
    """number of annotations without choice or region on the image; they are left out"""
    elsewhere: Mapping[str, int] = field(default_factory=dict)
    """number of regions and choices on other pictures of the tasks, by the picture's tag"""
    unheard: Mapping[str, int] = field(default_factory=dict)
    """number of answers that a label has no field for, by type"""


@dataclass(frozen=True)
class _Reading:
    """Facts about the whole export."""

    meanings: Mapping[str, str]
    image: str | None
    """the tag that shows the image; None without another picture"""
    people: Mapping[str, str]
    """names by number"""
    now: datetime


def read_export(
    data: bytes,
    image_key_of: Callable[[str], str],
    choices: Mapping[str, str] | None = None,
    *,
    now: datetime,
    image_tag: str | None = None,
) -> Export:
    """The annotations of a JSON export (format 'JSON', not 'JSON-MIN').

    `image_key_of` maps a task's image name to its key and refuses unknown ones. `choices`: more choices by the word
    they mean, beside CHOICES. `image_tag`: name of the interface's Image tag, required if a task shows several
    pictures and none is called 'image'. Raises NotAnExport with task, value and cure.
    """
    meanings = meanings_of(choices or {})
    wrong = sorted(set(meanings.values()) - set(WORDS))
    if wrong:
        raise NotAnExport(f"the word {wrong[0]!r} is unknown, so no label was read. Use {' or '.join(WORDS[:3])}.")
    tasks = _tasks(data)
    reading = _Reading(meanings, _image_tag(tasks, image_tag), _people(tasks), now)
    annotations: list[Annotation] = []
    cancelled = empty = 0
    elsewhere, unheard = Counter[str](), Counter[str]()
    for task in tasks:
        where = _where(task)
        drawn = [
            annotation for annotation in _list_of(task, "annotations", where) if not annotation.get("was_cancelled")
        ]
        cancelled += len(task["annotations"] or ()) - len(drawn)
        for annotation in drawn:
            results = _results(annotation, where, reading)
            elsewhere.update(results.elsewhere)
            unheard.update(results.unheard)
            if not results.regions and not results.choices:
                empty += 1
                continue
            key = image_key_of(_image_of(task, where))
            annotations.append(_annotation(annotation, results, key, where, reading))
    return Export(tuple(annotations), cancelled, empty, elsewhere, unheard)


def _tasks(data: bytes) -> list[dict[str, Any]]:
    try:
        tasks = json.loads(data)
    except (ValueError, RecursionError) as e:
        many = _is_json(data.strip().partition(b"\n")[0])
        what = "holds one JSON record a line, not one list" if many else f"is not JSON ({e})"
        raise NotAnExport(f"the file {what}, so no label was read. Export it again as 'JSON'.") from e
    if isinstance(tasks, dict):
        known = next((name for keys, name in _OTHER_FORMATS if keys <= tasks.keys()), "another tool's")
        raise NotAnExport(
            f"the file is JSON but not a list of tasks (its format is {known}), so no label was read. Use Label "
            "Studio's 'JSON', or a table with the columns image_key and label."
        )
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise NotAnExport(
            "the file is JSON but not a list of tasks, so no label was read. Export it again as 'JSON'."
        )
    if any("annotations" not in task for task in tasks):
        raise NotAnExport(
            "a task has no 'annotations', so no label was read: this is 'JSON-MIN' or another format. Export it "
            "again as 'JSON'."
        )
    return tasks


def _is_json(text: bytes) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _where(task: dict[str, Any]) -> str:
    return f"task {task.get('id', '(without a number)')}"


def _list_of(record: dict[str, Any], name: str, where: str) -> list[dict[str, Any]]:
    value = record.get(name) or []
    if not isinstance(value, list) or not all(isinstance(element, dict) for element in value):
        raise NotAnExport(
            f"{where}: {name!r} is no list of records, so no label was read. Export it again as 'JSON'."
        )
    return value


def _texts_of(task: dict[str, Any]) -> dict[str, str]:
    fields = task.get("data")
    if not isinstance(fields, dict):
        return {}
    shown = {
        name: value[0] if isinstance(value, list) and len(value) == 1 else value for name, value in fields.items()
    }
    return {name: value for name, value in shown.items() if isinstance(value, str)}


def _pictures_of(task: dict[str, Any]) -> dict[str, str]:
    """Values that look like the address of a picture, by field."""
    texts = _texts_of(task).items()
    return {name: text for name, text in texts if _PICTURE.search(text)}


def _image_of(task: dict[str, Any], where: str) -> str:
    texts, pictures = _texts_of(task), _pictures_of(task)
    if _FIELD in texts:
        return texts[_FIELD]
    for candidates in (pictures, texts):
        if len(candidates) == 1:
            return next(iter(candidates.values()))
    fields = ", ".join(sorted(task["data"])) if isinstance(task.get("data"), dict) else ""
    raise NotAnExport(
        f"{where} has the data {fields or 'none'}: which of it is the one image of the task cannot be told, so no "
        f"label was read. Call it {_FIELD!r}, one image a task."
    )


def _image_tag(tasks: Sequence[dict[str, Any]], given: str | None) -> str | None:
    """The tag that shows the image. Raises NotAnExport if several are possible."""
    annotations = (annotation for task in tasks for annotation in _list_of(task, "annotations", _where(task)))
    tags = objects_of(
        result for annotation in annotations for result in _list_of(annotation, "result", "an annotation")
    )
    if given is not None:
        if given not in tags:
            raise NotAnExport(
                f"no region or choice is on the tag {given!r}, so no label was read. There are: "
                f"{', '.join(sorted(tags)) or 'none'}."
            )
        return given
    if _FIELD in tags:
        return _FIELD
    if len(tags) > 1 or (tags and any(len(_pictures_of(task)) > 1 for task in tasks)):
        raise NotAnExport(
            f"tasks show several things, and the regions and choices are on {', '.join(sorted(tags))}: which of them "
            "is the image cannot be told, so no label was read. Say which: --image-tag NAME"
        )
    return None


def _understood(read: Callable[[], T], where: str) -> T:
    """The result of `read`; raises NotAnExport if the value does not have the shape of an export."""
    try:
        return read()
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as e:
        what = f"has no {e}" if isinstance(e, KeyError) else f"cannot be read ({e})"
        raise NotAnExport(
            f"{where} {what}, so no label was read. Export it again as 'JSON', or remove the task."
        ) from e


def _results(annotation: dict[str, Any], where: str, reading: _Reading) -> Results:
    return _understood(lambda: sorted_results(_list_of(annotation, "result", where), reading.image, where), where)


def _annotation(annotation: dict[str, Any], results: Results, key: str, where: str, reading: _Reading) -> Annotation:
    where = f"{where}, annotation {annotation.get('id', '(without a number)')} of {key!r}"
    word, others = _word(results, where, reading.meanings)
    mask = None
    if results.regions and word == "anomalous":
        mask = _understood(lambda: mask_of(results.regions, where), where)
    named = [kind for kind in results.kinds if _plain(kind) not in reading.meanings] + others
    kind = named[0] if named and word == "anomalous" else None
    try:
        kind, annotator = (
            text_of(kind, "the kind", where),
            text_of(_annotator(annotation, reading), "the annotator", where),
        )
        return Annotation(
            key, word, kind, mask, annotator or "annotator unknown", _time(annotation, where, reading.now)
        )
    except StorageError as e:
        raise NotAnExport(str(e)) from e


def _word(results: Results, where: str, meanings: Mapping[str, str]) -> tuple[str, list[str]]:
    """The word of choices and regions, and the choices that are no word."""
    chosen, drawn = results.choices, bool(results.regions)
    drawn_as = {meanings.get(_plain(kind), "anomalous") for kind in results.kinds}
    # A region of a good place is no defect; one of an unclear place leaves a defect beside it one.
    marked = {"normal"} & drawn_as or ({"unsure"} if drawn_as == {"unsure"} else set())
    words = sorted({meanings[_plain(choice)] for choice in chosen if _plain(choice) in meanings} | marked)
    others = [choice for choice in chosen if _plain(choice) not in meanings]
    if len(words) > 1 or (drawn and words == ["normal"]):
        parts = " and ".join([*words, *(["a region of a defect"] if drawn else [])])
        raise NotAnExport(
            f"{where} says {parts}: the right one is unknown, so no label was read. Correct it in Label Studio."
        )
    if not words and not drawn:
        raise NotAnExport(
            f"{where}: the choice {', '.join(map(repr, others)) or 'none'} is no known word "
            f"({', '.join(sorted(CHOICES))}), so no label was read. Say what it means: "
            f"--word {others[0] if others else 'CHOICE'}=anomalous"
        )
    return words[0] if words else "anomalous", others


def _plain(choice: str) -> str:
    return plain_choice(choice) or choice.strip()  # of signs alone, such as a tick


def _people(tasks: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Names by number: an export may give a name in one place and only the number in another."""
    names: dict[str, str] = {}
    for task in tasks:
        for annotation in _list_of(task, "annotations", _where(task)):
            by = annotation.get("completed_by")
            if isinstance(by, dict) and by.get("id") is not None and (name := _name_in(by)):
                names.setdefault(str(annotators.as_kept(str(by["id"]))), name)
    return names


def _name_in(by: dict[str, Any]) -> str:
    name = " ".join(str(by[name]) for name in ("first_name", "last_name") if by.get(name))
    return str(by.get("email") or name or by.get("username") or "")


def _annotator(annotation: dict[str, Any], reading: _Reading) -> str:
    by = annotation.get("completed_by")
    number = by.get("id") if isinstance(by, dict) else by
    if number is None or number == "":
        return (_name_in(by) if isinstance(by, dict) else "") or "annotator unknown"
    kept = str(annotators.as_kept(str(number)))
    if kept in reading.people:
        return reading.people[kept]
    return f"annotator {kept}" if kept.isdigit() else kept


def _time(annotation: dict[str, Any], where: str, now: datetime) -> datetime:
    when = time_of(annotation.get("updated_at") or annotation.get("created_at"), where)
    if when is None:
        raise NotAnExport(
            f"{where} has no time: which label is the latest is unknown, so no label was read. Export it as 'JSON'."
        )
    refuse_impossible(when, now, where)
    return when
