"""The table of `rd-inspect regions`."""

from datetime import UTC

from flows.printing.plain_table import PlainTable, plain_table
from reports.ignored_region import what_in_words
from review.regions import too_small
from storage.errors import StorageError
from storage.ignored_regions import in_force, list_region_categories, read_history
from storage.stores.store import Store


def regions_table(store: Store, images: Store, category: str | None) -> PlainTable:
    """The region of every category that ever had one, or all versions of one category's, newest first."""
    table = plain_table("category", "in force", "ignored", "by", "since (UTC)", "drawn on")
    for name in [category] if category else list_region_categories(store):
        try:
            history = read_history(store, name)
            small = too_small(store, images, name, in_force(history))
        except StorageError as e:
            table.notes.append(str(e))
            continue
        table.notes += [f"{name}: {small}"] if small else []
        for number, version in enumerate(history if category else history[:1]):
            table.add_row(
                name,
                "" if number else "yes",
                what_in_words(version.polygons, version.mask),
                version.drawn_by or "",
                f"{version.drawn_at.astimezone(UTC):%Y-%m-%d %H:%M}",
                version.drawn_on or "",
            )
    if not table.rows and not table.notes:
        table.notes.append(
            "Nothing is ignored. Draw a region on the review page (rd-inspect review), or give a file: rd-inspect "
            f"regions --category {category or 'NAME'} --set FILE"
        )
    return table
