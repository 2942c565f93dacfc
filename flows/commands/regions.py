"""`rd-inspect regions`: what of a category's images is ignored."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.commands.frame import ImagesOption, StoreOption, plain_errors
from flows.commands.promotion import ByOption, login_name
from flows.printing.output import say
from flows.printing.plain_table import print_table

if TYPE_CHECKING:
    from flows.category_settings import CategorySettings
    from storage.ignored_regions import IgnoredRegion
    from storage.stores.store import Store


def regions(
    category: Annotated[
        str | None, typer.Option("--category", metavar="NAME", help="Only this category, with earlier versions.")
    ] = None,
    set_from: Annotated[
        Path | None,
        typer.Option("--set", metavar="FILE", help="Ignore what this file says: polygons (.json), or a mask image."),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Ignore nothing any more.")] = False,
    show: Annotated[
        Path | None, typer.Option("--show", metavar="OUT.png", help="Write a normal image with the region over it.")
    ] = None,
    store: StoreOption = None,
    images: ImagesOption = None,
    by: ByOption = None,
) -> None:
    """Show, set or clear the part of a category's images that counts in nothing.

    A fixture, a time stamp or the conveyor at the edge is no part of the product. What lies in an ignored region
    counts neither in training nor in scores, heat maps and thresholds. Draw it on the review page, under *Regions*,
    or give a file: `{"polygons": [[[0, 0], [0.2, 0], [0.2, 1], [0, 1]]]}`, with points x, y in shares of width and
    height, or a mask image of the images' aspect, not black where pixels are ignored. Every version is kept, with
    who set it and when.

    A model keeps the region that it was trained with, and scored days stay as they are. After a change,
    `rd-inspect recalibrate` or `rd-inspect train` makes a version that uses the new region; `rd-inspect status`
    says so until one is in force.

    Examples:

    * `rd-inspect regions`
    * `rd-inspect regions --category cloth --set fixture.png`
    * `rd-inspect regions --category cloth --show region.png`

    Next: `rd-inspect recalibrate --category cloth` makes a version that uses the region and keeps the weights.
    """
    with plain_errors():
        from flows.preflight.checks import checked_settings
        from storage.filesystem import open_store

        if (set_from or clear or show) and not category:
            raise typer.BadParameter("--set, --clear and --show need --category: each has a region of its own.")
        if set_from and clear:
            raise typer.BadParameter("--set and --clear contradict each other: give one of them.")
        settings = checked_settings(store, [category] if category else None, images=images)
        opened, line = open_store(settings.store), open_store(settings.images, read_only=True)
        if category and (set_from or clear):
            _save(opened, line, category, set_from, login_name(by))
        if category and show:
            _show(opened, line, settings.category(category), category, show)
        if not (set_from or clear or show):
            from flows.commands.tables.regions import regions_table

            print_table(regions_table(opened, line, category))


def _save(store: "Store", images: "Store", category: str, file: Path | None, by: str) -> None:
    """Put the file's region in force, or none, and say what follows."""
    from flows.settings import SettingsError
    from reports.ignored_region import next_steps
    from review.regions import too_small
    from storage import ignored_regions
    from storage.models.models import has_champion

    before = ignored_regions.read_region(store, category)
    try:
        region = _read(images, store, category, file, by)
    except ignored_regions.UnusableRegion as e:
        raise SettingsError(f"{file}: {e} Nothing was saved.") from e
    kept = ignored_regions.save_region(store, category, region, expected=before.digest if before else None)
    if (before is not None and kept.digest == before.digest) or (before is None and kept.is_empty):
        say(f"{category}: this is in force already; nothing was changed.")
        return
    if words := too_small(store, images, category, kept):
        say(words)
    for line in next_steps(category, in_force=has_champion(store, category), ignores=not kept.is_empty):
        say(line)


def _read(images: "Store", store: "Store", category: str, file: Path | None, by: str) -> "IgnoredRegion":
    import json

    from flows.commands.table_options import read_label_file
    from storage import ignored_regions
    from storage.ignored_regions import UnusableRegion

    now = datetime.now(UTC)
    if file is None:
        return ignored_regions.drawn([], by=by, at=now)
    data = read_label_file(file)
    if file.suffix.lower() != ".json":
        size = ignored_regions.size_to_draw_on(store, images, category)
        return ignored_regions.masked(data, by=by, at=now, size=size)
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as e:
        raise UnusableRegion(f"it is not JSON ({e}).") from e
    return ignored_regions.drawn(ignored_regions.from_json(content), by=by, at=now)


def _show(store: "Store", images: "Store", settings: "CategorySettings", category: str, out: Path) -> None:
    """Write the first readable normal image with the ignored pixels in colour."""
    from PIL import Image

    from flows.settings import SettingsError
    from reports.overlay import ignored_in_colour
    from storage.errors import OF_ONE_OBJECT, UnreadableImage
    from storage.ignored_regions import images_to_draw_on
    from storage.images import decode
    from tasks.training.ignored import ignored_now

    ignore = ignored_now(store, category)
    for key in images_to_draw_on(store, category):
        try:
            pixels = decode(images.read(key), white_level=settings.white_level, black_level=settings.black_level,
                            max_pixels=settings.max_pixels)  # fmt: skip
        except (UnreadableImage, *OF_ONE_OBJECT):
            continue
        height, width = pixels.shape[:2]
        drawn = pixels if ignore is None else ignored_in_colour(pixels, ignored := ignore.on((height, width)))
        try:
            Image.fromarray(drawn).save(out)
        except (OSError, ValueError) as e:
            raise SettingsError(f"--show {out}: cannot be written ({e}). Name a .png in a folder that exists.") from e
        share = 0.0 if ignore is None else float(ignored.mean())
        say(f"{out}: {share:.1%} of {key} is ignored.")
        return
    raise SettingsError(f"{category!r} has no normal image that can be read, so nothing was drawn.")
