"""Which normals a retraining takes, and that none is left out in silence."""

import io
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from PIL import Image

from proofs.model_cards import publish_made_up
from rd_core.errors import ConfigError
from storage.filesystem import Store
from storage.labels import labels
from storage.layout import image_key
from storage.models import models
from storage.models.card import Retraining
from tasks.retraining import gather_normals as module
from tasks.retraining.considered_normals import (
    CONTRADICTION,
    DAY_IS_FULL,
    LABEL_CHANGED,
    LEFT_OUT,
    NEAR_DUPLICATE,
    NEW,
    NOT_REPLAYED,
    PART_IS_FULL,
    QUARANTINED,
    REPLAYED,
    TOO_OLD,
    UNREADABLE,
    USED,
    ConsideredNormal,
    read_considered,
)
from tasks.retraining.gather_normals import GatheredNormals, GatherLimits, GatherOrder, gather_normals
from tests.factories import DAY, NOW
from tests.retraining_plants import put_labels
from tests.told_scores import ToldScorer, png_of, told_picture

THRESHOLD = 3.0
KEY = "reports/retraining/2026-03-02/cloth/run/normals.parquet"
TRAINED = DAY - timedelta(days=20)


@pytest.fixture(autouse=True)
def _told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "warm_scorer", lambda *_: ToldScorer(np.float32(THRESHOLD)))


def put(store: Store, name: str, seed: int, score: float = 2.0, day: date = DAY) -> str:
    key = image_key("cloth", day, name)
    store.write(key, png_of(told_picture(seed, score)))
    return key


def put_many(store: Store, count: int, seed: int = 100, score: float = 2.0, day: date = DAY) -> list[str]:
    """New normals whose scores differ a little."""
    keys = [put(store, f"n{seed + i}.png", seed + i, score * (1 + 0.05 * (i % 5)), day) for i in range(count)]
    put_labels(store, "cloth", f"n{seed}", keys)
    return keys


@pytest.fixture
def old(store: Store) -> list[str]:
    """The champion's own images, in every set that a card has."""
    keys = [put(store, f"old{i}.png", i, day=TRAINED) for i in range(12)]
    data = {"train": keys[:6], "early_stop": keys[6:8], "calibration": keys[8:10], "test": keys[10:11]}
    publish_made_up(store, images={**data, "duplicates": keys[11:]})
    put_labels(store, "cloth", "old", keys, labelled_at=NOW - timedelta(days=19))
    return keys


def test_what_the_champion_set_aside_stays_so_until_somebody_looks_again(store: Store) -> None:
    """The card is of 1 March."""
    keys = [put(store, f"old{i}.png", i, day=TRAINED) for i in range(5)]
    publish_made_up(store, images={"train": tuple(keys[:2]), "set_aside": dict.fromkeys(keys[2:], "It stands out.")})
    put_labels(store, "cloth", "old", keys, labelled_at=NOW - timedelta(days=19))
    put_labels(store, "cloth", "again", keys[3:4])
    put_labels(store, "cloth", "defect", keys[4:], "anomalous")
    new = put_many(store, 9)
    found = gather(store)
    assert set(rows_of(store, QUARANTINED)) == {keys[2]} and rows_of(store)[keys[2]].why == "It stands out."
    assert set(rows_of(store, NEW)) == {*new, keys[3]}
    assert set(rows_of(store, LABEL_CHANGED)) == {keys[4]}
    assert (found.new, found.replayed) == (10, 2)


def test_a_champion_of_unlabelled_days_keeps_its_images_until_somebody_knows_better(store: Store) -> None:
    keys = [put(store, f"old{i}.png", i, day=TRAINED) for i in range(4)]
    publish_made_up(store, images={"train": tuple(keys), "unlabelled": (TRAINED,)})
    put_labels(store, "cloth", "defect", keys[:1], "anomalous")
    put_many(store, 9)
    assert gather(store).replayed == 3
    assert set(rows_of(store, LABEL_CHANGED)) == {keys[0]}


def test_what_only_set_the_champions_threshold_is_new(store: Store) -> None:
    """A champion by recalibration, an hour after the last labels; its weights are of 1 March."""
    keys = [put(store, f"old{i}.png", i, day=TRAINED) for i in range(7)]
    trained = {
        "train": tuple(keys[:4]),
        "calibration": tuple(keys[4:5]),
        "set_aside": {keys[5]: "Then.", keys[6]: ""},
    }
    publish_made_up(store, images=trained)
    put_labels(store, "cloth", "old", keys, labelled_at=NOW - timedelta(days=19))
    new = put_many(store, 9)
    before = models.read_card(store, "cloth", "v1")
    put_labels(store, "cloth", "again", keys[6:], labelled_at=before.created_at + timedelta(hours=1))
    stranger = put(store, "nobody.png", 90)
    images = replace(before.images, calibration=(*new[1:], stranger), set_aside={keys[5]: "Then.", new[0]: "Now."})
    later, weights = NOW + timedelta(hours=1), replace(before.weights, version="v1")
    models.publish_recalibrated(
        store, replace(before, version="v2", created_at=later, images=images, weights=weights)
    )
    found = gather_normals.fn(
        store.uri, store.uri, GatherOrder("cloth", "v2", None, DAY, KEY, GatherLimits(fewest_new=8))
    )
    assert set(rows_of(store, NEW)) == {*new[1:], keys[6]} and found.message is None
    assert set(rows_of(store, REPLAYED)) == set(keys[:5])
    assert {key: row.why for key, row in rows_of(store, QUARANTINED).items()} == {keys[5]: "Then.", new[0]: "Now."}
    assert stranger not in rows_of(store), "nobody has labelled it"


def gather(store: Store, pattern: str | None = None, **limits: float) -> GatheredNormals:
    order = GatherOrder("cloth", "v1", pattern, DAY, KEY, GatherLimits(**{"fewest_new": 8, **limits}))
    return gather_normals.fn(store.uri, store.uri, order)


def rows_of(store: Store, state: str | None = None) -> dict[str, ConsideredNormal]:
    return {row.image_key: row for row in read_considered(store, KEY) if state in (None, row.state)}


def test_new_is_what_the_card_does_not_name_and_the_old_ones_come_again(store: Store, old: list[str]) -> None:
    new = put_many(store, 20)
    kept = [put(store, f"kept{i}.png", 50 + i) for i in range(3)]
    put_labels(store, "cloth", "kept", kept, purpose="evaluation")
    put_labels(store, "cloth", "bad", [put(store, "bad.png", 60)], "anomalous")
    found = gather(store)
    assert sorted(rows_of(store, NEW)) == new
    assert sorted(rows_of(store, REPLAYED)) == sorted(old[:11])
    assert not {*kept, old[11]} & set(rows_of(store)), "evaluation labels never train, copies never again"
    assert (found.new, found.replayed, found.message) == (20, 11, None)
    assert all(row.why is None for row in rows_of(store).values())
    row = rows_of(store)[new[0]]
    assert (row.labelled_by, row.labelled_at, row.day, row.is_new) == ("ada", NOW, DAY, True)
    assert row.score == pytest.approx(2.0)


def test_the_same_labels_give_the_same_bytes(store: Store, old: list[str]) -> None:
    put_many(store, 30)
    first = gather(store, most_per_day=12, most_replayed=5)
    before = store.read(KEY)
    assert gather(store, most_per_day=12, most_replayed=5) == first
    assert store.read(KEY) == before


def test_what_shows_the_same_is_used_once(store: Store, old: list[str]) -> None:
    new = put_many(store, 10)
    kept = put(store, "kept.png", 77)
    put_labels(store, "cloth", "kept", [kept], purpose="evaluation")
    out = io.BytesIO()
    Image.fromarray(told_picture(3, 2.0)).save(out, "JPEG", quality=95, subsampling=0)
    copies = {image_key("cloth", DAY, "again.jpg"): old[3], image_key("cloth", DAY, "again.png"): kept}
    copies[image_key("cloth", DAY, "z-twice.png")] = new[4]
    contents = [out.getvalue(), store.read(kept), store.read(new[4])]
    for key, data in zip(copies, contents, strict=True):
        store.write(key, data)
    put_labels(store, "cloth", "copies", list(copies), labelled_at=NOW + timedelta(hours=1))
    gather(store)
    found = rows_of(store, NEAR_DUPLICATE)
    assert {key: row.other_key for key, row in found.items()} == copies
    assert all(copies[key] in row.why for key, row in found.items())
    assert "that is new as well" in found[image_key("cloth", DAY, "z-twice.png")].why


def test_wrong_labels_are_quarantined_also_after_a_lasting_change_of_light(store: Store, old: list[str]) -> None:
    before = put_many(store, 20, seed=100, score=2.0, day=DAY - timedelta(days=3))
    after = put_many(store, 20, seed=200, score=5.0)
    wrong = [put(store, "wrong1.png", 301, 12.0), put(store, "wrong0.png", 300, 9.0, DAY - timedelta(days=3))]
    put_labels(store, "cloth", "wrong", wrong)
    found = gather(store)
    assert sorted(rows_of(store, QUARANTINED)) == sorted(wrong)
    assert set(rows_of(store, NEW)) == {*before, *after}
    assert found.above_threshold == len(after)
    why = rows_of(store)[wrong[0]]
    assert "The champion scores it 12, above its threshold of 3" in why.why
    assert why.outlying > 3.5 and why.score == pytest.approx(12.0)


def test_an_outlier_below_the_threshold_is_no_suspect(store: Store, old: list[str]) -> None:
    put_many(store, 20, score=1.0)
    put_labels(store, "cloth", "odd", [put(store, "odd.png", 300, THRESHOLD - 0.1)])
    gather(store)
    assert not rows_of(store, QUARANTINED)
    assert rows_of(store)[image_key("cloth", DAY, "odd.png")].outlying > 3.5


def test_contradictions_and_changed_labels_are_left_out_and_shown(store: Store, old: list[str]) -> None:
    new = put_many(store, 12)
    later = NOW + timedelta(hours=1)
    put_labels(store, "cloth", "bob", [new[0], old[0]], "anomalous", by="bob", labelled_at=NOW - timedelta(hours=1))
    put_labels(store, "cloth", "ada-again", [new[1]], "anomalous", by="ada", labelled_at=NOW - timedelta(hours=1))
    put_labels(store, "cloth", "unsure", [new[2]], "unsure", labelled_at=later)
    put_labels(store, "cloth", "gone", [old[1]], "withdrawn", by="ada", labelled_at=later)
    put_labels(store, "cloth", "kept", [old[2]], by="ada", purpose="evaluation", labelled_at=later)
    gather(store)
    found = rows_of(store)
    assert found[new[0]].state == CONTRADICTION
    assert found[new[0]].why == "People disagree (bob: anomalous, ada: normal). Let one of them look again."
    assert found[new[1]].state == NEW, "who changes their mind contradicts nobody"
    assert new[2] not in found
    assert found[old[1]].state == LABEL_CHANGED and "nobody calls it normal" in found[old[1]].why
    assert found[old[2]].state == LABEL_CHANGED and "kept to judge models" in found[old[2]].why


def test_old_and_unreadable_ones_are_left_out(store: Store, old: list[str]) -> None:
    put_many(store, 10)
    aged = put_many(store, 2, seed=300, day=DAY - timedelta(days=31))
    put_many(store, 1, seed=400, day=DAY - timedelta(days=30))
    broken, gone = image_key("cloth", DAY, "broken.png"), image_key("cloth", DAY, "gone.png")
    store.write(broken, b"not an image")
    put_labels(store, "cloth", "broken", [broken, gone])
    found = gather(store, most_age_days=30)
    assert sorted(rows_of(store, TOO_OLD)) == sorted(aged)
    assert rows_of(store)[aged[0]].why == "It is 31 days old; 30 are allowed."
    assert sorted(rows_of(store, UNREADABLE)) == sorted([broken, gone])
    assert found.counts == {NEW: 11, REPLAYED: 11, TOO_OLD: 2, UNREADABLE: 2}


def test_no_part_no_day_and_no_past_gives_more_than_its_share(store: Store, old: list[str]) -> None:
    keys = [put(store, f"part{i % 3}_{i}.png", 100 + i) for i in range(30)]
    put_labels(store, "cloth", "parts", keys)
    put_many(store, 6, seed=200, day=DAY - timedelta(days=1))
    found = gather(store, pattern=r"(?P<part>part\d)_", most_per_part=6, most_per_day=12, most_replayed=4)
    assert found.counts == {NEW: 18, PART_IS_FULL: 12, DAY_IS_FULL: 6, REPLAYED: 4, NOT_REPLAYED: 7}
    used = rows_of(store, NEW).values()
    assert max(sum(row.part == f"part{n}" for row in used) for n in range(3)) <= 6
    assert rows_of(store, PART_IS_FULL) and all("10 new normals are of part part" in row.why
                                               for row in rows_of(store, PART_IS_FULL).values())  # fmt: skip


def test_too_few_is_told_with_what_became_of_the_others(store: Store, old: list[str]) -> None:
    put_many(store, 10)
    put_labels(store, "cloth", "wrong", [put(store, "wrong.png", 300, 12.0)])
    found = gather(store, fewest_new=11)
    assert found.new == 10
    assert "10 new normals of cloth can be used and 11 are needed, so it stays with model v1" in found.message
    assert "1 quarantined" in found.message and "Label more good images" in found.message
    assert gather(store, fewest_new=10).message is None


def test_without_anything_new_nothing_is_read(store: Store, old: list[str]) -> None:
    found = gather(store)
    assert (found.new, found.replayed) == (0, 11)
    assert found.message is not None


def test_every_normal_that_may_train_is_accounted_for(store: Store, old: list[str]) -> None:
    put_many(store, 12)
    put_many(store, 3, seed=300, day=DAY - timedelta(days=400))
    gather(store, most_per_day=9)
    rows = rows_of(store)
    assert set(labels.normal_image_keys(store, "cloth")) - {old[11]} == set(rows)
    assert {row.state for row in rows.values()} <= {*USED, *LEFT_OUT}
    assert all((row.why is None) == (row.state in USED) for row in rows.values())


def test_limits_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigError, match="fewest_new = 3 is below 8"):
        GatherLimits(fewest_new=3)
    with pytest.raises(ConfigError, match="most_per_day = 0 is below 1"):
        GatherLimits(most_per_day=0)
    with pytest.raises(ConfigError, match="most_outlying = -1"):
        GatherLimits(most_outlying=-1)


def test_the_same_candidate_is_not_made_again_and_again(store: Store, old: list[str]) -> None:
    put_many(store, 12)
    first = gather(store)
    assert first.message is None
    publish_made_up(store, version="v2", retraining=Retraining("v1", None, {}, "", first.digest, {}))
    assert gather(store).message is None, "it was never judged: a run was cut short"
    models.publish_decision(store, "cloth", "v2", {"promote": False})
    publish_made_up(store, version="v3")
    models.publish_decision(store, "cloth", "v3", {"promote": False})
    store.write("models/cloth/v4/card.json", b"damaged")
    models.publish_decision(store, "cloth", "v4", {"promote": False})
    found = gather(store)
    assert "Candidate v2 of cloth was made from the same normals" in found.message
    assert found.digest == first.digest
    order = GatherOrder("cloth", "v1", None, DAY, KEY, GatherLimits(fewest_new=8), "from scratch")
    assert gather_normals.fn(store.uri, store.uri, order).message is None
    put_labels(store, "cloth", "judge", [put(store, "judge.png", 77)], purpose="evaluation")
    assert gather(store).message is None, "more images judge now"
