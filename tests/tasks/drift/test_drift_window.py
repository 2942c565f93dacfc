"""The window's rows: each image once, by its latest row, as the view `latest` has it."""

import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rd_core.drift.causes import OF_ROWS
from storage.analysis.queries import run_query
from storage.filesystem import Store, open_store
from storage.models import models
from storage.models.card import ModelCard
from storage.partitions import scores
from tasks.drift.drift_window import read_window
from tests.drift_plants import CORNER, FIRST, Day, put_calibrated_model, put_day, put_recalibrated
from tests.examples import examples

LAST = FIRST + timedelta(days=2)
NAMES = ["a.png", "b.png", "c.png"]
PLANS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["v1", "v2"]), st.sets(st.sampled_from(NAMES), min_size=1)),
    min_size=1,
    max_size=6,
)


def card(store: Store, version: str = "v1") -> ModelCard:
    return models.read_card(store, "cloth", version)


def latest(store: Store, version: str) -> list[tuple]:
    sql = f"SELECT run_date, image_key, score FROM latest WHERE model_version = '{version}' ORDER BY 1, 2"
    return [tuple(row.values()) for row in run_query(store, sql).to_pylist()]


@pytest.fixture(scope="module")
def without_days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plant with two models."""
    folder = tmp_path_factory.mktemp("without days")
    for version in ("v1", "v2"):
        put_calibrated_model(open_store(folder), "cloth", version, normals=12)
    return folder


@examples(8)
@given(PLANS)
def test_rows_are_those_of_the_view_latest(
    tmp_path_factory: pytest.TempPathFactory, without_days: Path, plans: list[tuple]
) -> None:
    store = open_store(str(shutil.copytree(without_days, tmp_path_factory.mktemp("plant") / "store")))
    for number, (day, version, names) in enumerate(plans):
        put_day(
            store, "cloth", FIRST + timedelta(days=day), version=version, later=number, names=sorted(names),
            etag=f"e{number}",
        )  # fmt: skip
    for version in ("v1", "v2"):
        found = read_window(store, card(store, version), FIRST, LAST)
        rows = sorted(
            (FIRST.fromordinal(int(day)), key, score)
            for day, key, score in zip(found.days, found.keys.to_pylist(), found.scores, strict=True)
        )
        assert rows == latest(store, version)
        assert found.images == len(rows)


def test_unscored_images_are_counted_and_other_days_and_categories_are_not(store: Store) -> None:
    for category in ("cloth", "cloth2"):
        put_calibrated_model(store, category)
        for day in range(4):
            put_day(store, category, FIRST + timedelta(days=day), Day(images=5, unreadable=day))
    found = read_window(store, card(store), FIRST + timedelta(days=1), LAST)
    assert (found.images, found.unreadable, found.rejected, len(found.scores)) == (10, 3, 0, 7)
    assert found.sealed_days == (FIRST + timedelta(days=1), LAST)
    assert found.days.tolist() == [LAST.toordinal() - 1] * 4 + [LAST.toordinal()] * 3
    assert all(key.startswith("images/cloth/") for key in found.keys.to_pylist())


def test_only_the_columns_that_are_needed_are_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put_calibrated_model(store, "cloth")
    put_day(store, "cloth", FIRST, Day(images=3))
    read: list[tuple[str, ...]] = []
    read_columns: Callable = scores.read_columns
    monkeypatch.setattr(
        scores, "read_columns", lambda s, k, names: read.append(tuple(names)) or read_columns(s, k, names)
    )
    monkeypatch.setattr(scores, "read_part", lambda *_: pytest.fail("a whole part was read"))
    read_window(store, card(store), FIRST, LAST)
    assert read == [("image_key", "score", "status", *OF_ROWS)]


def test_a_window_without_a_seal_is_empty(store: Store) -> None:
    put_calibrated_model(store, "cloth")
    found = read_window(store, card(store), FIRST, LAST)
    assert (found.images, found.sealed_days, len(found.scores)) == (0, (), 0)


def test_scores_of_the_same_weights_count_after_the_days_of_a_recalibration(store: Store) -> None:
    put_calibrated_model(store, "cloth")
    put_calibrated_model(store, "cloth", "other")
    for number, version in enumerate(("v1", "v1", "other")):
        put_day(store, "cloth", FIRST + timedelta(days=number), Day(images=3), version=version)
    put_recalibrated(store, "cloth", "v2", of="v1", day=FIRST)
    put_day(store, "cloth", LAST, version="v2", names=["late.png"], later=1)
    assert read_window(store, card(store, "v2"), FIRST, LAST).days.tolist() == [
        *[(FIRST + timedelta(days=1)).toordinal()] * 3,
        LAST.toordinal(),
    ]
    assert read_window(store, card(store), FIRST, LAST).images == 6  # its own report stays
    put_recalibrated(store, "cloth", "v3", of="v1", day=FIRST, ignore=CORNER)
    assert read_window(store, card(store, "v3"), FIRST, LAST).images == 0  # scores of another view are not comparable
