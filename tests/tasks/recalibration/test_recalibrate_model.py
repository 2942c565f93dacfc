"""Which images set a new threshold, which do not and why; from labelled normals and from unlabelled scores."""

import io
from dataclasses import replace
from datetime import date, timedelta
from pathlib import PurePosixPath

import numpy as np
import pytest
from PIL import Image
from prefect.logging import disable_run_logger

from proofs.model_cards import publish_made_up
from rd_core.errors import ConfigError, TooFewNormals
from rd_core.pictures.ignored_regions import Ignore
from rd_core.pictures.image_view import ImageView
from storage.errors import Conflict
from storage.filesystem import Store
from storage.models import models
from tasks.night.pin_champion import pin_version
from tasks.night.plan_batches import PartitionJob, plan_batches
from tasks.night.score_batch import score_batch
from tasks.night.seal_partition import seal_partition
from tasks.recalibration.basis import LEARNED_PART
from tasks.recalibration.labelled_normals import CONTRADICTION, OTHER_DAY
from tasks.recalibration.order import LABELLED, UNLABELLED, RecalibrateOrder
from tasks.recalibration.recalibrate_model import RecalibratedModel, recalibrate_model
from tasks.training.ignored import ignored_by
from tests.drift_plants import CORNER, FIRST, Day, put_calibrated_model, put_days
from tests.factories import DAY, NOW
from tests.rd_core.striped_images import SIZE, textured, with_blot
from tests.retraining_plants import (
    ALPHA,
    encoded,
    put_champion,
    put_judges,
    put_labels,
    put_new_normals,
    put_pictures,
)

ORDER = RecalibrateOrder("cloth", "v1", ALPHA, expected="v1")
LATER = DAY + timedelta(days=1)


def recalibrate(store: Store, **changes: object) -> RecalibratedModel:
    return recalibrate_model.fn(store.uri, store.uri, replace(ORDER, **changes), run_id="run", now=NOW)


@pytest.fixture
def plant(store: Store) -> Store:
    """A champion, images that judge, and 20 normals labelled since."""
    put_champion(store, "cloth")
    put_judges(store, "cloth", 3, 3)
    put_new_normals(store, "cloth", 20)
    return store


def test_labelled_normals_that_the_weights_have_not_learned_from(plant: Store) -> None:
    plant.write(f"images/cloth/{DAY}/copy.png", plant.read(f"images/cloth/{DAY}/new6-000.png"))
    plant.write(f"images/cloth/{DAY}/broken.png", b"no image")
    learned = models.read_card(plant, "cloth", "v1").images.train[0]
    plant.write(f"images/cloth/{DAY}/known.png", plant.read(learned))
    more = [f"images/cloth/{DAY}/{name}.png" for name in ("copy", "broken", "known")]
    put_labels(plant, "cloth", "more", more)
    put_labels(plant, "cloth", "doubt", [f"images/cloth/{DAY}/new6-001.png"], "anomalous", by="bo",
               labelled_at=NOW - timedelta(hours=1))  # fmt: skip
    put_new_normals(plant, "cloth", 2, LATER, seed=8)
    [wrong] = put_pictures(plant, "cloth", with_blot(textured(1, seed=9)), DAY, "wrong")
    put_labels(plant, "cloth", "wrong", [wrong])
    made = recalibrate(plant, last_day=DAY)
    assert (made.images, made.sealed, made.champion) == (19, 0, False)
    assert made.left_out == {
        CONTRADICTION: 1, "duplicate": 1, "learned from": 1, OTHER_DAY: 2, "set aside": 1, "unreadable": 1,
    }  # fmt: skip
    assert list(made.set_aside) == [wrong] and plant.info(made.page)
    card, old = models.read_card(plant, "cloth", made.version), models.read_card(plant, "cloth", "v1")
    assert (card.calibration.method, card.threshold.n, card.threshold.alpha) == (LABELLED, 19, ALPHA)
    assert wrong in card.images.set_aside and wrong not in card.images.calibration
    assert {card.images.train, card.images.early_stop} == {old.images.train, old.images.early_stop}
    assert list(card.calibration.scores) == sorted(card.calibration.scores)
    assert card.pixel_threshold.images == made.images - made.above and card.pixel_threshold != old.pixel_threshold
    assert set(card.calibration.statistics) >= {"brightness", "sharpness", "feature_distance"}
    assert (card.recalibration.replaces, card.recalibration.first_day) == ("v1", DAY)
    assert models.read_champion(plant, "cloth").version == "v1"


def test_another_image_of_a_part_that_the_weights_have_learnt_from_sets_no_threshold(plant: Store) -> None:
    old, weights = models.read_card(plant, "cloth", "v1"), models.read_weights(plant, "cloth", "v1")
    learnt = PurePosixPath(old.images.train[0]).stem
    pattern = rf"^(?P<part>{learnt}|new6-\d+)"
    models.publish_model(plant, replace(old, version="v2", images=replace(old.images, part_pattern=pattern)), weights)
    [again] = put_pictures(plant, "cloth", textured(1, seed=11), DAY, f"{learnt}-again")
    put_labels(plant, "cloth", "again", [again])
    made = recalibrate(plant, version="v2")
    assert (made.images, made.left_out[LEARNED_PART]) == (20, 1)
    assert again not in models.read_card(plant, "cloth", made.version).images.calibration


def test_a_repetition_is_the_same_version_and_a_chain_leads_to_the_first(plant: Store) -> None:
    first = recalibrate(plant)
    assert recalibrate(plant).version == first.version
    second = recalibrate(plant, version=first.version, alpha=0.2)
    assert models.read_card(plant, "cloth", second.version).weights.version == "v1"
    assert (second.replaces, second.images) == (first.version, 20)  # they only set a threshold
    assert len(models.comparable_versions(plant, models.read_card(plant, "cloth", "v1"))) == 3


def test_a_changed_region_scores_the_normals_anew(plant: Store) -> None:
    new = recalibrate(plant)
    made = recalibrate(plant, ignore=CORNER)
    assert (new.images, made.images, made.sealed) == (20, 24, 0)  # also the four that the training held apart
    assert (new.region_is_new, made.region_is_new, made.ignored) == (False, True, pytest.approx(0.25, abs=0.002))
    card, old = (models.read_card(plant, "cloth", version) for version in (made.version, "v1"))
    assert (ignored_by(card), ignored_by(old)) == (CORNER, None)
    assert card.weights_version == "v1"
    assert models.comparable_versions(plant, card) == [made.version]
    common = {*card.images.calibration} & {*models.read_card(plant, "cloth", new.version).images.calibration}
    assert len(common) == 20 and card.calibration.scores != old.calibration.scores
    again = recalibrate(plant, version=made.version, ignore=CORNER, alpha=0.2)
    assert not again.region_is_new
    assert len(models.comparable_versions(plant, card)) == 2


def test_sealed_scores_of_another_region_are_not_used(plant: Store) -> None:
    with disable_run_logger():
        job = PartitionJob(plant.uri, plant.uri, DAY, pin_version.fn(plant.uri, "cloth", "v1"), "night", NOW, 64)
        planned = plan_batches.fn(job)
        receipts = [score_batch.fn(plant.uri, plant.uri, one) for one in planned.batches]
        seal_partition.fn(plant.uri, planned.plan, receipts, NOW)
    assert recalibrate(plant).sealed == 20
    assert recalibrate(plant, ignore=CORNER).sealed == 0


def test_what_lies_in_the_region_sets_no_threshold(plant: Store) -> None:
    """Two plants that differ in ignored pixels alone."""
    before = recalibrate(plant, ignore=CORNER)
    for number in range(20):
        key = f"images/cloth/{DAY}/new6-{number:03}.png"
        pixels = np.asarray(Image.open(io.BytesIO(plant.read(key)))).copy()
        half = len(pixels) // 2
        pixels[: half - 1, : half - 1] = np.random.default_rng(number).integers(0, 256, (half - 1, half - 1, 3))
        plant.write(key, encoded(pixels))
    after = recalibrate(plant, ignore=CORNER)
    assert (after.threshold, after.images) == (before.threshold, before.images)
    cards = [models.read_card(plant, "cloth", made.version) for made in (before, after)]
    assert cards[0].calibration.scores == cards[1].calibration.scores
    assert cards[0].pixel_threshold == cards[1].pixel_threshold


def test_too_few_normals_for_a_changed_region_ask_for_a_training(store: Store) -> None:
    put_champion(store, "cloth")
    with pytest.raises(TooFewNormals, match=r"^4 labelled normals .* or train: rd-inspect train --category cloth"):
        recalibrate(store, ignore=CORNER)


LEFT_HALF = Ignore(polygons=(((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)),))


def test_a_method_that_knows_places_counts_none_that_it_has_not_seen(plant: Store) -> None:
    old, weights = models.read_card(plant, "cloth", "v1"), models.read_weights(plant, "cloth", "v1")
    view = {"version": old.preprocessing.version, "view": ImageView(SIZE, SIZE, ignore=CORNER).to_dict()}
    maps = {"height": old.maps.height, "width": old.maps.width}
    for name in ("padim", "reverse_distillation"):
        publish_made_up(
            plant, "cloth", name, weights, side=SIZE, maps=maps, method={"name": name}, preprocessing=view
        )
    larger = recalibrate(plant, version="padim", ignore=LEFT_HALF)
    assert recalibrate(plant, version=larger.version, ignore=CORNER).ignored == pytest.approx(0.25, abs=0.002)
    with pytest.raises(ConfigError, match=r"leaves in 25\.\d% of the image .* when padim was trained.*Train: "):
        recalibrate(plant, version=larger.version, ignore=None)
    assert not recalibrate(plant, version=larger.version, held_out=True, alpha=0.3, ignore=None).region_is_new
    assert recalibrate(plant, version="reverse_distillation", ignore=None).ignored == 0


def test_another_alpha_keeps_the_region(plant: Store) -> None:
    made = recalibrate(plant, held_out=True, alpha=0.3, ignore=CORNER)
    assert ignored_by(models.read_card(plant, "cloth", made.version)) is None


def test_a_promotion_replaces_the_expected_champion_alone(plant: Store) -> None:
    assert recalibrate(plant, promote=True).champion
    with pytest.raises(Conflict, match="is in force and not"):
        recalibrate(plant, alpha=0.3, promote=True)


def test_a_threshold_that_only_a_tail_reaches_is_refused_if_the_settings_say_so(plant: Store) -> None:
    assert recalibrate(plant, alpha=0.01).threshold_is_extrapolated
    with pytest.raises(TooFewNormals, match="extrapolate = false"):
        recalibrate(plant, alpha=0.01, extrapolate=False)


@pytest.fixture
def shifted(store: Store) -> Store:
    """Five days of 80 images whose scores have moved by two standard deviations; two of each day's are defects."""
    put_calibrated_model(store, "cloth")
    put_days(store, "cloth", [Day(score=2.0, defects=2)] * 5)
    return store


def test_unlabelled_scores_of_complete_days(shifted: Store) -> None:
    defects = [f"images/cloth/{FIRST}/000{number}.png" for number in range(2)]
    put_labels(shifted, "cloth", "seen", defects, "anomalous")
    put_labels(shifted, "cloth", "judges", [f"images/cloth/{FIRST}/0010.png"], purpose="evaluation")
    made = recalibrate(shifted, alpha=0.02, unlabelled=True)
    card, old = models.read_card(shifted, "cloth", made.version), models.read_card(shifted, "cloth", "v1")
    assert made.left_out["labelled anomalous or for evaluation"] == 3
    assert made.images + made.left_out["taken for a defect"] == 397 and made.sealed == made.images
    assert old.threshold.value < card.threshold.value < 5.5
    assert 0.01 < made.defect_share < 0.05 and made.withstands >= 0.05
    assert (card.calibration.method, card.calibration.proven) == (UNLABELLED, 1.0)
    assert "prove nothing" in made.promise
    assert card.pixel_threshold == old.pixel_threshold  # their maps are gone
    assert (made.first_day, made.last_day) == (FIRST, FIRST + timedelta(days=4))


def test_days_and_weights_are_chosen(shifted: Store) -> None:
    put_calibrated_model(shifted, "cloth", "other")
    put_days(shifted, "cloth", [Day()] * 5, first=FIRST + timedelta(days=9), version="other")
    last = FIRST + timedelta(days=3)
    made = recalibrate(shifted, alpha=0.02, unlabelled=True, first_day=FIRST + timedelta(days=1), last_day=last)
    assert (made.first_day, made.last_day) == (FIRST + timedelta(days=1), last)
    assert made.images + sum(made.left_out.values()) == 240


def test_too_few_scores_are_refused(shifted: Store) -> None:
    put_labels(shifted, "cloth", "judges", [f"images/cloth/{FIRST}/0010.png"], purpose="evaluation")
    with pytest.raises(TooFewNormals, match=r"79 scores of cloth .* 100 are needed.* Left out: 1 labelled anomalous"):
        recalibrate(shifted, alpha=0.02, unlabelled=True, last_day=FIRST)
    with pytest.raises(TooFewNormals, match=r"^0 scores of cloth .* to 2020-01-01 .*rd-inspect recalibrate"):
        recalibrate(shifted, unlabelled=True, last_day=date(2020, 1, 1))
    assert models.list_versions(shifted, "cloth") == ["v1"]
