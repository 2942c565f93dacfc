"""What detectors on a frozen teacher share, by the plainest of them."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from rd_core.detectors.cross_normals import Learnt
from rd_core.detectors.detector import FitProgress, FitReport, FitRun, Normals
from rd_core.detectors.feature_detector import Features
from rd_core.detectors.refittable import RefittableDetector, Report
from rd_core.detectors.settings import DetectorSettings
from rd_core.engines.choice import TORCH
from rd_core.engines.engine import computed_by
from rd_core.errors import EngineUnavailable
from rd_core.features.cache import FeatureSource
from rd_core.features.standardisation import Moments
from tests.rd_core.detectors.partly_ignored import PartlyIgnoredImages
from tests.rd_core.striped_images import SIZE, textured, with_blot


@dataclass(frozen=True)
class LengthSettings(DetectorSettings):
    method: ClassVar[str] = "length"
    factor: float = 1.0


class Length(RefittableDetector[LengthSettings]):
    """Features that are long are strange. It scores by gradients, or so it says."""

    Settings = LengthSettings
    name = Settings.method
    map_values = "length"
    exportable = False
    strides = (4,)

    def learn(self, source: FeatureSource, report: Report) -> Learnt:
        self.gather(source, report, [(Moments(), self.standardisation.fit)])
        return Learnt(FitReport("nothing learnt"))

    def distances(self, features: Features) -> tuple[Tensor, ...]:
        return (self.settings.factor * torch.linalg.vector_norm(features.standardised[0], dim=1),)


def fitted(factor: float, reports: list[FitProgress] | None = None) -> Length:
    settings = LengthSettings(image_height=SIZE, image_width=SIZE, factor=factor)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        detector = Length.build(settings, pretrained=False).eval()
    run = FitRun() if reports is None else FitRun(reports.append)
    detector.fit(Normals(textured(10), textured(2, seed=1)), run)
    return detector


@pytest.mark.parametrize("factor", [1e4, 3e7])
def test_distances_too_large_for_float16_are_scaled_by_a_power_of_two_and_not_cut(factor: float) -> None:
    plain, large = fitted(1.0), fitted(factor)
    assert plain.map_scale == 1
    assert float(large.map_scale).hex().startswith("0x1.0000000000000p-")
    images = with_blot(textured(3, seed=5))
    one, other = plain.score(images), large.score(images)
    assert other.maps.max() < 65504 / 4  # a defect has room
    np.testing.assert_allclose(other.maps, factor * float(large.map_scale) * one.maps, rtol=1e-5)
    assert np.array_equal(other.scores, other.maps.max(axis=(1, 2)))
    assert np.array_equal(one.feature_distances, other.feature_distances)


def test_ignored_pixels_do_not_scale_maps() -> None:
    detector = fitted(3e7)
    assert detector.map_scale < 1
    detector.fit_map_scale(PartlyIgnoredImages(textured(2), [np.zeros((SIZE, SIZE), np.bool_)]))
    assert detector.map_scale == 1


def test_one_pass_tells_of_every_image_and_fits_what_feature_distances_need() -> None:
    reports: list[FitProgress] = []
    detector = fitted(1.0, reports)
    assert [(at.phase, at.done, at.total) for at in reports] == [("features", 8, 10), ("features", 10, 10)]
    usual = detector.score(textured(6, seed=5)).feature_distances
    darker = detector.score(textured(6, seed=5) // 3).feature_distances
    assert usual.max() < darker.min()


def test_a_method_that_cannot_be_exported_is_computed_by_torch_alone() -> None:
    detector = fitted(1.0).ready()
    assert computed_by(TORCH, detector) is detector
    with pytest.raises(EngineUnavailable, match="cannot compute a model of length"):
        from rd_core.engines.openvino import OpenVinoDetector  # noqa: PLC0415  # an optional extra

        OpenVinoDetector(detector, threads=1)
