"""A plant whose methods can be compared in a second."""

from collections.abc import Sequence

from flows.comparison import comparison_order
from flows.settings import load_settings
from storage.filesystem import Store
from tasks.comparison.plan_comparison import ComparisonOrder
from tests.factories import write_settings
from tests.rd_core.striped_images import textured
from tests.retraining_plants import put_judges, put_labels, put_pictures

QUICK = ("padim", "patchcore")


def put_compared(store: Store, category: str = "cloth", *, normals: int = 30, good: int = 36, bad: int = 36) -> None:
    """Normals to train on, and images labelled for evaluation."""
    write_settings(store, image_size=64, alpha=0.1, padim={"dimensions": 20})
    put_labels(store, category, "normals", put_pictures(store, category, textured(normals), name="normal"))
    if good or bad:
        put_judges(store, category, good, bad)


def quick_order(store: Store, category: str = "cloth", methods: Sequence[str] = QUICK) -> ComparisonOrder:
    """To compare these methods."""
    return comparison_order(load_settings(store.uri), category, methods, seeds=1)
