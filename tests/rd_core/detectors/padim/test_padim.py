"""What PaDiM adds to the contract."""

import numpy as np
import pytest
import torch

from rd_core.detectors.detector import CrossFit, FitRun, Normals
from rd_core.detectors.feature_detector import Features
from rd_core.detectors.padim.settings import PaDiMSettings
from rd_core.detectors.training import train
from rd_core.errors import ConfigError
from tests.rd_core.detectors.partly_ignored import PartlyIgnoredImages
from tests.rd_core.striped_images import SIZE, textured

SIDES = {"image_height": SIZE, "image_width": SIZE}


@pytest.mark.parametrize("standardise", [False, True])
def test_distances_are_those_of_numpy_from_the_drawn_channels_at_the_finest_grid(standardise):
    normals, asked = textured(6), textured(2, seed=2)
    settings = PaDiMSettings(**SIDES, dimensions=9, standardise=standardise)
    fitted = train("padim", settings, Normals(normals, textured(2, seed=1)))
    assert "fewer than the dimensions" in fitted.report.summary
    detector = fitted.detector
    raw = detector.teacher_features(torch.from_numpy(np.concatenate([normals, asked])))
    fine = [f.double().numpy().repeat(n, axis=2).repeat(n, axis=3) for f, n in zip(raw, (1, 2, 4), strict=True)]
    drawn = np.concatenate(fine, axis=1)[:, detector.drawn.numpy()]
    if standardise:
        drawn /= drawn[:6].std(axis=(0, 2, 3))[:, None, None]
    row, column = 3, 11
    seen, apart = drawn[:6, :, row, column], drawn[6:, :, row, column] - drawn[:6, :, row, column].mean(axis=0)
    inverse = np.linalg.inv(np.cov(seen, rowvar=False) + 0.01 * np.eye(9))
    (result,) = detector.distances(Features(tuple(f[6:] for f in raw), ()))
    np.testing.assert_allclose(result[:, row, column], np.einsum("bi,ij,bj->b", apart, inverse, apart) ** 0.5, 1e-4)


@pytest.mark.parametrize(("masks", "folds"), [(1, None), (3, 5)])
def test_a_position_that_some_images_do_not_show_has_the_mean_of_the_others(masks, folds):
    """As at the edges of aligned images. A downdate would leave out what they do not show, so folds judge."""
    edge, whole = np.ones((2, SIZE, SIZE), np.bool_)
    edge[:, 44:] = False  # a quarter of the coarsest cell, which counts
    normals = PartlyIgnoredImages(textured(6), [edge, whole, whole][:masks])
    cross = CrossFit([str(n) for n in range(8)], lambda _: (), lambda *_: None)
    settings = PaDiMSettings(**SIDES, dimensions=9)
    fitted = train("padim", settings, Normals(normals, textured(2, seed=1)), FitRun(cross=cross))
    assert fitted.report.figures["folds"] == folds
    detector = fitted.detector
    seen = torch.from_numpy(np.stack([textured(6)[n] for n in range(6) if normals.counted(n)[0, 44] or masks == 1]))
    expected = detector.embeddings(detector.teacher_features(seen)).mean(dim=0).unflatten(0, settings.grid)[3, 11]
    found = detector.means.unflatten(0, settings.grid)[3, 11]
    np.testing.assert_allclose(found, expected if masks > 1 else 0 * expected, rtol=1e-3, atol=1e-4)


def test_gaussians_past_the_limit_are_refused_before_the_fit_and_named():
    with pytest.raises(ConfigError, match=r"100 dimensions at 256 x 256 pixels need 163,840,000 bytes"):
        PaDiMSettings(gaussian_bytes=163_839_999)
    assert PaDiMSettings(gaussian_bytes=163_840_000).needed_bytes == 163_840_000


@pytest.mark.parametrize("bad", [{"dimensions": 0}, {"dimensions": 177}, {"ridge": 0.0}])
def test_gaussians_that_cannot_be_are_refused(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        PaDiMSettings(**bad)
