"""Deciding anew: scores and maps stay, decisions are those that scoring again would make, and nothing old changes."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from prefect.logging import disable_run_logger

from flows.preflight.redecision import refuse_redecision
from flows.settings import SettingsError
from rd_core.calibration.threshold import calibrate
from rd_core.maps.defect_regions import defect_regions
from rd_core.pictures.crop import Crop
from rd_core.pictures.ignored_regions import Ignore
from storage import layout
from storage.analysis.compaction import merge_days
from storage.analysis.queries import run_query
from storage.errors import Conflict, CorruptObject, KeyNotFound
from storage.filesystem import Store, open_store
from storage.models import models
from storage.models.card import ImageThreshold
from storage.partitions import manifests, scores, seals
from storage.partitions.anomaly_maps import read_map
from storage.records import Partition
from storage.verification.damage import DamagedBatch, partition_damage
from storage.verification.garbage import find_expired_maps, find_unsealed
from storage.verification.verification import Scope, verify
from tasks.night.mend_batch import mend_batch
from tasks.night.pin_champion import pin_version
from tasks.night.plan_batches import PartitionJob, plan_batches
from tasks.night.redecide_partition import Redecided, redecide_partition
from tasks.night.score_batch import score_batch
from tasks.night.seal_partition import seal_partition
from tasks.training.ignored import ignoring
from tests.drift_plants import CORNER
from tests.factories import DAY, NOW, everything_below, png, put_images, put_model, sealed_rows
from tests.object_stores import Bucket

LATER = NOW + timedelta(hours=1)
NEW = Partition("cloth", DAY, "v2")
OLD_FOLDERS = (
    f"scores/run_date={DAY}/category=cloth/model_version=v1",
    f"maps/cloth/{DAY}",
    "models/cloth/v1",
)
DEPENDENT = ("threshold", "p_value", "is_anomalous", "decision")
OF_MAPS = ("anomalous_area", "defect_area", "defect_boxes")


def night(store: Store, version: str = "v1", batch: int = 2) -> None:
    job = PartitionJob(store.uri, store.uri, DAY, pin_version.fn(store.uri, "cloth", version), "night", NOW, batch)
    planned = plan_batches.fn(job)
    receipts = [score_batch.fn(store.uri, store.uri, one) for one in planned.batches]
    seal_partition.fn(store.uri, planned.plan, receipts, NOW)


def recalibrated(
    store: Store, scores_of_normals: list[float], version: str = "v2", of: str = "v1", ignore: Ignore | None = None
) -> None:
    card = ignoring(models.read_card(store, "cloth", of), ignore)
    threshold = ImageThreshold(**asdict(calibrate(scores_of_normals, 0.05)))
    models.publish_recalibrated(
        store,
        replace(
            card,
            version=version,
            threshold=threshold,
            pixel_threshold=replace(card.pixel_threshold, value=0.9 * card.pixel_threshold.value),
            calibration=replace(card.calibration, scores=tuple(sorted(scores_of_normals))),
            weights=replace(card.weights, version=card.weights_version),
        ),
    )


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A night of five images and a broken one in three batches; v2 has the weights of v1, and a threshold between
    their scores."""
    store = open_store(tmp_path_factory.mktemp("scored") / "plant", create=True)
    put_model(store, "cloth")
    put_images(store, "cloth", [f"{i}.png" for i in range(5)])
    store.write(layout.image_key("cloth", DAY, "broken.png"), b"no image")
    with disable_run_logger():
        night(store)
    found = sorted(row["score"] for row in sealed_rows(store, "cloth") if row["score"] is not None)
    recalibrated(store, [*np.linspace(found[0], found[2], 40)])
    return store


@pytest.fixture
def plant(scored: Store, tmp_path: Path) -> Store:
    """A copy of `scored`."""
    shutil.copytree(scored.root, tmp_path / "copy")
    return open_store(tmp_path / "copy")


def redecide(store: Store, run_id: str = "run-2", version: str = "v2") -> Redecided:
    with disable_run_logger():
        return redecide_partition.fn(store.uri, replace(NEW, model_version=version), run_id=run_id, now=LATER)


def of_stored_map(store: Store, row: dict) -> dict[str, object]:
    """What v2's thresholds make of the row's stored map, whose pixels are the image's."""
    if row["map_index"] is None:
        return dict.fromkeys(OF_MAPS)
    card = models.read_card(store, "cloth", "v2")
    stored = read_map(store, row["map_store"], row["map_index"]).astype(np.float32)
    regions = defect_regions(stored, card.pixel_threshold.value, card.threshold.low)
    boxes = [{name: getattr(one, name) for name in ("top", "left", "height", "width", "peak")} for one in regions]
    return {
        "anomalous_area": float(np.float32(np.mean(stored > card.threshold.value))),
        "defect_area": float(np.float32(np.mean(stored > card.pixel_threshold.value))),
        "defect_boxes": [] if row["decision"] == "accept" else boxes,
    }


def rows_by_key(store: Store, version: str) -> dict[str, dict]:
    return {row["image_key"]: row for row in sealed_rows(store, "cloth", version=version)}


def test_boxes_that_are_decided_anew_lie_in_the_crop_as_those_of_scoring_again(tmp_path: Path) -> None:
    store = open_store(tmp_path / "plant", create=True)
    put_model(store, "cloth", crop=Crop.of([8, 16, 32, 40]))
    put_images(store, "cloth", ["a.png", "b.png"])
    with disable_run_logger():
        night(store)
    lowest = min(row["score"] for row in sealed_rows(store, "cloth"))
    recalibrated(store, [*np.linspace(0.5 * lowest, 0.8 * lowest, 40)])
    redecide(store)
    recalibrated(store, list(models.read_card(store, "cloth", "v2").calibration.scores), "v3")
    night(store, "v3")
    anew, again = rows_by_key(store, "v2"), rows_by_key(store, "v3")
    boxes = [(anew[key]["defect_boxes"], again[key]["defect_boxes"]) for key in anew]
    for decided, scored in boxes:
        places = [[{k: v for k, v in one.items() if k != "peak"} for one in found] for found in (decided, scored)]
        assert places[0] == places[1] != []
        for one in decided:
            assert 8 <= one["top"] < one["top"] + one["height"] <= 40
            assert 16 <= one["left"] < one["left"] + one["width"] <= 56


def test_decisions_are_those_of_scoring_again_and_nothing_old_changes(plant: Store) -> None:
    before = everything_below(plant.root, *OLD_FOLDERS)
    done = redecide(plant)
    assert (done.of, done.images) == ("v1", 6)
    assert everything_below(plant.root, *OLD_FOLDERS) == before
    anew = rows_by_key(plant, "v2")
    recalibrated(plant, list(models.read_card(plant, "cloth", "v2").calibration.scores), "v3")
    night(plant, "v3")
    old, again = rows_by_key(plant, "v1"), rows_by_key(plant, "v3")
    assert 0 < sum(bool(row["is_anomalous"]) for row in anew.values()) == done.anomalous < 5
    for key, row in anew.items():
        for name in scores.SCHEMA.names:
            if name in ("model_version", "run_id"):
                continue
            if name in OF_MAPS:  # rounded to float16 by then
                assert row[name] == of_stored_map(plant, row)[name], name
                continue
            assert row[name] == (again if name in DEPENDENT else old)[key][name], name
    assert not verify(plant, plant, Scope(deep=True)).wrong


def test_the_newest_decisions_are_in_force_and_an_image_counts_once(plant: Store) -> None:
    redecide(plant)
    counted = "SELECT model_version, count(*) AS n FROM latest GROUP BY ALL"
    for _ in range(2):
        assert run_query(plant, counted).to_pylist() == [{"model_version": "v2", "n": 6}]
        assert run_query(plant, "SELECT count(*) AS n FROM scores").to_pylist() == [{"n": 12}]
        merge_days(plant, now=NOW)


def test_late_images_are_scored_and_others_left_alone(plant: Store) -> None:
    redecide(plant)
    plant.write(layout.image_key("cloth", DAY, "late.png"), png(9))
    night(plant, "v2")
    assert [plan.images for plan in seals.read_seal(plant, NEW).plans] == [6, 1]
    assert redecide(plant).images == 0
    models.promote(plant, "cloth", "v2", by="test", now=NOW)
    assert not verify(plant, plant, Scope(deep=True)).wrong


def test_late_and_changed_images_of_the_old_version_keep_their_order(plant: Store) -> None:
    for name, seed in (("1.png", 77), ("late.png", 78)):
        plant.write(layout.image_key("cloth", DAY, name), png(seed))
    night(plant)
    redecide(plant)
    assert [plan.images for plan in seals.read_seal(plant, NEW).plans] == [6, 2]
    assert not verify(plant, plant, Scope(deep=True)).wrong
    assert run_query(plant, "SELECT count(*) AS n FROM latest").to_pylist() == [{"n": 7}]


def test_two_at_once_and_one_after_another_write_the_same(plant: Store) -> None:
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda run: redecide(plant, run), ("run-a", "run-b")))
    first = everything_below(plant.root, "scores")
    assert redecide(plant, "run-c").images == 0
    assert everything_below(plant.root, "scores") == first
    assert len(seals.read_seal(plant, NEW).plans) == 1
    assert not verify(plant, plant, Scope(deep=True)).findings


@pytest.mark.parametrize("writes", [0, 2, 4])  # of the manifest, three parts, the seal
def test_killed_at_any_write_it_goes_on(plant: Store, monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    class Killed(BaseException):
        pass

    left = writes

    def killing(write):
        def wrapped(*arguments, **more):
            nonlocal left
            left -= 1
            if left < 0:
                raise Killed
            return write(*arguments, **more)

        return wrapped

    kind = type(plant)
    with monkeypatch.context() as patched:
        for name in ("write", "create", "replace"):
            patched.setattr(kind, name, killing(getattr(kind, name)))
        with pytest.raises(Killed):
            redecide(plant)
    assert redecide(plant, "run-3").images == 6
    assert {row["run_id"] for row in sealed_rows(plant, "cloth", version="v2")} == {"run-2" if writes else "run-3"}
    assert not verify(plant, plant, Scope(deep=True)).findings


def test_a_night_that_only_planned_the_day_is_another_plan(plant: Store) -> None:
    pinned = pin_version.fn(plant.uri, "cloth", "v2")
    (source,) = seals.read_seal(plant, replace(NEW, model_version="v1")).plans
    manifests.publish_plan(
        plant, NEW, manifests.read_manifest(plant, source.manifest), preprocessing=pinned.preprocessing,
        batch_size=2, run_id="night", planned_at=NOW,
    )  # fmt: skip
    redecide(plant)
    assert {row["map_store"] for row in sealed_rows(plant, "cloth", version="v2")} == {source.map_store}


def test_a_version_that_scored_the_day_itself_stays(plant: Store) -> None:
    night(plant, "v2")
    before = everything_below(plant.root, "scores", "seals")
    assert redecide(plant).images == 0
    assert everything_below(plant.root, "scores", "seals") == before


def test_a_night_that_seals_first_is_not_doubled(plant: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def sealed_meanwhile(*_: object) -> bool:
        night(plant, "v2")
        return False

    monkeypatch.setattr("tasks.night.redecide_partition._has_own", sealed_meanwhile)
    with pytest.raises(Conflict, match="would count twice"):
        redecide(plant)
    assert len(sealed_rows(plant, "cloth", version="v2")) == 6


def test_scores_of_another_view_decide_nothing(plant: Store) -> None:
    recalibrated(plant, [0.1, 0.2, 0.3], "v3", ignore=CORNER)
    assert redecide(plant, version="v3").of is None
    with pytest.raises(SettingsError, match=r"has the weights of v1 but another view .* leave out --redecide"):
        refuse_redecision(plant, "cloth", "v3", DAY, DAY)
    refuse_redecision(plant, "cloth", "v2", DAY, DAY)
    refuse_redecision(plant, "cloth", "v3", DAY + timedelta(days=1), DAY + timedelta(days=1))


def test_without_scores_of_the_same_weights_nothing_is_done(plant: Store) -> None:
    put_model(plant, "tile", "v2")
    with disable_run_logger():
        done = redecide_partition.fn(plant.uri, Partition("tile", DAY, "v2"), run_id="r", now=NOW)
    assert (done.of, done.images) == (None, 0)


def test_maps_past_their_retention_leave_areas_empty(plant: Store) -> None:
    (maps,) = {plan.map_store for plan in seals.read_seal(plant, replace(NEW, model_version="v1")).plans}
    plant.remove_tree(f"{maps}/")
    with pytest.raises(KeyNotFound):
        redecide(plant)
    plant.write(layout.expired_maps_key(maps), b"{}")
    redecide(plant)
    rows = [row for row in sealed_rows(plant, "cloth", version="v2") if row["status"] == "ok"]
    assert {(row["anomalous_area"], row["defect_area"], row["defect_boxes"]) for row in rows} == {(None, None, None)}
    assert len({row["decision"] for row in rows}) > 1
    assert not verify(plant, plant, Scope(deep=True)).wrong


def test_shared_maps_expire_once_and_gc_takes_nothing(plant: Store) -> None:
    redecide(plant)
    assert find_unsealed(plant).leftovers == ()
    assert len(find_expired_maps(plant, before=DAY + timedelta(days=1))) == 1
    plant.remove(layout.seal_key("cloth", DAY, "v1"))  # the maps stay named by the other seal
    assert all(one.what != "maps" for one in find_unsealed(plant).leftovers)


def test_a_damaged_part_is_decided_anew_again(plant: Store) -> None:
    redecide(plant)
    seal = seals.read_seal(plant, NEW)
    plant.write(seal.plans[0].parts[1].key, b"no part")
    [damaged] = [one for one in partition_damage(plant, seal, deep=True) if isinstance(one, DamagedBatch)]
    maps = everything_below(plant.root, "maps")
    assert mend_batch.fn(plant.uri, plant.uri, damaged) == 2
    assert everything_below(plant.root, "maps") == maps
    assert not verify(plant, plant, Scope(deep=True)).wrong


def test_by_damaged_scores_nothing_is_decided(plant: Store) -> None:
    part = seals.read_seal(plant, replace(NEW, model_version="v1")).plans[0].parts[0]
    data = bytearray(plant.read(part.key))
    data[len(data) // 2] ^= 1
    plant.write(part.key, bytes(data))
    with pytest.raises(CorruptObject, match="--model v1 --mend"):
        redecide(plant)


def test_a_recalibration_of_a_recalibration(plant: Store) -> None:
    redecide(plant)
    recalibrated(plant, [0.1 + i / 100 for i in range(40)], "v3", of="v2")
    done = redecide(plant, version="v3")
    assert (done.of, done.anomalous) == ("v2", 5)
    assert not verify(plant, plant, Scope(deep=True)).wrong


def test_the_same_on_an_object_store(moto_s3: Bucket) -> None:
    store = open_store(moto_s3.uri)
    put_model(store, "cloth")
    put_images(store, "cloth", ["a.png", "b.png"])
    night(store)
    recalibrated(store, [0.1 + i / 100 for i in range(40)])
    assert redecide(store).images == 2
    assert redecide(store).images == 0
    assert not verify(store, store, Scope(deep=True)).findings
