"""Imports a folder of images. No flow: it needs only the store, neither workers nor retries."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from flows.printing.numbers import counted
from storage.filesystem import Store, open_store
from storage.images import list_categories
from storage.layout import check_segment
from tasks.importing.folder_files import Remark
from tasks.importing.image_folder import read_folder
from tasks.importing.import_folder import ImportPlan, ImportRefused, ImportRequest, import_images, plan_import

_NAMED = 3
"""files named for each reason; the others are counted"""


@dataclass(frozen=True)
class Imported:
    """Result of an import."""

    normals: int
    """normal images to train on"""
    test: int
    """images of the run date"""
    anomalous: int
    unsure: int
    """of these, by their folder"""
    masks: int
    images_new: int
    """the others were in the store before, as they are"""
    labels_new: int
    left_out: tuple[Remark, ...]
    noted: tuple[Remark, ...]
    litter: tuple[str, ...]


def import_category(
    store: str,
    folder: Path,
    category: str,
    run_date: date,
    normals_date: date,
    *,
    prefix: str = "",
    words: Mapping[str, str] | None = None,
) -> Imported:
    """Import `folder` (see tasks.importing.import_folder) into `store`; a missing local folder is made.

    `prefix`: folders within the day for the images. `words`: meanings of folder names, added to
    storage.labels.words.
    """
    contents = read_folder(folder, words)
    opened = opened_for(store, category, prefix)
    request = ImportRequest(folder, category, run_date, normals_date, prefix)
    plan = plan_import(opened, request, contents, datetime.now(UTC), with_bar)
    import_images(opened, plan, with_bar)
    return _imported(plan)


def _refuse_another_case(there: Sequence[str], category: str) -> None:
    if category not in there and (near := [known for known in there if known.casefold() == category.casefold()]):
        raise ImportRefused(
            f"the store has a category {near[0]}, and {category} would be another one; nothing was imported. Use "
            f"--category {near[0]}, or a name that differs in more than upper and lower case."
        )


def opened_for(store: str, category: str, prefix: str) -> Store:
    """The store to import into; a missing local folder is made. Raises InvalidKey and ImportRefused for names that
    the store cannot take."""
    check_segment(category, "category")
    for segment in prefix.split("/") if prefix else ():
        check_segment(segment, "prefix")
    opened = open_store(store, create=True)
    _refuse_another_case(list_categories(opened), category)
    return opened


def import_lines(done: Imported, category: str, run_date: date, normals_date: date) -> Iterator[str]:
    """Lines for people: what was imported and what was left out."""
    unsure = f", {done.unsure} unsure" if done.unsure else ""
    yield (
        f"{category}: {done.normals} labelled normal ({normals_date}), {counted(done.test, 'image')} of {run_date} "
        f"({done.anomalous} labelled anomalous{unsure}, {counted(done.masks, 'mask')})."
    )
    there = done.normals + done.test - done.images_new
    yield new_line(done.images_new, done.labels_new, there)
    yield from remark_lines(done.noted, done.left_out, done.litter)


def new_line(images: int, labels: int, there: int) -> str:
    """What an import added, and how many images it had added before."""
    return f"New: {counted(images, 'image')}, {counted(labels, 'label')}. Already there: {counted(there, 'image')}."


def remark_lines(noted: Sequence[Remark], left_out: Sequence[Remark], litter: Sequence[str]) -> Iterator[str]:
    """Lines for people: further remarks on a folder."""
    if noted:
        yield "Note:"
        yield from _by_reason(noted)
    if left_out:
        yield f"Left out, {len(left_out)}:"
        yield from _by_reason(left_out)
    if litter:
        yield f"Skipped what systems leave behind, {len(litter)}: {_first(litter)}"


def _imported(plan: ImportPlan) -> Imported:
    test = [image for image in plan.images if image.source.purpose == "evaluation"]
    return Imported(
        normals=len(plan.images) - len(test),
        test=len(test),
        anomalous=sum(image.source.word == "anomalous" for image in test),
        unsure=sum(image.source.word == "unsure" for image in test),
        masks=sum(image.mask_digest is not None for image in test),
        images_new=sum(image.is_new for image in plan.images),
        labels_new=len(plan.words),
        left_out=plan.left_out,
        noted=plan.noted,
        litter=plan.litter,
    )


def _by_reason(remarks: Sequence[Remark]) -> Iterator[str]:
    by_reason: dict[str, list[str]] = defaultdict(list)
    for remark in remarks:
        by_reason[remark.why].append(remark.path)
    for why, paths in by_reason.items():
        yield f"  {len(paths)} {why}: {_first(paths)}"


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")


def with_bar(all_: Sequence[Any], what: str) -> Iterable[Any]:
    """`all_`, with a bar on a terminal."""
    console = Console(stderr=True)
    return track(all_, what, console=console, disable=not console.is_terminal)
