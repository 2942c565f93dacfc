"""Models that see images in tiles: training, thresholds, and nights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prefect.logging import disable_run_logger

from rd_core.detectors.registry import settings_class
from rd_core.maps.micro_batch import AnomalyMaps
from rd_core.pictures.image_view import ImageView
from rd_core.pictures.tiling import Tiling
from rd_inspect import open_store as open_plant
from storage.filesystem import Store, open_store
from storage.models import models
from storage.models.card import CROSS, ModelCard
from storage.partitions import anomaly_maps, scores
from tasks.night.pin_champion import pin_champion
from tasks.night.plan_batches import PartitionJob, plan_batches
from tasks.night.score_batch import score_batch
from tasks.training.fit_model import fit_model
from tasks.training.tiled_normals import TiledNormals, in_words
from tasks.worker.scorer import warm_scorer
from tests.factories import DAY, NOW, TWELVE_STEPS, everything_below, quick_request
from tests.rd_core.striped_images import SIZE, textured, with_blot
from tests.retraining_plants import put_labels, put_pictures

WIDTH = 2 * SIZE + 20
VIEW = ImageView(SIZE, WIDTH, tile=SIZE, overlap=16)
MAP = SIZE // 4, WIDTH // 4
TILES = 3
SMALL: dict[str, dict[str, Any]] = {
    "reverse_distillation": TWELVE_STEPS,
    "patchcore": {"coreset_share": 0.05},
}
NORMALS = 23


@dataclass(frozen=True)
class Trained:
    store: Store
    keys: list[str]
    """the last is a defect, labelled normal"""
    card: ModelCard
    method: str


@pytest.fixture(scope="module", params=list(SMALL))
def crossed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """One cross-fitted training a method."""
    store = open_store(tmp_path_factory.mktemp(request.param) / "plant", create=True)
    normals, defect = (textured(count, SIZE, WIDTH, seed) for count, seed in ((NORMALS, 0), (1, 9)))
    keys = put_pictures(store, "cloth", np.concatenate([normals, with_blot(defect)]))
    with disable_run_logger():
        put_labels(store, "cloth", "normals", keys)
        card = train(store, request.param, calibration="cross")
    return Trained(store, keys, card, request.param)


def train(store: Store, method: str, *, promote: bool = True, **changes: object) -> ModelCard:
    settings = settings_class(method).from_table({"image_height": SIZE, "image_width": SIZE, **SMALL[method]})
    order = quick_request(settings=settings, view=VIEW, alpha=0.1, part_pattern=None, **changes)
    fitted = fit_model.fn(store.uri, store.uri, order, run_id="run-1", now=NOW, promote=promote)
    return models.read_card(store, "cloth", fitted.version)


def scored(trained: Trained, keys: list[str]) -> AnomalyMaps:
    scorer = warm_scorer(trained.store, "cloth", trained.card.version)
    pixels = [scorer.image_format.prepare(trained.store.read(key))[0] for key in keys]
    return scorer.model.score(np.stack(pixels))


def test_every_image_is_judged_whole_and_a_defect_is_set_aside(crossed: Trained) -> None:
    card, keys = crossed.card, crossed.keys
    assert list(card.images.set_aside) == keys[-1:]
    assert (card.calibration.method, len(card.calibration.scores), card.pixel_threshold.images) == (CROSS, 23, 23)
    assert list(card.images.calibration) == keys[:-1]
    assert (card.maps.height, card.maps.width) == MAP
    assert card.preprocessing.view == VIEW.to_dict()
    found = scored(crossed, keys)
    assert found.maps.shape == (24, *MAP)
    assert found.scores[-1] > card.threshold.value > np.median(found.scores)
    assert 0.7 < np.median(found.scores[:-1]) / np.median(card.calibration.scores) < 1.4


def test_an_image_that_nothing_was_learnt_from_has_the_score_of_a_night_as_its_held_out_score(
    crossed: Trained,
) -> None:
    """Of early-stop images the fitted PatchCore itself is the judge."""
    if crossed.method != "patchcore":
        return
    for score in scored(crossed, list(crossed.card.images.early_stop)).scores:
        assert np.abs(np.array(crossed.card.calibration.scores) / score - 1).min() < 1e-4


def test_images_apart_are_scored_in_tiles_too(crossed: Trained) -> None:
    if crossed.method != "patchcore":
        return
    with disable_run_logger():
        card = train(crossed.store, crossed.method, calibration="split", promote=False)
    held_out = scored(Trained(crossed.store, crossed.keys, card, ""), list(card.images.calibration)).scores
    np.testing.assert_allclose(np.sort(held_out), card.calibration.scores, rtol=1e-5)


def test_a_night_has_maps_of_the_whole_view_and_a_second_run_writes_the_same_bytes(crossed: Trained) -> None:
    store, uri = crossed.store, crossed.store.uri
    champion = pin_champion.fn(uri, "cloth")
    assert champion is not None
    with disable_run_logger():
        plan = plan_batches.fn(PartitionJob(uri, uri, DAY, champion, "run-1", NOW))
        receipts = [score_batch.fn(uri, uri, batch) for batch in plan.batches]
    root = Path(uri.removeprefix("file://"))
    before = everything_below(root, "scores", "maps")
    with disable_run_logger():
        for batch in plan.batches:
            score_batch.fn(uri, uri, batch)
    assert before and everything_below(root, "scores", "maps") == before
    rows = scores.read_scores(store, [receipt.part for receipt in receipts]).to_pylist()
    odd = max(rows, key=lambda row: row["score"])
    assert len(rows) == 24 and odd["image_key"] == crossed.keys[-1] and odd["is_anomalous"]
    found = anomaly_maps.read_map(store, odd["map_store"], odd["map_index"])
    assert found.shape == MAP
    detection = open_plant(uri).model("cloth").detect(with_blot(textured(1, SIZE, WIDTH, 9))[0])
    assert detection.score == pytest.approx(odd["score"], rel=1e-5) and detection.anomaly_map.shape == MAP
    box = max(odd["defect_boxes"], key=lambda one: one["peak"])
    assert box["top"] <= 36 and box["left"] <= 36 and box["top"] + box["height"] > 20  # the blot


class Notes:
    """In place of HeldOutNormals: what it was asked."""

    parts = ("a", "b", "b", "c")

    def __init__(self) -> None:
        self.judged: dict[int, AnomalyMaps] = {}
        self.asked: list[float] = []

    def set_aside(self, scores: np.ndarray) -> list[int]:
        self.asked = scores.tolist()
        return [1, 3]

    def judge(self, numbers: list[int], found: AnomalyMaps) -> None:
        self.judged[numbers[0]] = found


def test_crops_and_tiles_show_the_parts_of_their_images_and_tiles_are_joined_before_they_are_judged() -> None:
    images = [np.full((SIZE, WIDTH, 3), number, np.uint8) for number in range(4)]
    tiling, notes = Tiling.of(VIEW), Notes()
    assert tiling is not None
    tiled = TiledNormals(images[:3], images[3:], tiling, seed=0)
    held_out: Any = notes
    cross = tiled.cross(held_out, maximum_is_score=False)
    crops = [
        crop
        for some in (tiled.crops.train, tiled.crops.early_stop)
        for crop in map(some.__getitem__, range(len(some)))
    ]
    assert [notes.parts[crop.max()] for crop in crops] == list(cross.parts) and len(crops) == 4 * tiled.each
    assert cross.others is not None
    tiles = [cross.others.images[number] for number in range(len(cross.others.images))]
    assert [notes.parts[tile.max()] for tile in tiles] == list(cross.others.parts) and len(tiles) == 4 * TILES
    aside = cross.set_aside(np.arange(12.0))
    assert notes.asked == [2, 5, 8, 11]
    assert {crops[number].max() for number in aside} == {1, 3} and len(aside) == 2 * tiled.each
    for some in ((9, 10, 11, 0), (1, 2, 3), (4, 5, 6, 7, 8)):  # in the order in which folds judge
        peaks = np.float32(some) % TILES + 1  # an image's map peaks in its last tile
        maps = np.repeat(peaks, SIZE * SIZE).reshape(-1, SIZE, SIZE)
        cross.judge(some, AnomalyMaps(maps, np.float32(some), np.float32(some)))
    assert list(notes.judged) == [3, 0, 1, 2]
    assert [float(notes.judged[image].scores[0]) for image in range(4)] == [2, 5, 8, 11]
    assert [float(notes.judged[image].feature_distances[0]) for image in range(4)] == [1, 4, 7, 10]
    assert all(found.maps.shape == (1, SIZE, WIDTH) for found in notes.judged.values())


def test_the_cost_is_said_in_words() -> None:
    said = in_words(Tiling(6000, 8000, 256, 64), 40, remembered=False)
    assert "1,000 random crops of 256 x 256 pixels, 25 of each normal" in said
    assert "6000 x 8000 pixels in 1,302 tiles" in said
    said = in_words(Tiling(6000, 8000, 256, 64), 40, remembered=True)
    assert "240 random crops of 256 x 256 pixels, 6 of each normal, few because this method's training grows" in said
