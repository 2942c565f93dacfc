"""Golden images: chosen once, scored again, compared with the first time."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from proofs.model_cards import publish_made_up
from storage.errors import CorruptObject
from storage.filesystem import Store
from storage.layout import card_key, golden_reference_key, golden_scores_key, golden_set_key, weights_key
from storage.models.models import read_card
from storage.stores import parquet
from tasks.drift.choose_golden_set import GOLDEN_IMAGES, choose_golden_set
from tasks.drift.golden_set import GoldenImage, digest_of, read_golden_set, write_golden_set
from tasks.drift.replay_golden_set import golden_pair, replay_golden_set, unchanged_replay
from tests.drift_plants import CORNER, put_recalibrated
from tests.factories import DAY, NOW, pinned, png, put_images, put_model

NEXT = DAY + timedelta(days=1)


def golden(store: Store, names: Sequence[str]) -> list[str]:
    put_model(store, "cloth")
    keys = put_images(store, "cloth", names)
    write_golden_set(store, "cloth", [GoldenImage(key, digest_of(store, key)) for key in keys], now=NOW)
    return keys


def scale(store: Store, version: str = "v1") -> str:
    return read_card(store, "cloth", version).score_scale


def replay(store: Store, day=DAY):
    return replay_golden_set.fn(store.uri, store.uri, day, pinned("cloth"))


def test_the_first_replay_is_the_reference_and_the_next_give_the_same(store: Store) -> None:
    keys = golden(store, [f"{i}.png" for i in range(10)])
    first = replay(store)
    for key in keys:  # a copied store has other inodes and times
        store.write(key, store.read(key))
    second = replay(store, NEXT)
    assert (first.images, first.scored, first.left_out, first.is_reference) == (10, 10, 0, True)
    assert not second.is_reference
    assert first.key == f"reports/golden/2026-03-02/cloth/{scale(store)}.parquet"
    reference = parquet.from_bytes(store.read(golden_reference_key("cloth", scale(store))), "x")
    model = parquet.from_bytes(store.read(second.key), "x")
    assert reference["image_key"].to_pylist() == model["image_key"].to_pylist()
    then, now = golden_pair(store, "cloth", scale(store), DAY, NEXT)
    np.testing.assert_allclose(now, then, rtol=1e-6)
    assert len(then) == 10 and len(set(then)) == 10


def test_a_changed_score_shows_and_the_latest_replay_of_the_window_counts(store: Store) -> None:
    golden(store, ["a.png", "b.png"])
    replay(store)
    key = replay(store, NEXT).key
    table = parquet.from_bytes(store.read(key), "x")
    moved = table.set_column(2, "score", pa.array([9.0, None], pa.float32()))
    moved = moved.set_column(3, "status", pa.array(["ok", "unreadable"]))
    store.write(key, parquet.to_bytes(moved))
    then, now = golden_pair(store, "cloth", scale(store), DAY, NEXT)
    assert then.tolist() == table["score"].to_pylist()
    assert now[0] == 9.0 and np.isnan(now[1])
    then, now = golden_pair(store, "cloth", scale(store), DAY, DAY)
    assert now.tolist() == then.tolist()
    assert golden_pair(store, "cloth", scale(store), NEXT + timedelta(days=1), NEXT + timedelta(days=9)) is None


def test_files_that_are_gone_or_replaced_say_nothing_of_the_software(store: Store) -> None:
    keys = golden(store, ["a.png", "b.png", "c.png"])
    replay(store)
    (store.zarr_store(keys[0]).root).unlink()
    store.write(keys[1], png(99))
    receipt = replay(store, NEXT)
    assert (receipt.images, receipt.scored, receipt.left_out) == (3, 1, 2)
    then, now = golden_pair(store, "cloth", scale(store), DAY, NEXT)
    assert len(then) == 1
    np.testing.assert_allclose(now, then, rtol=1e-5)
    rows = parquet.from_bytes(store.read(receipt.key), "x").to_pylist()
    assert [row["status"] for row in rows] == ["gone", "replaced", "ok"]


def test_a_golden_set_is_written_once(store: Store) -> None:
    first = [GoldenImage("images/cloth/x.png", "e1")]
    assert write_golden_set(store, "cloth", first, now=NOW) == first
    assert write_golden_set(store, "cloth", [GoldenImage("other", "e2")], now=NOW) == first
    assert read_golden_set(store, "cloth") == first
    assert read_golden_set(store, "metal") == []


def test_where_nobody_has_chosen_calibration_images_are_taken_over_the_whole_list(store: Store) -> None:
    keys = put_images(store, "cloth", [f"{i:03}.png" for i in range(60)])
    publish_made_up(store, images={"calibration": [*keys, "images/cloth/2026-03-02/gone.png"]})
    count = choose_golden_set.fn(store.uri, store.uri, "cloth", "v1")
    chosen = read_golden_set(store, "cloth")
    assert len(chosen) == count <= GOLDEN_IMAGES
    assert [one.key for one in chosen] == keys[::4]
    assert [one.content_digest for one in chosen] == [digest_of(store, one.key) for one in chosen]
    before = store.read(golden_set_key("cloth"))
    assert choose_golden_set.fn(store.uri, store.uri, "cloth", "v1") == count
    assert store.read(golden_set_key("cloth")) == before


def test_without_calibration_images_or_a_set_there_is_nothing_to_replay(store: Store) -> None:
    put_model(store, "cloth")
    assert choose_golden_set.fn(store.uri, store.uri, "cloth", "v1") == 0
    assert store.info(golden_set_key("cloth")) is None
    assert replay(store) is None
    assert store.info(golden_scores_key(DAY, "cloth", scale(store))) is None


@pytest.mark.parametrize("text", ["{", "[]", '{"images": [1]}', json.dumps({"images": [{"key": "x"}]})])
def test_a_damaged_list_is_told_with_the_cure(store: Store, text: str) -> None:
    store.write(golden_set_key("cloth"), text.encode())
    with pytest.raises(CorruptObject, match="Restore"):
        read_golden_set(store, "cloth")


def _again(store: Store, day=DAY):
    return unchanged_replay(store, store, day, "cloth", "v1")


CHANGES = {
    "image": lambda store: store.write("images/cloth/2026-03-02/a.png", png(9)),
    "no image": lambda store: store.remove("images/cloth/2026-03-02/a.png"),
    "set": lambda store: store.write(golden_set_key("cloth"), store.read(golden_set_key("cloth")) + b"\n"),
    "weights": lambda store: store.write(weights_key("cloth", "v1"), store.read(weights_key("cloth", "v1"))),
    "scores": lambda store: store.remove(golden_scores_key(DAY, "cloth", scale(store))),
    "reference": lambda store: store.remove(golden_reference_key("cloth", scale(store))),
    "card": lambda store: store.write(card_key("cloth", "v1"), store.read(card_key("cloth", "v1")) + b"\n"),
}


def test_a_replay_that_would_be_the_same_is_not_played_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    golden(store, ["a.png"])
    assert _again(store) is None
    first = replay(store)
    assert _again(store) == replace(first, is_reference=False)
    assert _again(store, NEXT) is None
    with monkeypatch.context() as patched:
        patched.setattr("tasks.drift.replay_golden_set.processor", lambda: "another machine")
        assert _again(store) is None
    with monkeypatch.context() as patched:
        patched.setattr("tasks.reporting.kept_result.code_digest", lambda: "mended code, or another torch")
        assert _again(store) is None
    for name, change in CHANGES.items():
        replay(store)
        assert _again(store) is not None, name
        change(store)
        assert _again(store) is None, name


def test_another_view_of_the_same_weights_has_a_reference_of_its_own(store: Store) -> None:
    golden(store, ["a.png"])
    first = replay(store)
    put_recalibrated(store, "cloth", "v2", of="v1", day=DAY, ignore=CORNER)
    assert unchanged_replay(store, store, DAY, "cloth", "v2") is None
    own = replay_golden_set.fn(store.uri, store.uri, DAY, pinned("cloth", "v2"))
    assert own.is_reference
    assert own.key != first.key
    assert golden_pair(store, "cloth", scale(store), NEXT, NEXT) is None


def test_versions_that_share_weights_share_reference_and_replays(store: Store) -> None:
    golden(store, ["a.png"])
    first = replay(store)
    put_recalibrated(store, "cloth", "v2", of="v1", day=DAY)
    assert unchanged_replay(store, store, DAY, "cloth", "v2") == replace(first, is_reference=False)
    again = replay_golden_set.fn(store.uri, store.uri, NEXT, pinned("cloth", "v2"))
    assert (again.model_version, again.is_reference) == ("v2", False)
    then, now = golden_pair(store, "cloth", scale(store), DAY, NEXT)
    assert now.tolist() == then.tolist()
