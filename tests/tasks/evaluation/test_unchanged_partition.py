"""Counts are taken again as soon as anything that they were made from is another."""

import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from storage.filesystem import Store, open_store
from storage.labels import labels
from storage.labels.labels import Label
from storage.layout import card_key, image_key, mask_key, scores_prefix, seal_key, version_maps_prefix
from storage.records import Partition
from tasks.evaluation.evaluate_partition import EvaluatedPartition, evaluate_partition, unchanged_partition
from tasks.reporting import kept_result
from tests.factories import DAY, NOW, png
from tests.labelled_night import night, put_card, put_night

PARTITION = Partition("cloth", DAY, "v1")
KEPT = f"reports/evaluation/{DAY}_{DAY}/partitions/cloth/{DAY}/v1"
LATER = NOW + timedelta(hours=1)


@pytest.fixture
def counted(store: Store) -> Iterator[EvaluatedPartition]:
    """Some images of a night with defects, counted."""
    put_card(store, "cloth")
    put_night(store, "cloth", night(normal=2, anomalous=2))
    return evaluate_partition.fn(store.uri, PARTITION, DAY, DAY)


def unchanged(store: Store) -> EvaluatedPartition | None:
    return unchanged_partition(store, PARTITION, DAY, DAY, labels.read_labels(store, "cloth"))


def rewrite(store: Store, key: str) -> None:
    store.write(key, store.read(key) + b"\n")


def one_below(store: Store, prefix: str, ending: str = "") -> str:
    return next(info.key for info in store.list(prefix) if info.key.endswith(ending))


def say(store: Store, name: str, **more: object) -> None:
    word = Label(image_key("cloth", DAY, name), "anomalous", None, "ann", LATER, purpose="evaluation")
    labels.write_labels(store, "cloth", [Label(**{**vars(word), **more})], "later")


CHANGES: dict[str, Callable[[Store], object]] = {
    "label": lambda store: say(store, "good/000.png"),
    "kind": lambda store: say(store, "hole/000.png", kind="slit"),
    "purpose": lambda store: say(store, "good/000.png", label="normal", purpose="training"),
    "mask": lambda store: store.write(mask_key("cloth", DAY, "hole/000.png"), png(1, (48, 48))),
    "no mask": lambda store: store.remove(mask_key("cloth", DAY, "hole/000.png")),
    "seal": lambda store: rewrite(store, seal_key("cloth", DAY, "v1")),
    "later images": lambda store: put_night(store, "cloth", night(5, normal=1, anomalous=0), name="late"),
    "part": lambda store: rewrite(store, one_below(store, scores_prefix("cloth", DAY, "v1"))),
    "maps": lambda store: rewrite(store, one_below(store, version_maps_prefix("cloth", DAY, "v1"), "/0")),
    "maps removed": lambda store: store.remove(one_below(store, version_maps_prefix("cloth", DAY, "v1"), "/0")),
    "card": lambda store: put_card(store, "cloth", threshold={"value": 1.0, "alpha": 0.01}),
    "no card": lambda store: store.remove(card_key("cloth", "v1")),
    "rows": lambda store: store.remove(f"{KEPT}/images.parquet"),
    "pixels": lambda store: rewrite(store, f"{KEPT}/pixels.npz"),
    "defects": lambda store: rewrite(store, f"{KEPT}/defects.parquet"),
    "what was kept": lambda store: rewrite(store, f"{KEPT}/inputs.json"),
}


def test_what_stays_the_same_is_not_counted_again(store: Store, counted: EvaluatedPartition) -> None:
    assert unchanged(store) == counted
    other_day = image_key("cloth", DAY + timedelta(days=1), "good/000.png")
    labels.write_labels(store, "cloth", [Label(other_day, "normal", None, "ann", LATER)], "other-day")
    assert unchanged(store) == counted
    assert (
        unchanged_partition(store, PARTITION, DAY, DAY + timedelta(days=1), labels.read_labels(store, "cloth"))
        is None
    )


@pytest.mark.parametrize("change", CHANGES)
def test_each_input_that_changes_has_them_counted_again(
    store: Store, counted: EvaluatedPartition, change: str
) -> None:
    assert unchanged(store) == counted
    CHANGES[change](store)
    assert unchanged(store) is None


def test_other_code_has_them_counted_again(
    store: Store, counted: EvaluatedPartition, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert unchanged(store) == counted
    monkeypatch.setattr(kept_result, "code_digest", lambda: "of mended code")
    assert unchanged(store) is None


@pytest.mark.parametrize("mask", ["C:\\masks\\1.png", "../1.png", "a//b.png", "https://host/1.png"])
def test_a_mask_whose_name_is_none_leaves_out_its_image_alone(
    store: Store, counted: EvaluatedPartition, mask: str
) -> None:
    say(store, "hole/000.png", mask_key=mask)
    found = evaluate_partition.fn(store.uri, PARTITION, DAY, DAY)
    assert (found.judged, found.masked_defects) == (counted.judged, counted.masked_defects - 1)
    assert unchanged(store) == found


def test_a_copied_store_counts_for_itself(tmp_path: Path) -> None:
    here = open_store(str(tmp_path / "here"))
    here.root.mkdir()
    put_card(here, "cloth")
    put_night(here, "cloth", night(normal=2, anomalous=2))
    here.remove(mask_key("cloth", DAY, "hole/000.png"))
    evaluate_partition.fn(here.uri, PARTITION, DAY, DAY)
    there = open_store(str(shutil.copytree(here.root, tmp_path / "there")))
    assert unchanged(here) and unchanged(there) is None
