"""What PatchCore adds to the contract."""

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter

from rd_core.detectors.detector import Normals
from rd_core.detectors.feature_detector import Features
from rd_core.detectors.patchcore.settings import PatchCoreSettings
from rd_core.detectors.training import train
from rd_core.errors import ConfigError
from tests.rd_core.striped_images import SIZE, textured, with_blot

SIDES = {"image_height": SIZE, "image_width": SIZE}


def _trained(**changes):
    return train("patchcore", PatchCoreSettings(**SIDES, **changes), Normals(textured(4), textured(2, seed=1)))


def _doubled(coarse):
    """(B, C, n, n) -> (B, C, 2n, 2n), bilinear between the middles of cells."""
    places = (np.arange(2 * coarse.shape[2]) + 0.5) / 2 - 0.5
    to = np.stack([np.interp(places, np.arange(coarse.shape[2]), unit) for unit in np.eye(coarse.shape[2])], axis=1)
    return to @ coarse @ to.T


@pytest.mark.parametrize("standardise", [False, True])
def test_patches_and_distances_are_those_of_numpy_when_all_are_kept(standardise):
    detector = _trained(coreset_share=1.0, standardise=standardise).detector
    raw = detector.teacher_features(torch.from_numpy(np.concatenate([textured(4), with_blot(textured(2, seed=2))])))
    stages = [f.double().numpy() for f in raw[1:]]
    if standardise:
        stages = [(f - f[:4].mean((0, 2, 3), keepdims=True)) / f[:4].std((0, 2, 3), keepdims=True) for f in stages]
    second, third = (uniform_filter(f, (1, 1, 3, 3), mode="constant") for f in stages)
    patches = np.concatenate([second, _doubled(third)], axis=1).transpose(0, 2, 3, 1)
    memory = patches[:4].reshape(-1, patches.shape[3])
    expected = np.linalg.norm(patches[4:].reshape(-1, 1, memory.shape[1]) - memory, axis=2).min(axis=1)
    features = Features(tuple(f[4:] for f in raw), tuple(f[4:] for f in detector.standardisation(raw)))
    (result,) = detector.distances(features)
    # The memory is of features that were cached in float16.
    np.testing.assert_allclose(result.flatten(), expected, rtol=5e-3)


def test_a_score_is_the_re_weighted_distance_of_the_farthest_patch():
    images = with_blot(textured(3, seed=2))
    plain, weighted = (_trained(neighbours=count).detector for count in (1, 9))
    assert torch.equal(plain.memory, weighted.memory)
    farthest = plain.distances(_features(plain, images))[0].amax(dim=(1, 2))
    np.testing.assert_allclose(plain.score(images).scores, farthest, rtol=1e-4)
    share = weighted.score(images).scores / plain.score(images).scores
    assert (share < 1).all() and (share >= 1 - 1 / 9 - 1e-3).all()


def _features(detector, images):
    raw = detector.teacher_features(torch.from_numpy(images))
    return Features(raw, detector.standardisation(raw))


def test_of_more_patches_than_may_be_candidates_some_are_drawn_and_the_cap_holds():
    figures = _trained(candidates=50, coreset_share=0.5, coreset_vectors=20).report.figures
    assert figures == {"images": 4, "patches": 4 * (SIZE // 8) ** 2, "candidates": 50, "vectors": 20}


@pytest.mark.parametrize("bad", [{"coreset_share": 0.0}, {"coreset_share": 1.1}, {"coreset_vectors": 0}])
def test_memories_that_cannot_be_are_refused(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        PatchCoreSettings(**bad)
