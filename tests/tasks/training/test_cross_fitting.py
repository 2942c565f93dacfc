"""A training whose threshold rests on all normals, each judged by a model that has not seen its part."""

import shutil
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest

from rd_core.calibration.holdout import CALIBRATION, Split
from rd_core.calibration.threshold import calibrate, proven_rate
from rd_core.detectors import checkpoint
from rd_core.detectors.detector import FitReport, FitRun, Normals
from rd_core.detectors.padim.settings import PaDiMSettings
from rd_core.detectors.training import Fitted
from rd_core.errors import TooFewNormals
from rd_core.maps.micro_batch import AnomalyMaps
from storage.filesystem import Store, open_store
from storage.labels import labels
from storage.labels.labels import Label
from storage.models import models
from storage.models.card import CROSS
from tasks.training import fit_model as fit_module
from tasks.training.fit_model import choose_split, fit_model
from tasks.training.fitted_model import FittedModel
from tasks.worker.scorer import warm_scorer
from tests.factories import NOW, SIZE, put_images, quick_request, quick_weights
from tests.rd_core.striped_images import textured, with_blot
from tests.reports.html_page import words
from tests.retraining_plants import put_labels, put_pictures

PARTS = 12
WRONG = "part07_view1.png"


def held_out_score(part: str, view: int) -> float:
    """The score by a model without the part; WRONG is a defect."""
    return 9.0 if f"{part}_view{view}.png" == WRONG else 1 + int(part[-2:]) / 10 + view / 100


@pytest.fixture
def normals(store: Store) -> list[str]:
    keys = put_images(store, "cloth", [f"part{i // 2:02}_view{i % 2}.png" for i in range(2 * PARTS)])
    labels.write_labels(store, "cloth", [Label(key, "normal", None, "me", NOW) for key in keys], "normals")
    return keys


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A cross-fit in place of a training; what it was asked."""
    told: dict[str, Any] = {}

    def train(_name: str, _settings: object, normals: Normals, run: FitRun, **more: object) -> Fitted:
        assert run.cross is not None
        parts = run.cross.parts
        views = [parts[:number].count(part) for number, part in enumerate(parts)]
        scores = np.array([held_out_score(part, view) for part, view in zip(parts, views, strict=True)])
        aside = run.cross.set_aside(scores / 3)  # not yet on the detector's scale
        for numbers in (range(5), range(5, len(parts))):
            some = scores[list(numbers)].astype(np.float32)
            maps = np.repeat(some[:, None], SIZE * SIZE, axis=1).reshape(-1, SIZE, SIZE)
            run.cross.judge(numbers, AnomalyMaps(maps, some, some))
        told.update(parts=parts, count=len(normals.train) + len(normals.early_stop), aside=set(aside), **more)
        return Fitted(checkpoint.from_bytes(quick_weights()), FitReport("2 steps", {"folds": 4}))

    monkeypatch.setattr(fit_module, "train", train)
    return told


def cross_fit(store: Store, **changes: object) -> FittedModel:
    request = quick_request(**{"calibration": "cross", **changes})
    return fit_model.fn(store.uri, store.uri, request, run_id="run-1", now=NOW, promote=False)


def test_every_normal_is_judged_and_all_but_the_suspicious_set_the_threshold(
    store: Store, normals: list[str], told: dict[str, Any]
) -> None:
    fitted = cross_fit(store, alpha=0.1)
    assert told["count"] == len(told["parts"]) == len(normals) and len(set(told["parts"])) == PARTS
    assert len(told["aside"]) == 1
    card = models.read_card(store, "cloth", fitted.version)
    kept = [key for key in normals if PurePosixPath(key).name != WRONG]
    assert list(card.images.calibration) == sorted([*card.images.train, *card.images.early_stop]) == kept
    (wrong,) = card.images.set_aside
    assert wrong not in kept and card.images.set_aside[wrong].startswith(
        "A model that has not seen its part scores it 9, "
    )
    assert sorted(card.images.seen) == normals and len(card.images.used) == len(normals)
    expected = sorted(held_out_score(name[:6], int(name[11])) for name in (PurePosixPath(k).name for k in kept))
    np.testing.assert_allclose(card.calibration.scores, expected, rtol=1e-6)
    assert card.threshold.value == calibrate(np.float32(expected), 0.1).value
    assert (card.calibration.method, card.calibration.folds, card.calibration.above) == (CROSS, 4, 1)
    assert card.calibration.parts == (1, *[2] * (PARTS - 1)) and "23 held-out scores of 12 parts in" in fitted.promise
    assert card.calibration.proven == proven_rate(card.calibration.parts, 0.1, cross=True, folds=4)
    assert card.pixel_threshold.images == len(kept) == len(card.calibration.statistics["sharpness"])
    np.testing.assert_allclose(card.calibration.statistics["feature_distance"], expected, rtol=1e-6)
    assert fitted.cross and fitted.set_aside == card.images.set_aside
    assert (fitted.train + fitted.early_stop, fitted.calibration) == (len(kept), len(kept))


def test_what_cannot_be_proven_is_refused_on_request_and_nothing_is_published(
    store: Store, normals: list[str], told: dict[str, Any]
) -> None:
    with pytest.raises(TooFewNormals, match=r"0\.01"):
        cross_fit(store, alpha=0.01, extrapolate=False)
    assert models.list_versions(store, "cloth") == [] and models.read_champion(store, "cloth") is None
    assert told == {}  # refused before the fit
    with pytest.raises(TooFewNormals, match="23 held-out normals prove no"):  # one is set aside
        cross_fit(store, alpha=0.041, extrapolate=False)
    assert told and models.list_versions(store, "cloth") == []
    assert cross_fit(store, alpha=0.1, extrapolate=False).champion


def test_a_defect_is_set_aside_and_all_other_normals_calibrate(store: Store) -> None:
    """By a method that leaves a part out exactly; the tests of tiles have one with folds."""
    keys = put_pictures(store, "cloth", np.concatenate([textured(23), with_blot(textured(1, seed=9))]))
    put_labels(store, "cloth", "normals", keys)
    settings = PaDiMSettings(image_height=SIZE, image_width=SIZE, dimensions=20)
    fitted = cross_fit(store, settings=settings, alpha=0.1, part_pattern=None)
    card = models.read_card(store, "cloth", fitted.version)
    assert list(card.images.set_aside) == keys[-1:] == list(fitted.set_aside)
    assert list(card.images.calibration) == keys[:-1] == sorted([*card.images.train, *card.images.early_stop])
    assert (card.calibration.method, len(card.calibration.scores)) == (CROSS, 23)
    scorer = warm_scorer(store, "cloth", fitted.version)
    pixels = np.stack([scorer.image_format.prepare(store.read(key))[0] for key in keys])
    scores = scorer.model.score(pixels).scores
    assert scores[-1] > scorer.threshold > np.median(scores)
    page = store.read(fitted.page or "").decode()
    assert page.count("data:image/webp") == 8 and card.images.set_aside[keys[-1]] in words(page)
    assert len(fitted.highest) == 3 and all(how in words(page) for how in fitted.highest.values())


@pytest.mark.parametrize(
    ("calibration", "alpha", "apart", "crosses"),
    [
        ("auto", 0.01, 99, False),
        ("auto", 0.01, 98, True),
        ("auto", 0.05, 19, False),
        ("split", 0.01, 10, False),
        ("cross", 0.2, 400, True),
    ],
)
def test_auto_crosses_where_the_images_apart_cannot_prove_alpha(
    calibration: str, alpha: float, apart: int, crosses: bool
) -> None:
    def split(share: float) -> Split:
        assert share in (0, CALIBRATION)
        return Split((0, 1, 2, 3), (4,), tuple(range(5, 5 + apart)) if share else ())

    parts = [f"part{number}" for number in range(apart + 5)]
    request = quick_request(calibration=calibration, alpha=alpha)
    assert (choose_split(request, parts, split).calibration == ()) is crosses
    if calibration == "auto":
        parts[5] = parts[6]
        assert not choose_split(request, parts, split).calibration, "two images of one part prove what one does"


def test_a_category_of_hardly_more_than_one_part_is_refused_in_words() -> None:
    def split(share: float) -> Split:
        return Split((0, 1, 2), (3,), (4,)) if share else Split((0, 1, 2, 4), (3,), ())

    request = quick_request(calibration="auto", alpha=0.01)
    with pytest.raises(TooFewNormals, match=r"^3 of 5 normal images of cloth show the part 'a': .* correct part_pat"):
        choose_split(request, ["a", "a", "a", "b", "c"], split)
    assert not choose_split(request, ["a", "a", "d", "b", "c"], split).calibration
    by_hand = replace(request, calibration="split")
    assert choose_split(by_hand, ["a", "a", "a", "b", "c"], split).calibration


def test_a_method_that_does_not_cross_fit_splits_also_few_normals(monkeypatch: pytest.MonkeyPatch) -> None:
    def split(share: float) -> Split:
        return Split((0, 1, 2), (3,), (4, 5)) if share else Split((0, 1, 2, 4, 5), (3,), ())

    request = quick_request(calibration="auto", alpha=0.01)
    assert choose_split(request, list("abcdef"), split).calibration == ()
    monkeypatch.setattr(type(request.settings), "cross_fits", False)
    assert choose_split(request, list("abcdef"), split).calibration == (4, 5)


def test_one_normal_held_out_sets_no_threshold_and_nothing_is_trained(
    store: Store, normals: list[str], told: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = Split(tuple(range(22)), (22,), (23,))
    monkeypatch.setattr(fit_module.holdout, "split", lambda *_, **__: alone)
    with pytest.raises(TooFewNormals, match="Hold out at least 2"):
        cross_fit(store, calibration="split")
    assert told == {} and normals


@pytest.mark.slow
def test_a_killed_cross_fit_goes_on_and_publishes_the_same_model(
    store: Store, normals: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = open_store(tmp_path / "undisturbed", create=True)
    shutil.copytree(store.uri, undisturbed.uri, dirs_exist_ok=True)
    expected = cross_fit(undisturbed, alpha=0.1)
    monkeypatch.setattr("tasks.training.unfinished_training.APART", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(fit_module, "model_card", _killed)
        with pytest.raises(KeyboardInterrupt):
            cross_fit(store, alpha=0.1)
    assert len(list(store.list("trainings/"))) == 1 and models.list_versions(store, "cloth") == []
    phases: list[str] = []
    monkeypatch.setattr(fit_module, "tell_phase", lambda _, phase, *__, **___: phases.append(phase))
    fitted = cross_fit(store, alpha=0.1)
    assert "folds" in phases and "steps" not in phases  # the detector's own were made already
    found = models.read_card(store, "cloth", fitted.version)
    same = models.read_card(undisturbed, "cloth", expected.version)
    assert (found.weights, found.calibration) == (same.weights, same.calibration)


def _killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
