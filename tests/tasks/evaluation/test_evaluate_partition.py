"""One partition against its labels and masks, whose figures are known to the pixel."""

import io
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rd_core.metrics.aupimo import Aupimo
from rd_core.metrics.pixel_tables import PixelTables
from rd_core.metrics.region_recall import RegionRecall
from rd_core.pictures.crop import Crop
from rd_core.pictures.ignored_regions import Ignore
from rd_core.pictures.image_view import ImageView
from storage.comparisons.plan import write_plan
from storage.errors import KeyNotFound, TransientFault
from storage.filesystem import LocalStore, Store
from storage.labels import labels
from storage.labels.labels import Label
from storage.layout import image_key, mask_key
from storage.models.card import MethodChoice
from storage.records import Partition
from tasks.evaluation.evaluate_partition import EvaluatedPartition, evaluate_partition
from tasks.evaluation.tables import read_pixels, read_rows
from tasks.evaluation.write_evaluation_report import EvaluationContents, write_evaluation_report
from tasks.reporting.labelled_pixels import IMAGES_AT_ONCE
from tests.factories import DAY, NOW
from tests.labelled_night import SIDE, THRESHOLD, Shot, night, put_card, put_night, twice
from tests.made_up_plan import PLAN


def evaluated(store: Store, partition: Partition) -> EvaluatedPartition:
    return evaluate_partition.fn(store.uri, partition, DAY, DAY)


def rows(store: Store, found: EvaluatedPartition) -> dict[str, dict]:
    """By the image's name, such as good/000.png."""
    return {row["image_key"].split("/", 3)[3]: row for row in read_rows(store, found.images)}


def flat(value: float = 0.5, peak: float | None = None) -> np.ndarray:
    values = np.full((SIDE, SIDE), value, np.float16)
    if peak is not None:
        values[3, 4] = peak
    return values


def defect(rows: int = 2, columns: int = 3) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), np.bool_)
    mask[3 : 3 + rows, 4 : 4 + columns] = True
    return twice(mask)


def test_tables_and_regions_are_those_of_the_very_arrays(store: Store) -> None:
    shots = night(normal=IMAGES_AT_ONCE + 3)
    put_card(store, "cloth")
    found = evaluated(store, put_night(store, "cloth", shots))
    masks = [None if shot.mask is None else shot.mask[::2, ::2] for shot in shots]
    maps, anomalous = [shot.values for shot in shots], [shot.label == "anomalous" for shot in shots]
    expected = PixelTables.of(maps, masks, anomalous)
    pixels = read_pixels(store, found.pixels)
    for name, array in expected.to_arrays().items():
        np.testing.assert_array_equal(pixels.tables.to_arrays()[name], array)
    assert pixels.recall == RegionRecall.of(maps, masks, anomalous, THRESHOLD)
    assert (found.judged, found.masked_defects) == (len(shots), 10)
    assert {row["pixels"] for row in rows(store, found).values()} == {"counted"}


def test_a_row_keeps_the_stored_decision_and_the_label(store: Store) -> None:
    found = evaluated(
        store, put_night(store, "cloth", [Shot("a/0.png", flat(0.5, 2.0), "anomalous", defect(), "hole")])
    )
    (row,) = read_rows(store, found.images)
    assert (row["score"], row["threshold"], row["is_anomalous"]) == (2.0, THRESHOLD, True)
    assert (row["label"], row["kind"], row["part"]) == ("anomalous", "hole", row["image_key"])
    assert row["mask_key"] == mask_key("cloth", DAY, "a/0.png")


def test_every_image_is_counted_once_for_what_it_is(store: Store) -> None:
    shots = [
        Shot("judged.png", flat(), "normal"),
        Shot("unlabelled.png", flat()),
        Shot("training.png", flat(), "normal", purpose="training"),
        Shot("unreadable.png", flat(), "normal", status="unreadable"),
        Shot("neither.png", flat(), status="unreadable"),
    ]
    partition = put_night(store, "cloth", shots)
    gone = [Label(image_key("cloth", day, "gone.png"), "normal", None, None, NOW, purpose="evaluation")
            for day in (DAY, DAY + timedelta(days=1))]  # fmt: skip
    labels.write_labels(store, "cloth", gone, "gone")
    found = evaluated(store, partition)
    counts = (found.judged, found.unlabelled, found.for_training, found.unreadable, found.not_scored)
    assert counts == (1, 1, 1, 1, 1)
    assert rows(store, found)["unreadable.png"]["problem"] == "the file is empty (0 bytes)"
    assert set(rows(store, found)) == {"judged.png", "unreadable.png"}


def test_what_trained_the_model_does_not_judge_it(store: Store) -> None:
    partition = put_night(store, "cloth", [Shot(f"{i}.png", flat(), "normal") for i in range(4)])
    keys = [image_key("cloth", DAY, f"{i}.png") for i in range(3)]
    put_card(store, "cloth", images={"train": keys[:1], "early_stop": keys[1:2], "calibration": keys[2:]})
    found = evaluated(store, partition)
    assert (found.judged, found.trained_on) == (1, 3)
    assert set(rows(store, found)) == {"3.png"}


def test_neither_good_images_of_parts_that_trained_nor_parts_that_chose_the_method_judge(store: Store) -> None:
    names = {"a1": "normal", "a2": "anomalous", "b1": "normal", "b2": "anomalous", "c1": "normal"}
    partition = put_night(store, "cloth", [Shot(f"{name}.png", flat(), label) for name, label in names.items()])
    elsewhere = [image_key("cloth", DAY - timedelta(days=1), f"{name}.png") for name in ("a3", "b3")]
    one, *_ = PLAN.judged
    reports = replace(one, image_key=image_key("cloth", DAY, "c1.png"), half="reporting")
    write_plan(store, replace(PLAN, judged=(replace(one, image_key=elsewhere[1]), reports)))
    images = {"train": elsewhere[:1], "part_pattern": r"(?P<part>[abc])\d"}
    choice = MethodChoice(PLAN.id, "It is ahead.")
    put_card(store, "cloth", images=images, method={"choice": choice})
    found = evaluated(store, partition)
    assert (found.judged, found.trained_on, found.chose, found.notes) == (2, 1, 2, ())
    assert set(rows(store, found)) == {"a2.png", "c1.png"}
    put_card(store, "cloth", images=images, method={"choice": replace(choice, comparison="lost")})
    found = evaluated(store, partition)
    assert (found.judged, found.chose) == (4, 0)
    (note,) = found.notes
    assert "comparison that chose the method of v1 is gone (lost)" in note


def test_of_an_image_scored_twice_the_latest_row_counts(store: Store) -> None:
    put_night(store, "cloth", [Shot("a.png", flat(0.5, 3.0), "normal"), Shot("b.png", flat(), "normal")])
    partition = put_night(store, "cloth", [Shot("a.png", flat(0.5, 0.75), "normal")], name="again")
    found = evaluated(store, partition)
    assert {name: row["score"] for name, row in rows(store, found).items()} == {"a.png": 0.75, "b.png": 0.5}
    assert read_pixels(store, found.pixels).tables.normal_images == 2


def test_a_missing_mask_is_no_mask_of_zeros(store: Store) -> None:
    shots = [Shot("a.png", flat(), "anomalous"), Shot("b.png", flat(), "normal")]
    found = evaluated(store, put_night(store, "cloth", shots))
    tables = read_pixels(store, found.pixels).tables
    assert (tables.unmasked_images, tables.anomalous_images, tables.defect_free().sum()) == (1, 0, SIDE * SIDE)
    assert rows(store, found)["a.png"]["pixels"] == "no mask"
    assert (found.judged, found.masked_defects) == (2, 0)


def test_ignored_pixels_are_in_no_table_and_a_defect_that_no_model_can_see_is_a_problem_in_words(
    store: Store,
) -> None:
    """The model ignores the upper third; the defect in rows 3 and 4 of 24 lies there."""
    low = np.zeros((SIDE, SIDE), np.bool_)
    low[6:14, 4:6] = True
    shots = [
        Shot("good.png", flat(), "normal"),
        Shot("half.png", flat(0.5, 2.0), "anomalous", twice(low)),
        Shot("hidden.png", flat(0.5, 2.0), "anomalous", defect()),
    ]
    partition = put_night(store, "cloth", shots)
    ignore = Ignore((((0.0, 0.0), (1.0, 0.0), (1.0, 0.32), (0.0, 0.32)),))
    put_card(store, "cloth", preprocessing={"view": ImageView(SIDE, SIDE, ignore=ignore).to_dict()})
    found = evaluated(store, partition)
    tables = read_pixels(store, found.pixels).tables
    counted = SIDE * 16
    assert (tables.normal.sum(), tables.anomalous.sum()) == (counted, 6 * 2)
    assert tables.around_defects.sum() == counted - 6 * 2
    row = rows(store, found)["hidden.png"]
    assert row["pixels"] == "left out"
    assert "lies wholly in ignored regions" in row["problem"] and "label the image normal" in row["problem"]
    put_card(store, "cloth", preprocessing={"view": ImageView(SIDE, SIDE, Crop.of([20, 0, 20, 48])).to_dict()})
    problem = rows(store, evaluated(store, partition))["hidden.png"]["problem"]
    assert "wholly outside the crop [20, 0, 20, 48]" in problem


BAD_MASKS = {
    "unreadable": (Shot("x.png", flat(), "anomalous", mask_bytes=b"no picture"), "cannot be read"),
    "black": (Shot("x.png", flat(), "anomalous", np.zeros((2 * SIDE, 2 * SIDE), np.bool_)), "is black"),
    "of a normal": (Shot("x.png", flat(), "normal", defect()), "labelled normal"),
    "of another shape": (Shot("x.png", flat(), "anomalous", defect()[:, :SIDE]), "they do not match"),
}


@pytest.mark.parametrize(("shot", "words"), BAD_MASKS.values(), ids=BAD_MASKS.keys())
def test_a_bad_mask_is_listed_and_costs_its_image_alone(store: Store, shot: Shot, words: str) -> None:
    good = Shot("good.png", flat(0.5, 2.0), "anomalous", defect())
    found = evaluated(store, put_night(store, "cloth", [shot, good]))
    bad = rows(store, found)["x.png"]
    assert bad["pixels"] == "left out"
    assert words in bad["problem"]
    assert bad["mask_key"] in bad["problem"]
    assert (found.judged, found.masked_defects) == (2, 1)


def test_a_mask_that_is_gone_is_listed(store: Store) -> None:
    partition = put_night(store, "cloth", [Shot("x.png", flat(), "anomalous", defect())])
    (Path(store.uri) / mask_key("cloth", DAY, "x.png")).unlink()
    found = evaluated(store, partition)
    assert "cannot be read" in rows(store, found)["x.png"]["problem"]


def test_a_store_that_fails_for_a_moment_is_no_bad_mask(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    partition = put_night(store, "cloth", [Shot("x.png", flat(), "anomalous", defect())])
    whole = LocalStore.read_with_etag

    def failing(self: LocalStore, key: str) -> tuple[bytes, str]:
        if "/masks/" in key:
            raise TransientFault("timed out")
        return whole(self, key)

    monkeypatch.setattr(LocalStore, "read_with_etag", failing)
    with pytest.raises(TransientFault):
        evaluated(store, partition)


def test_a_mask_of_16_bits_counts_from_1(store: Store) -> None:
    out = io.BytesIO()
    Image.fromarray(defect().astype(np.uint16)).save(out, "PNG")
    shot = Shot("x.png", flat(0.5, 2.0), "anomalous", mask_bytes=out.getvalue())
    found = evaluated(store, put_night(store, "cloth", [shot]))
    assert read_pixels(store, found.pixels).tables.anomalous.sum() == 6


def test_maps_that_are_gone_are_listed_and_the_scores_count(store: Store) -> None:
    shots = [Shot(f"{i}.png", flat(), "normal") for i in range(10)]
    partition = put_night(store, "cloth", shots)
    (shard,) = (Path(store.uri) / "maps").rglob("c/1/0/0")
    shard.unlink()
    found = evaluated(store, partition)
    listed = {name for name, row in rows(store, found).items() if row["pixels"] == "left out"}
    assert listed == {"8.png", "9.png"}
    assert "rd-inspect verify --deep names the command" in rows(store, found)["8.png"]["problem"]
    assert found.judged == 10
    assert read_pixels(store, found.pixels).tables.normal_images == 8


def test_a_damaged_shard_costs_only_its_own_images(store: Store) -> None:
    partition = put_night(store, "cloth", [Shot(f"{i}.png", flat(i / 10), "normal") for i in range(10)])
    (shard,) = (Path(store.uri) / "maps").rglob("c/1/0/0")
    shard.write_bytes(shard.read_bytes()[:40])
    found = evaluated(store, partition)
    assert {name for name, row in rows(store, found).items() if row["pixels"] == "left out"} == {"8.png", "9.png"}


def test_maps_whose_whole_array_is_gone(store: Store) -> None:
    partition = put_night(store, "cloth", [Shot("a.png", flat(), "normal"), Shot("b.png", flat(), "normal")])
    for file in [path for path in (Path(store.uri) / "maps").rglob("*") if path.is_file()]:
        file.unlink()
    found = evaluated(store, partition)
    assert [row["pixels"] for row in rows(store, found).values()] == ["left out"] * 2


def test_defects_are_found_at_the_threshold_that_the_card_has_for_maps(store: Store) -> None:
    partition = put_night(store, "cloth", [Shot("a.png", flat(0.5, 2.0), "anomalous", defect())])
    assert read_pixels(store, evaluated(store, partition).pixels).recall is None, "there is no card"
    for maximum_is_score, found in ((True, 0), (False, 1)):
        put_card(store, "cloth", maps={"maximum_is_score": maximum_is_score}, pixel_threshold={"value": 0.4})
        assert sum(read_pixels(store, evaluated(store, partition).pixels).recall.found) == found


def test_parts_are_told_from_names_as_in_training(store: Store) -> None:
    names = ["good/exp1_num_4.png", "good/exp2_num_5.png", "good/exp1_num_6.png", "odd.png"]
    partition = put_night(store, "cloth", [Shot(name, flat(), "normal") for name in names])
    put_card(store, "cloth", images={"part_pattern": r"exp(?P<view>\d+)_num_(?P<serial>\d+)"})
    parts = {name: row["part"] for name, row in rows(store, evaluated(store, partition)).items()}
    assert parts[names[0]] == parts[names[1]] == f"{DAY}/part-4"
    assert len(set(parts.values())) == 3
    put_card(store, "cloth", images={"part_pattern": r"num_(?P<part>\d)"})
    parts = {name: row["part"] for name, row in rows(store, evaluated(store, partition)).items()}
    assert parts[names[2]] == "6"


def test_a_pattern_that_matches_nothing_is_noted(store: Store) -> None:
    partition = put_night(store, "cloth", [Shot("a.png", flat(), "normal")])
    put_card(store, "cloth", images={"part_pattern": r"tile(?P<part>\d+)"})
    (note,) = evaluated(store, partition).notes
    assert "matches none" in note and "too narrow" in note


def test_a_day_that_is_not_sealed_says_what_to_run(store: Store) -> None:
    with pytest.raises(KeyNotFound, match=f"rd-inspect inspect --run-date {DAY} --category cloth"):
        evaluated(store, Partition("cloth", DAY, "v1"))


def test_repeating_it_writes_the_same_bytes(store: Store) -> None:
    partition = put_night(store, "cloth", night())
    first = evaluated(store, partition)
    before = store.read(first.images), store.read(first.pixels)
    assert evaluated(store, partition) == first
    assert (store.read(first.images), store.read(first.pixels)) == before


def test_a_day_without_one_judged_image(store: Store) -> None:
    found = evaluated(store, put_night(store, "cloth", [Shot("a.png", flat())]))
    assert (found.judged, read_rows(store, found.images)) == (0, [])
    assert read_pixels(store, found.pixels).recall is None


def test_aupimo_takes_the_normal_images_of_all_days(store: Store) -> None:
    days = [DAY, DAY + timedelta(days=1)]
    nights = {day: night(seed) for seed, day in enumerate(days)}
    found = [evaluated(store, put_night(store, "cloth", shots, day)) for day, shots in nights.items()]
    contents = EvaluationContents(DAY, days[-1], "", tuple(found))
    write_evaluation_report.fn(store.uri, store.uri, contents, run_id="run", evaluated_at=NOW)
    key = found[0].images.replace("images", "aupimo")
    every = [shot for shots in nights.values() for shot in shots]
    mine = [shot for shot in nights[DAY] if shot.label == "anomalous"]
    normals = [shot for shot in every if shot.label == "normal"]
    tables = PixelTables.of([shot.values for shot in normals], [None] * len(normals), [False] * len(normals))
    masks = [shot.mask[::2, ::2] for shot in mine if shot.mask is not None]
    expected = Aupimo.of(tables).scores([shot.values for shot in mine], masks, [True] * len(mine))
    scores = {row["image_key"].split("/", 3)[3]: row["aupimo"] for row in read_rows(store, key)}
    assert scores == dict(zip((shot.name for shot in mine), expected.tolist(), strict=True))
    assert max(scores.values()) > 0
