"""Checks ignored regions."""

from collections.abc import Callable, Iterator

from storage import layout
from storage.errors import Conflict, CorruptObject, ObjectDenied
from storage.findings import Finding
from storage.ignored_regions import read_history
from storage.stores.store import Store


def region_findings(store: Store, covers: Callable[[str], bool]) -> Iterator[Finding]:
    """Damaged regions, categories with two files, and files that nobody reads. `covers`: of a category."""
    seen = set[str]()
    for info in store.list(f"{layout.REGIONS}/"):
        name = info.key.removeprefix(f"{layout.REGIONS}/")
        category = name.removesuffix(".json").removesuffix(".png")
        if category == name or not layout.is_plain(category):
            cure = "Name it regions/CATEGORY.png, bring it in with rd-inspect regions --set, or move it away."
            yield Finding(f"{info.key} is no ignored region", info.key, "it is not used", cure, wrong=False)
        elif covers(category) and category not in seen:
            seen.add(category)
            try:
                read_history(store, category)
            except (CorruptObject, Conflict, ObjectDenied) as e:
                lost = f"no model of {category} can be trained; models in force keep the region in their cards"
                cure = "Restore it from a copy, or move it away and draw the region again: rd-inspect review"
                yield Finding(f"ignored region is not usable: {e}", info.key, lost, cure)
