"""The newest comparison of methods of each category."""

from collections import defaultdict
from concurrent.futures import Executor
from datetime import UTC
from functools import partial

from reports.index.plant import LatestComparison
from storage.comparisons.outcome import OUTCOME, ComparisonOutcome, compared_categories, read_outcome
from storage.filesystem import Store
from storage.layout import comparisons_prefix, is_plain, path_from_index
from tasks.index.tolerant_reads import read_all


def read_comparisons(store: Store, pool: Executor) -> tuple[tuple[LatestComparison, ...], dict[str, str]]:
    """(by category, why outcomes are unreadable by key). Raises StorageError if they cannot be listed."""
    prefixes = {category: comparisons_prefix(category) for category in compared_categories(store)}
    below = pool.map(store.children, prefixes.values())
    jobs = {
        f"{prefix}{name}/{OUTCOME}": partial(read_outcome, store, category, name)
        for (category, prefix), names in zip(prefixes.items(), below, strict=True)
        for name in names
        if is_plain(name)
    }
    read, unreadable = read_all(pool, jobs)
    by_category: defaultdict[str, list[ComparisonOutcome]] = defaultdict(list)
    for outcome in filter(None, read.values()):
        by_category[outcome.category].append(outcome)
    return tuple(_latest(by_category[name]) for name in sorted(by_category)), unreadable


def _latest(outcomes: list[ComparisonOutcome]) -> LatestComparison:
    newest, *earlier = sorted(outcomes, key=lambda one: one.made_at, reverse=True)
    return LatestComparison(
        newest.category,
        newest.made_at.astimezone(UTC),
        newest.method,
        newest.sentence,
        path_from_index(newest.report),
        newest.drawn,
        newest.failed,
        tuple((one.made_at.astimezone(UTC).date(), path_from_index(one.report)) for one in earlier),
    )
