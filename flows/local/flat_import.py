"""Imports a folder whose images a table labels; without a flow, as flows.local.importing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from flows.local.importing import new_line, opened_for, remark_lines, with_bar
from flows.printing.numbers import counted
from flows.settings import SettingsError
from storage.errors import StorageError
from storage.labels.imports import Imported, LabelPlan, plan_table, refuse_other_file, write_plan
from storage.labels.known_images import UnusableLabels
from storage.labels.labels import rows_in
from storage.labels.reading import TableReading
from tasks.importing.flat_folder import FlatFolder, read_flat_folder
from tasks.importing.folder_files import Remark
from tasks.importing.import_folder import ImportPlan, ImportRequest, import_images, plan_import


@dataclass(frozen=True)
class FlatImported:
    """Result of an import."""

    images: int
    images_new: int
    """the others were in the store before, as they are"""
    unlabelled: int
    """that the table does not label"""
    masks: int
    labels: Imported
    left_out: tuple[Remark, ...]
    noted: tuple[Remark, ...]
    litter: tuple[str, ...]


def import_flat_folder(
    store: str,
    folder: Path,
    category: str,
    run_date: date,
    table: Path,
    data: bytes,
    reading: TableReading,
    *,
    prefix: str = "",
    purpose: str | None = None,
) -> FlatImported:
    """Import all images of `folder` as `run_date`'s, with the labels in `data`, the bytes of the file `table`.

    Everything is checked before the first write. SettingsError names what is wrong with the table.
    """
    now = datetime.now(UTC)
    request = ImportRequest(folder, category, run_date, run_date, prefix)
    try:
        if refuse_other_file(str(table)) == ".json":
            raise UnusableLabels(
                f"{table} is no table. Bring the images in first, with a table of names and labels, and then the "
                "export: rd-inspect labels."
            )
        rows = [cells for _, cells in rows_in(data, str(table), reading)]
        flat = read_flat_folder(folder, table, rows)
        opened = opened_for(store, category, prefix)
        images = plan_import(opened, request, flat.contents, now, with_bar)
        words = plan_table(
            opened, category, data, str(table), now=now, purpose=purpose, table=reading,
            keys_of=_keys_of(flat, images), masks_are_there=False,
        )  # fmt: skip
    except StorageError as e:
        if isinstance(e, UnusableLabels) or str(e).startswith(str(table)):
            raise SettingsError(str(e)) from e
        raise
    import_images(opened, images, with_bar)
    return _imported(images, flat, words, write_plan(opened, category, words))


def _keys_of(flat: FlatFolder, images: ImportPlan) -> Any:
    """The keys of a row's image and mask; None for an image that is left out."""
    by_place = {image.source.name: image for image in images.images}

    def keys_of(cells: Mapping[str, Any]) -> tuple[str, str | None] | None:
        image = by_place.get(flat.place_of.get(cells["image_key"], ""))
        has_mask = cells["mask_key"] and cells["label"] == "anomalous"
        return (image.key, image.mask_key if has_mask else None) if image else None

    return keys_of


def _imported(images: ImportPlan, flat: FlatFolder, words: LabelPlan, done: Imported) -> FlatImported:
    labelled = {label.image_key for label in words.labels}
    return FlatImported(
        images=len(images.images),
        images_new=sum(image.is_new for image in images.images),
        unlabelled=sum(image.key not in labelled for image in images.images),
        masks=sum(image.mask_digest is not None for image in images.images),
        labels=done,
        left_out=images.left_out,
        noted=(*images.noted, *flat.noted),
        litter=images.litter,
    )


def flat_import_lines(done: FlatImported, category: str, run_date: date) -> Iterator[str]:
    """Lines for people: what was imported and what was left out."""
    words = ", ".join(f"{count} labelled {word}" for word, count in sorted(done.labels.words.items()))
    yield (
        f"{category}: {counted(done.images, 'image')} of {run_date} ({words or 'no labels'}; "
        f"{counted(done.masks, 'mask')}; {done.unlabelled} without a label)."
    )
    there = done.images - done.images_new
    yield new_line(done.images_new, done.labels.new, there)
    if done.labels.columns:
        yield f"Ignored columns, because labels have no such field: {', '.join(done.labels.columns)}."
    if done.labels.outvoted:
        yield f"Left out, because people have changed them since: {counted(done.labels.outvoted, 'label')}."
    yield from remark_lines(done.noted, done.left_out, done.litter)
