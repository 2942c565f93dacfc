"""Comparisons of methods and their contenders: damaged ones, and those that never finished."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta

from storage import layout
from storage.comparisons.contender import read_contender, read_maps, read_scores
from storage.comparisons.outcome import OUTCOME, compared_categories, outcomes, read_outcome
from storage.errors import OF_ONE_OBJECT
from storage.findings import Finding
from storage.records import ObjectInfo
from storage.stores.store import Store
from storage.verification.garbage import COMPARISON, Leftover

_CURE = "Remove its folder and compare again: rd-inspect compare --category {category}"


def find_old_comparisons(store: Store, *, now: datetime, older_than: timedelta) -> list[Leftover]:
    """Folders of plans without an outcome, and of contenders that no outcome names. A damaged outcome keeps all of
    its category."""
    found: list[Leftover] = []
    for category in compared_categories(store):
        folders = _folders(store, category)
        if any(True for _ in comparison_findings(store, category)):
            continue
        finished = {outcome.id: outcome for outcome in outcomes(store, category)}
        named = {digest for outcome in finished.values() for digest in outcome.contenders}
        for prefix, infos in folders.items():
            name = prefix.rstrip("/").rpartition("/")[2]
            youngest = max(info.modified for info in infos)
            if name not in finished and name not in named and now - youngest >= older_than:
                size = sum(info.size for info in infos)
                found.append(Leftover(COMPARISON, prefix, category, None, len(infos), size, youngest))
    return found


def comparison_findings(store: Store, category: str) -> Iterator[Finding]:
    """Damaged outcomes."""
    prefix = layout.comparisons_prefix(category)
    for name in store.children(prefix):
        try:
            if layout.is_plain(name):
                read_outcome(store, category, name)
        except OF_ONE_OBJECT as e:
            key = f"{prefix}{name}/{OUTCOME}"
            yield Finding(
                f"outcome of a comparison is damaged: {e}", key, "its verdict cannot be used",
                _CURE.format(category=category),
            )  # fmt: skip


def contender_findings(store: Store, category: str, *, deep: bool) -> Iterator[Finding]:
    """Contenders that lost their scores or maps. `deep`: also reads them."""
    prefix = f"{layout.comparisons_prefix(category)}{layout.CONTENDERS}/"
    there = {info.key for info in store.list(prefix)}
    for digest in store.children(prefix):
        try:
            if (record := read_contender(store, category, digest)) is None:
                continue
            for key, read in ((record.scores, read_scores), (record.maps, read_maps)):
                if deep or key not in there:
                    read(store, record)
        except OF_ONE_OBJECT as e:
            yield Finding(
                f"contender is damaged: {e}", f"{prefix}{digest}/", "comparisons that it takes part in fail",
                _CURE.format(category=category),
            )  # fmt: skip


def _folders(store: Store, category: str) -> dict[str, list[ObjectInfo]]:
    """Objects by the prefix of their plan or contender."""
    prefix, folders = layout.comparisons_prefix(category), defaultdict(list)
    for info in store.list(prefix):
        first, _, rest = info.key.removeprefix(prefix).partition("/")
        own = f"{first}/{rest.partition('/')[0]}/" if first == layout.CONTENDERS else f"{first}/"
        folders[prefix + own].append(info)
    return folders
