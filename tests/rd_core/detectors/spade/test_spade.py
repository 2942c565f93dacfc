"""SPADE beside its formulas, worked out position by position."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rd_core.detectors.detector import CrossFit, FitRun, Normals
from rd_core.detectors.feature_detector import Features
from rd_core.detectors.spade import detector as module
from rd_core.detectors.spade.detector import Spade
from rd_core.detectors.spade.settings import SpadeSettings
from rd_core.detectors.training import Fitted, train
from rd_core.errors import ConfigError
from rd_core.maps.micro_batch import AnomalyMaps
from tests.rd_core.striped_images import SIZE, textured, with_blot


def fit(normals: int = 9, **changes: object) -> Fitted:
    settings = SpadeSettings(image_height=SIZE, image_width=SIZE, **{"nearest": 3, **changes})
    return train("spade", settings, Normals(textured(normals), textured(2, seed=1)), FitRun())


@pytest.fixture(scope="module")
def spade() -> Spade:
    return fit().detector


def upsampled(maps: NDArray, factor: int) -> NDArray:
    """(h, w, C) bilinearly to `factor` times the size, between the middles of positions."""
    for axis in (0, 1):
        size = maps.shape[axis]
        at = np.clip((np.arange(size * factor) + 0.5) / factor - 0.5, 0, size - 1)
        low = np.minimum(at.astype(int), size - 2)
        share = np.expand_dims(at - low, [one for one in range(3) if one != axis])
        maps = np.take(maps, low, axis) * (1 - share) + np.take(maps, low + 1, axis) * share
    return maps


def joined(stages: list[NDArray]) -> NDArray:
    """(h_k, w_k, C_k) of three stages -> (h_1, w_1, C)"""
    return np.concatenate([upsampled(one, 2**k) if k else one for k, one in enumerate(stages)], axis=2)


def by_hand(spade: Spade, image: NDArray, step: int = 1) -> tuple[float, NDArray]:
    """(score, distances (h_1, w_1)), one position after the other."""
    raw = spade.teacher_features(torch.from_numpy(image[None]))
    own = joined([one[0].permute(1, 2, 0).double().numpy() for one in raw])
    average = spade.fourth(raw[2])[0].mean((1, 2)).double().numpy()
    apart = np.linalg.norm(spade.averages.double().numpy() - average, axis=1)
    nearest = np.argsort(apart)[: spade.settings.nearest]
    gallery = []
    for normal in nearest:
        stages = [spade.get_buffer(f"gallery_{k}")[normal].double().numpy() for k in range(3)]
        whole = joined([one.reshape(SIZE // s, SIZE // s, -1) for one, s in zip(stages, (4, 8, 16), strict=True)])
        gallery += list(whole[::step, ::step].reshape(-1, whole.shape[2]))
    far = [[np.sort(np.linalg.norm(np.array(gallery) - one, axis=1)) for one in row] for row in own]
    return apart[nearest].mean(), np.array(far)[..., : spade.settings.counterparts].mean(axis=-1)


@pytest.mark.parametrize("changes", [{}, {"counterparts": 3, "gallery_stride": 8, "nearest": 50}])
def test_score_and_distances_are_those_of_the_formulas(changes: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    spade, image = fit(**changes).detector, with_blot(textured(1, seed=7))[0]
    monkeypatch.setattr(module, "_BLOCK", 2**14)  # several blocks a normal
    score, far = by_hand(spade, image, spade.settings.gallery_stride // 4)
    raw = spade.teacher_features(torch.from_numpy(image[None]))
    (result,) = spade.distances(Features(raw, spade.standardisation(raw)))
    np.testing.assert_allclose(result[0], far, rtol=1e-4, atol=1e-4)
    assert float(spade.score(image[None]).scores[0]) == pytest.approx(score, rel=1e-5)
    assert far.max() > 1.5 * np.median(far)  # the blot


def test_score_and_map_have_scales_of_their_own(spade: Spade) -> None:
    scored = spade.score(np.concatenate([textured(2, seed=8), with_blot(textured(2, seed=8))]))
    assert not spade.score_is_map_maximum
    assert (scored.scores != scored.maps.max(axis=(1, 2))).all()
    assert scored.maps[2:].max() > scored.maps[:2].max()


def test_of_more_normals_than_the_gallery_holds_as_many_are_drawn_and_told() -> None:
    room = SpadeSettings(image_height=SIZE, image_width=SIZE).bytes_a_normal
    fitted = fit(gallery_bytes=4 * room + 1)
    assert sum(fitted.detector.get_buffer(f"gallery_{k}").nbytes for k in range(3)) == 4 * room
    assert fitted.report.summary == "4 normals of 9, for gallery_bytes holds no more"
    assert fitted.report.figures == {"normals": 4, "of": 9}


@pytest.mark.parametrize("wrong", [{"nearest": 0}, {"counterparts": 0}, {"gallery_bytes": 1000}])
def test_settings_that_leave_nothing_to_compare_with_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))}.*(nothing would be compared|gallery would be empty)"):
        SpadeSettings(**wrong)


def judged(parts: list[str], images: NDArray, aside: tuple[int, ...] = (), **changes: object) -> dict[int, tuple]:
    found: dict[int, tuple] = {}
    settings = SpadeSettings(image_height=SIZE, image_width=SIZE, **changes)

    def keep(numbers: Sequence[int], result: AnomalyMaps) -> None:
        found.update(zip(numbers, zip(*result, strict=True), strict=True))

    cross = CrossFit(parts, lambda _: aside, keep)
    train("spade", settings, Normals(images, textured(1, seed=1)), FitRun(cross=cross))
    return found


def test_more_nearest_than_are_left_are_all_that_are_left() -> None:
    images = textured(5)
    found = judged([*"aabcd", "e"], images, nearest=50)
    without = train("spade", SpadeSettings(image_height=SIZE, image_width=SIZE), Normals(images[2:], images[:1]))
    scored = without.detector.score(images[:2])
    np.testing.assert_allclose([found[n][1] for n in (0, 1)], scored.scores, rtol=1e-5)
    np.testing.assert_allclose([found[n][0] for n in (0, 1)], scored.maps, rtol=1e-3, atol=1e-3)


def test_twins_whose_galleries_differ_are_told_apart() -> None:
    images = textured(5)
    images[1] = images[0]
    found = judged([*"abcde", "f"], images, aside=(1,))
    assert found[1][0].max() < 0.1 * found[0][0].max()  # the one set aside is compared with its twin


def test_a_gallery_of_one_part_is_refused_where_it_would_judge_that_part() -> None:
    room = SpadeSettings(image_height=SIZE, image_width=SIZE).bytes_a_normal
    with pytest.raises(ConfigError, match="1 normals, all of one part, so nothing would be left"):
        judged([*"abcde", "f"], textured(5), gallery_bytes=room)
