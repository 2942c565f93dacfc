"""Every normal is judged by a model that has not seen its part."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rd_core.detectors import checkpoint
from rd_core.detectors.detector import CrossFit, Detector, FitProgress, FitRun, Normals
from rd_core.detectors.folds import fold_of_each
from rd_core.detectors.reverse_distillation import cross_fitting
from rd_core.detectors.reverse_distillation.cross_fitting import FOLDS, CrossFitting, _in_steps, _some, ratio
from rd_core.detectors.reverse_distillation.settings import ReverseDistillationSettings
from rd_core.detectors.training import Fitted, train
from rd_core.errors import CheckpointError, ConfigError, TooFewNormals
from rd_core.files.training_state import Resumption
from rd_core.maps.micro_batch import AnomalyMaps
from rd_core.pictures.images import Images
from rd_core.pictures.synthetic_defects import foreign_texture
from tests.rd_core.small_trainings import small
from tests.rd_core.striped_images import SIZE, textured

TRAIN, EARLY_STOP = textured(8), textured(2, seed=1)
PARTS = [f"part {i}" for i in (*range(7), 0, 8, 9)]
FOLD_OF = fold_of_each(PARTS[:8], FOLDS)
SETTINGS = small(
    **{"steps": 2, "validate_every": 1, "batch_size": 4, "discriminator_cells": (16,)},
    **{"pseudo_anomalies": 1, "pseudo_anomalies_in_all": 0, "clean_share": 0.0},
)


@dataclass
class Court:
    """What a fit tells of its normals."""

    aside: Collection[int] = ()
    compared: list[NDArray[np.float64]] = field(default_factory=list)
    judged: dict[int, float] = field(default_factory=dict)
    peaks: dict[int, float] = field(default_factory=dict)

    def fit(self, parts: Sequence[str] = PARTS) -> CrossFit:
        return CrossFit(parts, self.set_aside, self.judge)

    def set_aside(self, scores: NDArray[np.float64]) -> Collection[int]:
        self.compared.append(scores)
        return self.aside

    def judge(self, numbers: Sequence[int], found: AnomalyMaps) -> None:
        assert not set(numbers) & set(self.judged)
        self.judged |= dict(zip(numbers, found.scores.tolist(), strict=True))
        self.peaks |= dict(zip(numbers, found.maps.max(axis=(1, 2)).tolist(), strict=True))


def trained(
    court: Court,
    images: NDArray[np.uint8] = TRAIN,
    early_stop: NDArray[np.uint8] = EARLY_STOP,
    *,
    settings: ReverseDistillationSettings = SETTINGS,
    report: Callable[[FitProgress], None] = lambda _: None,
    resumption: Resumption | None = None,
) -> Fitted:
    return train(settings.method, settings, Normals(images, early_stop), FitRun(report, resumption, court.fit()))


@pytest.fixture(scope="module")
def court() -> Court:
    return Court()


@pytest.fixture(scope="module")
def crossed(court: Court) -> Fitted:
    return trained(court)


class Folded(Exception):
    """The folds are trained; a test wants no more."""


def judges_of(images: NDArray[np.uint8], early_stop: NDArray[np.uint8]) -> list[bytes]:
    """The folds' models and that of the early-stop images."""
    seen: list[bytes] = []

    def look(self: CrossFitting, *_: object) -> None:
        seen.extend(checkpoint.to_bytes(model) for model in self._judges)
        raise Folded

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Folded):
        patch.setattr(CrossFitting, "_ratios", look)
        patch.setattr("rd_core.pictures.synthetic_defects.DEFECTS", (foreign_texture,))  # all with a donor
        trained(Court(), images, early_stop)
    return seen


@pytest.fixture(scope="module")
def judges() -> list[bytes]:
    return judges_of(TRAIN, EARLY_STOP)


@pytest.mark.parametrize("own", [0, 4])
def test_nothing_of_a_model_depends_on_the_images_that_it_judges(own: int, judges: list[bytes]) -> None:
    """Weights, standardisation, whitening and blend: all is in the bytes. The planted images are unlike the others,
    so any use of them shows."""
    images, early_stop = TRAIN.copy(), EARLY_STOP.copy()
    judged = images if own < 4 else early_stop
    inside = np.array(FOLD_OF) == own if own < 4 else np.ones(2, bool)
    judged[inside] = (
        np.random.default_rng(own).integers(0, 256, judged[inside].shape) * np.linspace(0, 1, SIZE)[:, None]
    )
    after = judges_of(images, early_stop)
    assert [a == b for a, b in zip(after, judges, strict=True)] == [at == own for at in range(5)]


def test_the_choice_to_mirror_sees_neither_a_folds_images_nor_the_early_stop_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fold 0's weights judge both."""
    shown: list[tuple[set[int], set[int]]] = []

    def choose(_model: object, known: Images, tested: Images, _seed: int) -> bool:
        shown.append(({int(known[i]) for i in range(len(known))}, {int(tested[i]) for i in range(len(tested))}))
        return len(shown) == 2

    monkeypatch.setattr(cross_fitting, "may_be_mirrored", choose)
    numbers: Any = list(range(10))
    fresh: Any = SimpleNamespace(settings=SETTINGS)
    folds = CrossFitting(fresh, Normals(numbers[:8], numbers[8:]), Court().fit(), _never)
    assert folds.mirrored == [False, True, False, False]
    for fold, (known, tested) in enumerate(shown):
        assert known.isdisjoint(tested) and tested
        assert known | tested == {number for number in range(8) if FOLD_OF[number] != fold}


def test_chosen_images_come_with_their_own_copies() -> None:
    class Numbered(list):
        def batch(self, indices: Sequence[int]) -> list[int]:
            return [self[i] for i in indices]

    some: Any = [Numbered(range(count)) for count in (4, 12, 0)]
    images, copies = _some(some[0], some[1], np.array([1, 3]))
    assert images.batch(range(2)) == [1, 3]
    assert copies.batch(range(6)) == [3, 4, 5, 9, 10, 11]
    assert len(_some(some[0], some[2], np.array([1, 3]))[1]) == 0


def test_early_stop_images_choose_no_weights_of_a_fold() -> None:
    training = _in_steps(small(seconds=90.0), 5).training
    assert (training.steps, training.keep, training.patience, training.seconds) == (5, "last", None, 30.0)


def test_every_image_is_judged_once_and_compared_once(court: Court, crossed: Fitted) -> None:
    assert sorted(court.judged) == list(range(10))
    assert [scores.shape for scores in court.compared] == [(10,)]
    assert court.peaks == court.judged  # a score is its map's maximum, on the detector's scale too
    figures = crossed.report.figures["cross"]
    assert crossed.report.figures["folds"] == 4
    assert (figures["steps"], figures["set_aside"], len(figures["ratios"])) == (1, 0, 5)


def test_scores_are_brought_to_the_detectors_scale(court: Court, crossed: Fitted) -> None:
    """Of a fold's images by one ratio, that of the scores of early-stop images; before, all are on fold 0's scale."""
    fold_of = np.r_[FOLD_OF, 4, 4]
    change = np.array([court.judged[i] for i in range(10)]) / court.compared[0]
    ratios = np.array(crossed.report.figures["cross"]["ratios"])
    for fold in range(5):
        assert np.ptp(change[fold_of == fold]) < 1e-5 * change[fold_of == fold].max()
    np.testing.assert_allclose(change[fold_of == 0], ratios[0], rtol=1e-5)
    np.testing.assert_allclose(change[fold_of == 4], ratios[0], rtol=1e-5)  # by way of fold 0
    assert len(set(ratios)) == 5


def test_early_stop_images_are_not_set_aside_where_too_few_parts_would_remain() -> None:
    kept = [
        _folds(aside, [*PARTS[:8], *early_stop])._kept_early_stop().tolist()
        for aside, early_stop in (({8}, "ab"), ({8}, "abb"), ({8}, "abc"), ({8, 9}, "abcd"))
    ]
    assert kept == [[0, 1], [0, 1, 2], [1, 2], [2, 3]]


def _folds(aside: Collection[int], parts: list[str]) -> CrossFitting:
    folds = object.__new__(CrossFitting)
    folds._cross = Court().fit(parts)
    folds._early_stop = np.arange(8, len(parts))
    folds._set_aside = frozenset(aside)
    return folds


def test_a_killed_fit_repeats_its_folds_and_ends_in_the_same(court: Court, crossed: Fitted) -> None:
    states: list[bytes] = []
    phases: list[FitProgress] = []

    def kill(progress: FitProgress) -> None:
        phases.append(progress)
        if progress.phase == "steps":
            raise Folded

    with pytest.raises(Folded):
        trained(Court(), report=kill, resumption=Resumption(None, states.append, 0.0))
    again = Court()
    resumed = trained(again, resumption=Resumption(states[-1], states.append, 0.0))
    assert checkpoint.to_bytes(resumed.detector) == checkpoint.to_bytes(crossed.detector)
    assert again.judged == court.judged
    folds = [(progress.done, progress.total) for progress in phases if progress.phase == "folds"]
    assert folds == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert phases[-1].phase == "steps"
    with pytest.raises(CheckpointError, match="other settings"):
        train(SETTINGS.method, SETTINGS, Normals(TRAIN, EARLY_STOP), FitRun(resumption=Resumption(states[-1], print)))


def test_odd_images_do_not_change_the_ratio_and_zeros_have_one_too() -> None:
    scores = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    assert ratio(scores * [900, 1, 2, 4, 0.1], scores) == pytest.approx(2)
    assert ratio(np.zeros(2), np.zeros(2)) == 1


def test_folds_that_cannot_be_are_refused(crossed: Fitted) -> None:
    def fit(parts: list[str], start: Detector[Any] | None = None) -> None:
        run = FitRun(_never, cross=Court().fit(parts))
        train(SETTINGS.method, SETTINGS, Normals(TRAIN, EARLY_STOP), run, start=start)

    with pytest.raises(TooFewNormals, match="of 8 images to train 8 show the part 'one'"):
        fit(["one"] * 8 + ["b", "c"])
    with pytest.raises(ValueError, match="part 'part 0' is among the training and the early-stop images"):
        fit([*PARTS[:8], "part 0", "b"])
    with pytest.raises(ConfigError, match="has seen the normals"):
        fit(PARTS, start=crossed.detector)


def _never(_: object) -> None:
    raise AssertionError("work was begun")
