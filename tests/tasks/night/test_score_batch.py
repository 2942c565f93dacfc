"""A batch: every image a row, whatever it is; the same bytes, however often; nothing lost at any fault."""

import errno
import io
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from demo.broken_files import odd_files
from proofs.model_cards import made_up_card
from proofs.stub_scorer import StubScorer, warm_stub
from rd_core.maps.defect_regions import DefectRegion, defect_regions
from rd_core.maps.micro_batch import AnomalyMaps
from rd_core.pictures.crop import Crop
from rd_core.pictures.ignored_regions import Ignore
from rd_core.pictures.image_statistics import image_statistics
from rd_core.pictures.read_ahead import READ_AHEAD
from storage.errors import ObjectDenied, StorageError, StoreFull, TransientFault
from storage.filesystem import LocalStore, Store, open_store
from storage.layout import image_key
from storage.partitions import anomaly_maps, scores
from tasks.night import score_batch as score_batch_module
from tasks.night.plan_batches import PartitionJob, PartitionPlan, plan_batches
from tasks.night.score_batch import score_batch
from tasks.scoring import picture_scores
from tasks.scoring.picture_scores import ScoredPicture, columns_of, score_pictures
from tasks.worker.picture_reader import MICRO_BATCH, LoadedPicture, load_array
from tasks.worker.preprocessing import ImageFormat, SeenPicture
from tasks.worker.scorer import Scorer, warm_scorer
from tests.factories import (
    CALIBRATION,
    DAY,
    NOW,
    PIXEL_THRESHOLD,
    SIZE,
    everything_below,
    pinned,
    png,
    put_images,
    put_model,
)
from tests.object_stores import Bucket
from tests.told_scores import png_of

FOUND = {"score", "p_value", "decision", "anomalous_area", "defect_area", "defect_boxes", "feature_distance"}
FOUND |= {"brightness", "contrast", "sharpness", "edge_centre_x", "edge_centre_y"}


def planned(store: Store, batch_images: int | None = None) -> PartitionPlan:
    return plan_batches.fn(
        PartitionJob(store.uri, store.uri, DAY, pinned("cloth"), "run-1", NOW, batch_images=batch_images)
    )


def rows_of(store: Store, plan: PartitionPlan) -> dict[str, dict]:
    receipts = [score_batch.fn(store.uri, store.uri, batch) for batch in plan.batches]
    rows = scores.read_scores(store, [receipt.part for receipt in receipts]).to_pylist()
    assert len({row["image_key"] for row in rows}) == len(rows) == sum(receipt.rows for receipt in receipts)
    return {row["image_key"].split("/", 3)[3]: row for row in rows}


def test_a_row_says_what_was_decided_and_where_the_map_lies(store: Store) -> None:
    put_model(store, "cloth")
    put_images(store, "cloth", ["good/a.png", "hole/b.png"])
    row = rows_of(store, planned(store))["hole/b.png"]
    anomaly_map = anomaly_maps.read_map(store, row["map_store"], row["map_index"])
    assert anomaly_map.shape == (SIZE, SIZE)
    assert np.float16(row["score"]) == anomaly_map.max()
    assert row["is_anomalous"] == (row["score"] > row["threshold"])
    above = sum(score >= np.float32(row["score"]) for score in np.float32(CALIBRATION))
    assert row["p_value"] == pytest.approx((1 + above) / (len(CALIBRATION) + 1))
    assert row["anomalous_area"] == pytest.approx(np.mean(anomaly_map > row["threshold"]), abs=2e-3)
    assert (row["image_height"], row["image_width"]) == (SIZE, SIZE)
    assert row["run_id"] == "run-1"
    assert row["scored_at"] == NOW


def test_a_row_has_the_decision_and_boxes_around_the_defects_in_the_pixels_of_the_image(store: Store) -> None:
    put_model(store, "cloth")
    store.write(image_key("cloth", DAY, "a.png"), png(1, (2 * SIZE, 3 * SIZE)))
    row = rows_of(store, planned(store))["a.png"]
    anomaly_map = anomaly_maps.read_map(store, row["map_store"], row["map_index"]).astype(np.float32)
    low, high = warm_scorer(store, "cloth", "v1").review_band
    assert row["decision"] == ("reject" if row["score"] > high else "review" if row["score"] > low else "accept")
    assert row["decision"] != "accept"
    assert row["defect_area"] == pytest.approx(np.mean(anomaly_map > PIXEL_THRESHOLD), abs=2e-3)
    expected = defect_regions(anomaly_map, PIXEL_THRESHOLD, low)
    assert len(row["defect_boxes"]) == len(expected) > 0
    for box, region in zip(row["defect_boxes"], expected, strict=True):
        assert box["peak"] == pytest.approx(region.peak, abs=2e-3)
        assert (box["top"], box["left"]) == (2 * region.top, 3 * region.left)
        assert (box["height"], box["width"]) == (2 * region.height, 3 * region.width)


def test_the_boxes_of_a_cropped_image_lie_in_the_whole_one_and_an_image_that_is_too_small_is_a_row_with_its_reason(
    store: Store,
) -> None:
    put_model(store, "cloth", crop=Crop.of([20, 100, SIZE, 2 * SIZE]))
    whole = np.zeros((SIZE + 30, 2 * SIZE + 110, 3), np.uint8)
    whole[20 : 20 + SIZE, 100 : 100 + 2 * SIZE] = np.asarray(Image.open(io.BytesIO(png(1, (SIZE, 2 * SIZE)))))
    store.write(image_key("cloth", DAY, "a.png"), png_of(whole))
    store.write(image_key("cloth", DAY, "small.png"), png(2, (SIZE, SIZE)))
    rows = rows_of(store, planned(store))
    row = rows["a.png"]
    anomaly_map = anomaly_maps.read_map(store, row["map_store"], row["map_index"]).astype(np.float32)
    expected = defect_regions(anomaly_map, PIXEL_THRESHOLD, warm_scorer(store, "cloth", "v1").review_band[0])
    assert len(row["defect_boxes"]) == len(expected) > 0
    for box, region in zip(row["defect_boxes"], expected, strict=True):
        assert (box["top"], box["left"]) == (20 + region.top, 100 + 2 * region.left)
        assert (box["height"], box["width"]) == (region.height, 2 * region.width)
    assert (row["image_height"], row["image_width"]) == whole.shape[:2]
    small = rows["small.png"]
    assert (small["status"], small["score"], small["map_index"], small["image_height"]) == ("unreadable", *[None] * 3)
    assert f"{SIZE} x {SIZE} pixels" in small["error"] and "reaches beyond" in small["error"]


def test_random_content_in_an_ignored_region_gives_the_same_row_and_areas_are_shares_of_what_counts(
    store: Store,
) -> None:
    put_model(store, "cloth", ignore=Ignore((((0.0, 0.0), (0.0, 0.49), (1.0, 0.49), (1.0, 0.0)),)))
    pictures = [np.asarray(Image.open(io.BytesIO(png(seed)))) for seed in (1, 2)]
    top = pictures[1].copy()
    top[SIZE // 2 :] = pictures[0][SIZE // 2 :]
    for name, picture in (("a.png", pictures[0]), ("b.png", top)):
        store.write(image_key("cloth", DAY, name), png_of(picture))
    rows = rows_of(store, planned(store))
    first, second = ({name: rows[key][name] for name in FOUND} for key in ("a.png", "b.png"))
    assert first == second
    maps = [anomaly_maps.read_map(store, row["map_store"], row["map_index"]) for row in rows.values()]
    assert maps[0].tobytes() == maps[1].tobytes()
    counted = maps[0][SIZE // 2 :]
    assert first["anomalous_area"] == pytest.approx(np.mean(counted > rows["a.png"]["threshold"]), abs=3e-3)
    assert first["defect_area"] == pytest.approx(np.mean(counted > PIXEL_THRESHOLD), abs=3e-3)


def test_an_accepted_image_has_no_boxes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = StubScorer()
    scorer.review_band, scorer.pixel_threshold = (1.5, 2.0), 0.5
    monkeypatch.setattr("tasks.worker.scorer.warm_scorer", lambda *_: scorer)
    put_images(store, "cloth", ["a.png"])
    row = rows_of(store, planned(store))["a.png"]
    assert (row["decision"], row["defect_boxes"], row["defect_area"]) == ("accept", [], 1.0)


def test_maps_on_a_scale_of_their_own_are_held_against_their_own_threshold(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ones everywhere, of an image that scores 10: far below the image's threshold, above the pixel threshold."""
    ones = np.ones((1, SIZE, SIZE), np.float32)
    model = SimpleNamespace(score=lambda *_: AnomalyMaps(ones, np.float32([10]), np.float32([1])))
    levels = {"threshold": {"value": 15.0, "low": 5.0, "high": 20.0}, "pixel_threshold": {"value": 0.5}}
    card = made_up_card(side=SIZE, maps={"maximum_is_score": False}, **levels)
    scorer = Scorer(card, np.zeros(0, np.float32), model, ImageFormat.of(card.preprocessing))
    monkeypatch.setattr("tasks.worker.scorer.warm_scorer", lambda *_: scorer)
    put_images(store, "cloth", ["a.png"])
    row = rows_of(store, planned(store))["a.png"]
    assert (row["decision"], row["anomalous_area"], row["defect_area"]) == ("review", 1.0, 1.0)
    assert row["defect_boxes"] == [{"top": 0, "left": 0, "height": SIZE, "width": SIZE, "peak": 1.0}]


def test_a_row_keeps_light_focus_place_and_features_of_what_the_model_saw(store: Store) -> None:
    put_model(store, "cloth")
    keys = put_images(store, "cloth", ["a.png", "b.png"])
    store.write(image_key("cloth", DAY, "c.png"), b"no image")
    rows = rows_of(store, planned(store))
    scorer = warm_scorer(store, "cloth", "v1")
    pixels = [scorer.image_format.prepare(store.read(key))[0] for key in keys]
    distances = scorer.model.score(np.stack(pixels)).feature_distances
    for name, picture, distance in zip(("a.png", "b.png"), pixels, distances, strict=True):
        expected = image_statistics(picture)
        for statistic, value in asdict(expected).items():
            assert rows[name][statistic] == np.float32(value)
        assert rows[name]["feature_distance"] == pytest.approx(distance, rel=1e-4)
    assert distances[0] != distances[1]
    assert all(rows["c.png"][name] is None for name in (*asdict(expected), "feature_distance"))


def test_bad_files_are_rows_and_the_others_are_scored(store: Store) -> None:
    put_model(store, "cloth")
    picture = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8)
    odd = odd_files(picture)
    for file in odd:
        store.write(image_key("cloth", DAY, file.name), file.data)
    put_images(store, "cloth", ["fine.png"])
    rows = rows_of(store, planned(store))
    assert len(rows) == len(odd) + 1
    for file in odd:
        row = rows[file.name]
        assert row["status"] == ("ok" if file.readable else "unreadable")
        assert (row["score"] is not None) == file.readable
        assert bool(row["error"]) != file.readable
    assert rows["fine.png"]["status"] == "ok"


def test_odd_names_are_scored_under_their_own_name(store: Store) -> None:
    put_model(store, "cloth")
    names = ["with space.png", "Prüfling № 7.png", 'it\'s "quoted".png', "folder/in/folder.png", "a=b&c%20d.png"]
    put_images(store, "cloth", names)
    statuses = {name: row["status"] for name, row in rows_of(store, planned(store)).items()}
    assert statuses == dict.fromkeys(names, "ok")


def test_a_key_that_leads_elsewhere_is_rejected_and_never_opened(
    moto_s3: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(moto_s3.uri)
    put_model(store, "cloth")
    put_images(store, "cloth", ["fine.png"])
    evil = f"{moto_s3.prefix}images/cloth/{DAY}/../../../models/x.png"
    moto_s3.client().put_object(Bucket=moto_s3.name, Key=evil, Body=png(1))
    rows = rows_of(store, planned(store))
    assert rows["../../../models/x.png"]["status"] == "rejected"
    assert "'..'" in rows["../../../models/x.png"]["error"]
    assert rows["fine.png"]["status"] == "ok"


def test_images_that_are_gone_or_closed_or_no_files_are_rows(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put_model(store, "cloth")
    put_images(store, "cloth", ["a.png", "b.png", "closed.png"])
    day = Path(store.uri) / image_key("cloth", DAY, "a.png")
    (day.parent / "link.png").symlink_to("nowhere.png")
    os.mkfifo(day.parent / "pipe.png")
    plan = planned(store)
    day.unlink()
    read = LocalStore.read

    def refuse(self: LocalStore, key: str) -> bytes:
        if key.endswith("closed.png"):  # root may read all, so the refusal is put in
            raise ObjectDenied(f"{key} may not be read")
        return read(self, key)

    monkeypatch.setattr(LocalStore, "read", refuse)
    rows = rows_of(store, plan)
    told = {name: row["error"] for name, row in rows.items() if row["status"] == "unreadable"}
    assert told.keys() == {"a.png", "closed.png", "link.png", "pipe.png"}
    assert "removed" in told["a.png"]
    assert "owner or mode" in told["closed.png"]
    assert rows["b.png"]["status"] == "ok"


def test_equal_contents_have_equal_scores_and_a_row_each(store: Store) -> None:
    put_model(store, "cloth")
    for name in ("one.png", "two.png"):
        store.write(image_key("cloth", DAY, name), png(5))
    put_images(store, "cloth", ["other.png"])
    rows = rows_of(store, planned(store))
    assert rows["one.png"]["content_digest"] == rows["two.png"]["content_digest"]
    assert rows["one.png"]["score"] == pytest.approx(rows["two.png"]["score"], rel=1e-5)
    assert rows["one.png"]["content_digest"] != rows["other.png"]["content_digest"]


def test_a_score_does_not_depend_on_its_batch(store: Store) -> None:
    put_model(store, "cloth")
    put_images(store, "cloth", [f"{i:02}.png" for i in range(18)])
    together = rows_of(store, planned(store, batch_images=18))
    in_three = rows_of(store, planned(store, batch_images=7))
    for name, row in together.items():
        assert in_three[name]["score"] == pytest.approx(row["score"], rel=1e-5)


def test_memory_holds_a_bounded_number_of_images(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.worker.scorer.warm_scorer", warm_stub)
    put_images(store, "cloth", [f"{i:03}.png" for i in range(150)])
    taken, most = 0, 0
    kind = type(StubScorer.image_format)
    prepare = kind.prepare
    forward = picture_scores.score_pictures

    def counting(self: ImageFormat, data: bytes) -> SeenPicture:
        nonlocal taken, most
        taken += 1
        most = max(most, taken)
        return prepare(self, data)

    def giving_back(scorer: Scorer, chunk: list, maps: np.ndarray) -> list:
        nonlocal taken
        taken -= len(chunk)
        return forward(scorer, chunk, maps)

    monkeypatch.setattr(kind, "prepare", counting)
    monkeypatch.setattr(score_batch_module, "score_pictures", giving_back)
    rows_of(store, planned(store, batch_images=150))
    assert 1 < most <= READ_AHEAD + MICRO_BATCH


def test_scoring_again_writes_the_same_bytes(store: Store) -> None:
    put_model(store, "cloth")
    put_images(store, "cloth", [f"{i}.png" for i in range(5)])
    plan = planned(store, batch_images=2)
    rows_of(store, plan)
    before = everything_below(Path(store.uri), "scores", "maps")
    for path in (Path(store.uri) / "scores").rglob("*.parquet"):
        path.unlink()
    rows_of(store, plan)
    assert everything_below(Path(store.uri), "scores", "maps") == before


def test_a_part_that_is_there_is_not_scored_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put_model(store, "cloth")
    put_images(store, "cloth", ["a.png", "b.png"])
    batch = planned(store).batches[0]
    first = score_batch.fn(store.uri, store.uri, batch)
    monkeypatch.setattr(score_batch_module, "_score", lambda *_: pytest.fail("scored again"))
    second = score_batch.fn(store.uri, store.uri, batch)
    assert (second.part, second.digest, second.rows, second.ok, second.anomalous) == (
        first.part, first.digest, first.rows, first.ok, first.anomalous,
    )  # fmt: skip


def test_a_part_of_other_rows_than_planned_is_scored_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.worker.scorer.warm_scorer", warm_stub)
    put_images(store, "cloth", ["a.png", "b.png", "c.png"])
    [batch] = planned(store).batches
    first = score_batch.fn(store.uri, store.uri, batch)
    whole, maps = scores.part_with_maps(store.read(first.part), first.part)
    for rows in (whole.slice(1), pa.concat_tables([whole, whole.slice(2)])):
        store.write(first.part, scores.part_bytes(rows, maps))
        again = score_batch.fn(store.uri, store.uri, batch)
        assert (again.digest, again.rows) == (first.digest, 3)


def test_a_score_at_the_threshold_is_no_alarm(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor is a pixel at its own: the promised rate is that of scores above."""
    scorer = StubScorer()
    scorer.threshold = scorer.map_threshold = np.float32(1)
    scorer.pixel_threshold = 1.0
    monkeypatch.setattr("tasks.worker.scorer.warm_scorer", lambda *_: scorer)
    put_images(store, "cloth", ["a.png"])
    row = rows_of(store, planned(store))["a.png"]
    assert row["score"] == row["threshold"] == 1.0
    assert (row["is_anomalous"], row["anomalous_area"], row["defect_area"]) == (False, 0.0, 0.0)
    store.remove_tree("scores/")
    scorer.threshold = scorer.map_threshold = np.nextafter(np.float32(1), np.float32(0))
    scorer.pixel_threshold = 0.999
    row = rows_of(store, planned(store))["a.png"]
    assert (row["is_anomalous"], row["anomalous_area"], row["defect_area"]) == (True, 1.0, 1.0)


def test_what_is_kept_of_a_scored_picture_has_no_pixels() -> None:
    """A batch has hundreds of them."""
    scorer = StubScorer()
    loaded = load_array(scorer.image_format, np.zeros((9, 7, 3), np.uint8))
    (scored,) = score_pictures(scorer, [loaded])
    assert scored.score is not None and vars(scored.loaded) == vars(loaded) | {"pixels": None}
    assert loaded.pixels is not None


def test_a_box_never_leaves_its_image() -> None:
    """225 / 224 * 224 is a little more than 225, and 29 / 224 * 224 than 29."""
    scorer = StubScorer()
    scorer.map_size = (224, 224)
    loaded = LoadedPicture(None, (225, 29), None, "ok", None)
    scored = ScoredPicture(loaded, regions=(DefectRegion(0, 0, 224, 224, 224**2, 2.0),))
    assert columns_of(scored, scorer)["defect_boxes"] == [
        {"top": 0, "left": 0, "height": 225, "width": 29, "peak": 2.0}
    ]


def test_a_damaged_part_is_scored_again(store: Store) -> None:
    put_model(store, "cloth")
    put_images(store, "cloth", ["a.png"])
    batch = planned(store).batches[0]
    first = score_batch.fn(store.uri, store.uri, batch)
    whole = store.read(first.part)
    store.write(first.part, whole[: len(whole) // 2])
    assert score_batch.fn(store.uri, store.uri, batch).digest == first.digest
    assert store.read(first.part) == whole


class _Failing:
    """Stands before os.replace or os.link, through which every local write takes its place; fails one of them."""

    def __init__(self, patch: pytest.MonkeyPatch, fail_at: int, fault: Exception) -> None:
        self.count = 0
        self._fail_at = fail_at
        self._fault = fault
        for name in ("replace", "link"):
            patch.setattr(os, name, self._instead_of(getattr(os, name)))

    def _instead_of(self, real: Callable) -> Callable:
        def call(*args: object, **kwargs: object) -> object:
            self.count += 1
            if self.count == self._fail_at:
                raise self._fault
            return real(*args, **kwargs)

        return call


def test_any_write_may_fail_and_the_next_try_ends_the_same(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(store.uri)
    written = ("manifests", "maps", "scores")
    monkeypatch.setattr("tasks.worker.scorer.warm_scorer", warm_stub)
    put_images(store, "cloth", [f"{i}.png" for i in range(3)])
    with monkeypatch.context() as patch:
        counter = _Failing(patch, fail_at=-1, fault=OSError())
        rows_of(store, planned(store, batch_images=2))
    undisturbed = everything_below(root, *written)
    assert counter.count >= len(undisturbed) >= 6
    for number in range(1, counter.count + 1):
        for folder in written:
            shutil.rmtree(root / folder)
        with monkeypatch.context() as patch, pytest.raises((StorageError, OSError)):
            _Failing(patch, number, OSError(errno.EIO, "bad disk"))
            rows_of(store, planned(store, batch_images=2))
        rows_of(store, planned(store, batch_images=2))
        assert everything_below(root, *written) == undisturbed, f"after a fault of write {number}"


def test_a_full_disk_says_so_and_what_to_do(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put_model(store, "cloth")
    put_images(store, "cloth", ["a.png"])
    plan = planned(store)
    with monkeypatch.context() as patch, pytest.raises(StoreFull, match="space"):
        _Failing(patch, 1, OSError(errno.ENOSPC, "no space left on device"))
        score_batch.fn(store.uri, store.uri, plan.batches[0])
    assert rows_of(store, plan)["a.png"]["status"] == "ok"


def test_a_fault_of_the_images_store_is_raised_not_written_down(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_model(store, "cloth")
    keys = put_images(store, "cloth", ["a.png", "b.png"])
    plan = planned(store)
    read = LocalStore.read

    def sick(self: LocalStore, key: str) -> bytes:
        if key == keys[1]:
            raise TransientFault("503")
        return read(self, key)

    monkeypatch.setattr(LocalStore, "read", sick)
    with pytest.raises(TransientFault):
        score_batch.fn(store.uri, store.uri, plan.batches[0])
    assert list(store.list("scores/")) == []
