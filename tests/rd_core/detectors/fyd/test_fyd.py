"""What is Focus Your Distribution's own."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rd_core.detectors.detector import Normals
from rd_core.detectors.fyd import training
from rd_core.detectors.fyd.settings import FYDSettings
from rd_core.detectors.padim.settings import PaDiMSettings
from rd_core.detectors.training import Fitted, train
from rd_core.errors import ConfigError, TrainingCollapsed
from rd_core.metrics.image_metrics import image_auroc
from tests.rd_core.detectors.partly_ignored import PartlyIgnoredImages
from tests.rd_core.striped_images import SIZE, textured, with_blot

CHANNELS = 176
"""all of the teacher's, so that two methods draw the same"""
MOST = 10
"""pixels that a board is moved"""
SIDES: dict[str, Any] = {"image_height": SIZE, "image_width": SIZE}


def boards(count: int, seed: int, *, defect: bool = False) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images of one board, each moved on its own, with noise: and the centres (row, column) of a square whose colours
    are inverted."""
    drawn, random = np.random.default_rng(99), np.random.default_rng(seed)
    board = np.full((2 * SIZE, 2 * SIZE, 3), 60.0)
    for _ in range(40):
        (y, x), (height, width) = drawn.integers(0, 2 * SIZE - 12, 2), drawn.integers(3, 12, 2)
        board[y : y + height, x : x + width] = drawn.integers(90, 255, 3)
    images, centres = [], []
    for _ in range(count):
        top, left = SIZE // 2 + random.integers(-MOST, MOST + 1, 2)
        own, (y, x) = board.copy(), random.integers(SIZE // 2 + 14, SIZE + SIZE // 2 - 20, 2)
        if defect:
            own[y : y + 6, x : x + 6] = 255 - own[y : y + 6, x : x + 6]
        seen = own[top : top + SIZE, left : left + SIZE]
        images.append(np.clip(seen + random.normal(0, 4, seen.shape), 0, 255).astype(np.uint8))
        centres.append((y + 3 - top, x + 3 - left))
    return np.stack(images), np.array(centres)


def fit(settings: FYDSettings | PaDiMSettings, train_images: Any, early_stop: Any) -> Fitted:
    return train(settings.method, settings, Normals(train_images, early_stop))


def test_without_steps_it_is_padim_on_the_untouched_backbone() -> None:
    sides = {**SIDES, "dimensions": CHANNELS}
    normals, images = (textured(10), textured(3, seed=1)), with_blot(textured(4, seed=2))
    plain = fit(FYDSettings(steps=0, alignment_steps=0, **sides), *normals).detector
    for found, expected in zip(
        plain.score(images), fit(PaDiMSettings(**sides), *normals).detector.score(images), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_a_moved_part_is_brought_back_and_its_defects_are_found_where_they_are() -> None:
    normals, (good, _), (odd, centres) = (
        (boards(30, 1)[0], boards(6, 2)[0]),
        boards(24, 3),
        boards(24, 4, defect=True),
    )
    sides = {**SIDES, "dimensions": 40}
    aligning = FYDSettings(most_shift=0.2, most_turn=0, alignment_steps=150, steps=0, batch_size=8, **sides)
    figures = {}
    for settings in (aligning, PaDiMSettings(**sides)):
        fitted = fit(settings, *normals)
        found = fitted.detector.score(odd)
        scores = np.concatenate([fitted.detector.score(good).scores, found.scores])
        figures[settings.method] = image_auroc(scores, np.arange(48) >= 24)
        if settings is aligning:
            kept = fitted.report.figures
            assert kept["aligned"] and kept["difference_aligned"] < 0.6 * kept["difference"]
            peaks = found.maps.reshape(24, -1).argmax(axis=1)
            stride = settings.map_stride
            at = np.stack(np.unravel_index(peaks, settings.map_size), axis=1) * stride + stride / 2
            assert np.median(np.abs(at - centres).max(axis=1)) < MOST / 2, (
                "a map that is not warped back is off by that"
            )
    assert figures["fyd"] > figures["padim"] + 0.08


def test_a_transformer_that_does_not_help_held_out_normals_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "ALIGNED", 0.0)
    settings = FYDSettings(alignment_steps=3, steps=2, batch_size=4, dimensions=5, **SIDES)
    fitted = fit(settings, textured(6), textured(2, seed=1))
    assert not fitted.report.figures["aligned"] and "no alignment" in fitted.report.summary
    assert not fitted.detector.backbone.of_image.last.weight.any()


def test_steps_move_the_backbone_and_keep_it_apart(small_fyd: Fitted) -> None:
    untouched = fit(replace(small_fyd.detector.settings, steps=0), textured(6), textured(2, seed=1)).detector
    pairs = zip(small_fyd.detector.backbone.stages.parameters(), untouched.backbone.stages.parameters(), strict=True)
    assert all(not torch.equal(*pair) for pair in pairs)
    figures = small_fyd.report.figures
    assert len(figures["spread"]) == 3 and all(0 < one < 1 for one in figures["spread"])
    assert not any(weight.requires_grad for weight in small_fyd.detector.parameters())


@pytest.fixture(scope="module")
def small_fyd() -> Fitted:
    settings = FYDSettings(alignment_steps=0, steps=2, batch_size=4, dimensions=5, **SIDES)
    return fit(settings, textured(6), textured(2, seed=1))


@pytest.mark.parametrize(
    ("wreck", "words"),
    [
        (lambda weights: [one.data.zero_() for one in weights[0]], "stage 1 have become nearly the same everywhere"),
        (
            lambda weights: [one.data.fill_(99) for one in weights[1] if one.shape == (6,)],
            r"moves the images as far as it may, whatever they show \(100%",
        ),
    ],
)
def test_a_collapse_is_refused_in_words(monkeypatch: pytest.MonkeyPatch, wreck: Any, words: str) -> None:
    monkeypatch.setattr(
        training, "_descend", lambda optimiser, _: wreck([group["params"] for group in optimiser.param_groups])
    )
    settings = FYDSettings(alignment_steps=0, steps=4, batch_size=4, dimensions=5, **SIDES)
    with pytest.raises(TrainingCollapsed, match=rf"{words}.*use patchcore"):
        fit(settings, textured(6), textured(2, seed=1))


def test_an_ignored_position_teaches_nothing_and_spreads_into_no_map() -> None:
    counted = np.ones((SIZE, SIZE), np.bool_)
    counted[:, 40:] = False
    settings = FYDSettings(alignment_steps=0, steps=0, dimensions=5, **SIDES)
    some = (PartlyIgnoredImages(images, [counted]) for images in (textured(6), textured(2, seed=1)))
    detector, asked = fit(settings, *some).detector, textured(2, seed=2)
    with torch.inference_mode():
        means, whitening = (own.reshape(16, 16, -1) for own in (detector.means, detector.whitening))
        assert whitening[:, :10].any() and not whitening[:, 10:].any()
        whitening[:, 9:] = 1
        detector.backbone.of_image.last.bias[2] = 0.55  # what is 3.2 pixels further right, column 37 that of 40
        before = detector.score(asked, np.stack([counted] * 2))
        means[:, 9:] = 99
        after = detector.score(asked, np.stack([counted] * 2))
    assert before.maps.any()
    np.testing.assert_array_equal(after.maps, before.maps)


@pytest.mark.parametrize(
    "bad", [{"steps": -1}, {"batch_size": 1}, {"learning_rate": 0.0}, {"most_shift": 0.4}, {"alignment_weight": -1.0}]
)
def test_settings_that_cannot_be_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        FYDSettings(**bad)
    assert FYDSettings(image_height=1024, image_width=1024, dimensions=40).batch == 2
