"""What every method promises where a fit judges the normals, by models that have not seen the parts they show."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rd_core.detectors import checkpoint
from rd_core.detectors.detector import CrossFit, FitRun, JudgedImages, Normals
from rd_core.detectors.folds import fold_of_each
from rd_core.detectors.training import Fitted, train
from rd_core.errors import TooFewNormals
from rd_core.maps.micro_batch import AnomalyMaps
from tests.rd_core.detectors.test_contract import CROSS_FIT, small
from tests.rd_core.striped_images import textured, with_blot

pytestmark = pytest.mark.usefixtures("small_micro_batches")
TRAIN, EARLY_STOP = textured(14), textured(3, seed=1)
PARTS = [f"part {n}" for n in range(17)]
SAME = (0, 5, 9)
"""training images of one part, with a blot: whoever sees one finds nothing odd in another"""
OTHERS = [number for number in range(14) if number not in SAME]
for one in SAME:
    PARTS[one] = "part 0"
TRAIN[list(SAME)] = with_blot(TRAIN[:1])
TRAINED = ("reverse_distillation",)
"""methods whose folds, one for the early-stop images too, have a scale of their own, which theirs is brought to"""
Images = NDArray[np.uint8]


@dataclass
class Judged:
    """A fit, and what it judged."""

    aside: Collection[int] = ()
    asked: list[NDArray[np.float64]] = field(default_factory=list)
    """scores of each call of `set_aside`"""
    numbers: list[int] = field(default_factory=list)
    """as they were judged"""
    found: dict[int, tuple[NDArray[np.float32], ...]] = field(default_factory=dict)
    """map, score and feature distance, by number"""
    fitted: Fitted | None = None

    def set_aside(self, scores: NDArray[np.float64]) -> Collection[int]:
        self.asked.append(scores.copy())
        return self.aside

    def judge(self, numbers: Sequence[int], result: AnomalyMaps) -> None:
        self.numbers += numbers
        self.found |= dict(zip(numbers, zip(*result, strict=True), strict=True))

    @property
    def scores(self) -> NDArray[np.float32]:
        return np.array([self.found[number][1] for number in range(len(self.found))])


def judged(
    name: str, images: Images = TRAIN, early_stop: Images = EARLY_STOP, aside: Collection[int] = (), **changes: Any
) -> Judged:
    result = Judged(aside)
    run = FitRun(cross=CrossFit(PARTS, result.set_aside, result.judge))
    result.fitted = train(name, small(name, **changes), Normals(images, early_stop), run)
    return result


def assert_alike(some: tuple[NDArray[np.float32], ...], others: tuple[NDArray[np.float32], ...]) -> None:
    for one, other in zip(some, others, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4 * np.abs(other).max())


@pytest.fixture(scope="module", params=CROSS_FIT)
def usual(request: pytest.FixtureRequest) -> tuple[str, Judged]:
    return request.param, judged(request.param)


def test_every_normal_is_judged_once_after_one_question_about_all(usual: tuple[str, Judged]) -> None:
    name, result = usual
    assert sorted(result.numbers) == list(range(17))
    (asked,) = result.asked
    assert asked.shape == (17,) and asked.dtype == np.float64 and np.isfinite(asked).all()
    if name in TRAINED:
        assert len({f"{ratio:.4f}" for ratio in result.scores / asked}) <= 6
    else:
        np.testing.assert_array_equal(result.scores, asked.astype(np.float32))
    size = small(name).map_size
    assert all(found[0].shape == size and np.isfinite(found[0]).all() for found in result.found.values())
    assert result.fitted
    assert checkpoint.to_bytes(result.fitted.detector) == checkpoint.to_bytes(
        train(name, small(name), Normals(TRAIN, EARLY_STOP)).detector
    ), "judging changes nothing"


def test_nothing_that_judges_an_image_has_seen_another_of_its_part(usual: tuple[str, Judged]) -> None:
    name, first = usual
    if name in TRAINED:  # reverse_distillation/test_cross_fitting.py holds it on all bytes of the models that judge
        return
    changed = TRAIN.copy()
    changed[list(SAME[1:])] = 255 - TRAIN[list(SAME[1:])] // 3
    assert_alike(first.found[0], judged(name, changed).found[0])
    assert first.scores[0] > np.median(first.scores), "it would be usual to what has seen it"


def test_a_part_left_out_exactly_is_judged_as_by_a_fit_without_it(usual: tuple[str, Judged]) -> None:
    name, result = usual
    assert result.fitted
    folds = result.fitted.report.figures["folds"]
    if folds is not None:
        assert 2 <= folds < 17
        return
    for part in (SAME, (3,)):
        others = train(name, small(name), Normals(np.delete(TRAIN, part, axis=0), EARLY_STOP)).detector
        for number in part:
            expected = others.score(TRAIN[number : number + 1])
            assert_alike(result.found[number], tuple(values[0] for values in expected))


def test_early_stop_normals_are_judged_by_the_fitted_detector(usual: tuple[str, Judged]) -> None:
    name, result = usual
    if name in TRAINED:
        return
    assert result.fitted
    expected = result.fitted.detector.score(EARLY_STOP)
    for place in range(3):
        assert_alike(result.found[14 + place], tuple(values[place] for values in expected))


def test_the_detector_has_not_learnt_from_images_set_aside(usual: tuple[str, Judged]) -> None:
    name, _ = usual
    result = judged(name, with_blot_in(TRAIN, 2), with_blot_in(EARLY_STOP, 1), aside={2, 15})
    normals = Normals(np.delete(TRAIN, 2, axis=0), np.delete(EARLY_STOP, 1, axis=0))
    without = train(name, small(name), normals).detector
    assert result.fitted
    assert checkpoint.to_bytes(result.fitted.detector) == checkpoint.to_bytes(without)
    assert sorted(result.numbers) == list(range(17)) and len(result.asked) == 1
    if name in TRAINED:
        assert result.fitted.report.figures["cross"]["set_aside"] == 2
        return
    for number, image in ((2, with_blot(TRAIN[2:3])), (15, with_blot(EARLY_STOP[1:2]))):
        assert_alike(result.found[number], tuple(values[0] for values in without.score(image)))


def with_blot_in(images: Images, number: int) -> Images:
    changed = images.copy()
    changed[number] = with_blot(images[number : number + 1])[0]
    return changed


def test_features_that_no_cache_holds_are_computed_again(usual: tuple[str, Judged]) -> None:
    name, cached = usual
    if name not in ("padim", "patchcore"):
        return
    computed = judged(name, feature_cache_bytes=0, aside={14, 15, 16})  # the early-stop images train nothing
    assert sorted(computed.numbers) == list(range(17))
    np.testing.assert_allclose(computed.scores, cached.scores, rtol=0.02)


def test_scores_are_on_the_scale_of_the_fitted_detector(usual: tuple[str, Judged]) -> None:
    _, result = usual
    assert result.fitted
    new = result.fitted.detector.score(textured(16, seed=7))
    assert 0.8 < np.median(result.scores[OTHERS]) / np.median(new.scores) < 1.25
    distances = [result.found[number][2] for number in OTHERS]
    assert 0.5 < np.median(distances) / np.median(new.feature_distances) < 2


def test_a_part_that_leaves_too_few_others_is_refused(usual: tuple[str, Judged]) -> None:
    name, _ = usual
    cross = CrossFit(["one"] * 6 + ["other"] + ["third"], lambda _: (), lambda *_: None)
    with pytest.raises(TooFewNormals, match="show the part 'one', so fewer than two are left"):
        train(name, small(name), Normals(TRAIN[:7], EARLY_STOP[:1]), FitRun(cross=cross))


def test_folds_keep_parts_together_and_are_of_one_size() -> None:
    parts = [*("a" * 5), *("b" * 3), *"cdefghi"]
    folds = fold_of_each(parts)
    assert {(part, fold) for part, fold in zip(parts, folds, strict=True)} == set(
        dict(zip(parts, folds, strict=True)).items()
    )
    assert sorted(np.bincount(folds)) == [2, 2, 3, 3, 5]
    assert fold_of_each(["a", "b", "a"]) == [0, 1, 0]
    assert np.bincount(fold_of_each([str(n) for n in range(23)], 4)).tolist() == [6, 6, 6, 5]


OTHERS_TO_JUDGE = np.concatenate([TRAIN[:1], TRAIN[3:5], EARLY_STOP[:1], textured(1, seed=9)])
"""two parts of training images, one of early-stop images, and one of which the fit has none"""
OTHER_PARTS = ["part 0", "part 3", "part 4", "part 14", "new"]


def test_other_images_are_judged_instead_and_not_learnt_from(usual: tuple[str, Judged]) -> None:
    name, first = usual
    if name == "padim":
        return  # it knows places, which tiles have none of
    result = Judged()
    others = JudgedImages(OTHERS_TO_JUDGE, OTHER_PARTS)
    cross = CrossFit(PARTS, result.set_aside, result.judge, others)
    fitted = train(name, small(name), Normals(TRAIN, EARLY_STOP), FitRun(cross=cross))
    assert first.fitted
    assert checkpoint.to_bytes(fitted.detector) == checkpoint.to_bytes(first.fitted.detector)
    assert sorted(result.numbers) == [0, 1, 2, 3, 4] and result.asked[0].shape == (5,)
    for number, same in enumerate((0, 3, 4, 14)):
        assert_alike(result.found[number], first.found[same])
