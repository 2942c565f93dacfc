"""What images show in an ignored region changes neither a training nor what it finds."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from prefect.logging import disable_run_logger

from rd_core.calibration.pixel_threshold import PixelCounts
from rd_core.detectors.patchcore.settings import PatchCoreSettings
from rd_core.pictures.crop import Crop
from rd_core.pictures.ignored_regions import Ignore
from rd_core.pictures.image_view import ImageView
from storage.filesystem import open_store
from storage.models import models
from storage.models.card import ModelCard
from tasks.scoring.picture_scores import ScoredPicture, score_pictures
from tasks.training.fit_model import fit_model
from tasks.worker.picture_reader import read_picture
from tasks.worker.scorer import warm_scorer
from tests.factories import NOW, SIZE, quick_request
from tests.rd_core.striped_images import textured, with_blot
from tests.retraining_plants import put_labels, put_pictures

SIDE = 96
"""pixels of an image, of which the view sees 80"""
LEFT_UPPER = ((0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.0, 0.5))
VIEWS = {
    "whole": ImageView(SIZE, SIZE, Crop.of([8, 8, 80, 80]), Ignore((LEFT_UPPER,))),
    "tiles": ImageView(80, 80, Crop.of([8, 8, 80, 80]), Ignore((LEFT_UPPER,)), tile=SIZE, overlap=16),
}
SETTINGS = PatchCoreSettings(image_height=SIZE, image_width=SIZE, coreset_share=0.1)


class Outcome(NamedTuple):
    weights: bytes
    card: ModelCard
    counted: np.ndarray
    scored: list[ScoredPicture]
    maps: np.ndarray
    held_out: np.ndarray
    """maps of the images that set the threshold"""


def outcome(folder: Path, seed: int, view: ImageView, calibration: str) -> Outcome:
    """A plant's model and what it finds, one image with a defect in the region and one with a defect elsewhere."""
    images = textured(16, SIDE, SIDE)
    asked = np.concatenate([with_blot(images[:1]), with_blot(images[:1])[:, ::-1, ::-1]])
    random = np.random.default_rng(seed)
    for some in (images, asked):
        some[:, :48, :48] = random.integers(0, 256, some[:, :48, :48].shape)
    store = open_store(folder, create=True)
    put_labels(store, "cloth", "normals", put_pictures(store, "cloth", images))
    asked_keys = put_pictures(store, "cloth", asked, name="asked")
    request = quick_request(settings=SETTINGS, view=view, part_pattern=None, calibration=calibration)
    with disable_run_logger():
        fitted = fit_model.fn(store.uri, store.uri, request, run_id="run-1", now=NOW, promote=False)
    scorer = warm_scorer(store, "cloth", fitted.version)
    loaded = [read_picture(store, scorer.image_format, key) for key in asked_keys]
    counted, maps = view.counted((SIDE, SIDE), scorer.map_size), np.empty((2, *scorer.map_size), np.float32)
    assert counted is not None
    weights = models.read_weights(store, "cloth", fitted.version)
    of_threshold = [read_picture(store, scorer.image_format, key) for key in scorer.card.images.calibration]
    held_out = scorer.score(of_threshold).maps if of_threshold else maps[:0]
    return Outcome(weights, scorer.card, counted, score_pictures(scorer, loaded, maps), maps, held_out)


@pytest.mark.parametrize(("view", "calibration"), [("whole", "split"), ("tiles", "cross")])
def test_weights_thresholds_scores_and_maps_are_the_same_whatever_an_ignored_region_shows(
    tmp_path: Path, view: str, calibration: str
) -> None:
    one, other = (outcome(tmp_path / str(seed), seed, VIEWS[view], calibration) for seed in (1, 2))
    assert one.weights == other.weights
    assert (one.card.threshold, one.card.pixel_threshold) == (other.card.threshold, other.card.pixel_threshold)
    assert one.card.calibration == other.card.calibration
    assert np.array_equal(one.maps, other.maps)
    for mine, its in zip(one.scored, other.scored, strict=True):
        assert (mine.score, mine.regions, mine.defect_area) == (its.score, its.regions, its.defect_area)
    assert not one.maps[:, ~one.counted].any() and one.maps[:, one.counted].any()
    if calibration == "split":
        counts = PixelCounts()
        counts.add(one.held_out[:, None, one.counted].astype(np.float16))
        assert one.card.pixel_threshold.value == counts.threshold().value
    inside, outside = one.scored
    assert inside.score is not None and outside.score is not None and outside.score > 1.2 * inside.score
