from collections.abc import Callable
from datetime import UTC, date, datetime

import numpy as np
import pytest

from reports.run.outcome import CategoryRun, RunReport
from reports.scored_image import ScoredImage


@pytest.fixture
def scored_image() -> Callable[..., ScoredImage]:
    """A builder of images; every field can be set."""

    def build(**fields) -> ScoredImage:
        rng = np.random.default_rng(0)
        defaults = {
            "image_key": "images/cloth/2026-11-21/hole/003.png",
            "score": 0.9,
            "threshold": 0.5,
            "pixel_threshold": 0.25,
            "map_threshold": 0.5,
            "is_anomalous": True,
            "p_value": 0.0123,
            "anomalous_area": 0.034,
            "picture": rng.integers(0, 255, (60, 80, 3), dtype=np.uint8),
            "anomaly_map": rng.random((16, 16), dtype=np.float32),
        }
        return ScoredImage(**{**defaults, **fields})

    return build


@pytest.fixture
def category_run(scored_image) -> Callable[..., CategoryRun]:
    """A builder of categories: 40 images, 38 scored, 2 unreadable, 3 anomalous."""

    def build(**fields) -> CategoryRun:
        rng = np.random.default_rng(1)
        calibration = rng.normal(0.3, 0.04, 100).astype(np.float32)
        defaults = {
            "category": "cloth",
            "state": "sealed",
            "model_version": "v1-abc",
            "threshold": 0.5,
            "alpha": 0.01,
            "images": 40,
            "ok": 38,
            "unreadable": 2,
            "anomalous": 3,
            "scores": np.append(rng.normal(0.3, 0.04, 35), [0.6, 0.7, 0.9]).astype(np.float32),
            "calibration_scores": calibration,
            "worst": [scored_image()],
            "unreadable_images": [("images/cloth/2026-11-21/a.png", "the file is empty")],
            "seconds_by_stage": {"read": 1.0, "decode": 3.0, "forward": 6.0},
            "images_per_second": 12.5,
            "maps_key": "maps/cloth/2026-11-21/v1-abc/00ff.zarr",
            "scores_key": "scores/run_date=2026-11-21/category=cloth/model_version=v1-abc/",
        }
        return CategoryRun(**{**defaults, **fields})

    return build


@pytest.fixture
def run_report(category_run) -> Callable[..., RunReport]:
    """A builder of reports, of one category unless told."""

    def build(**fields) -> RunReport:
        defaults = {
            "run_id": "run-7f3a",
            "run_date": date(2026, 11, 21),
            "store_uri": "s3://plant-7/inspect",
            "started_at": datetime(2026, 11, 22, 2, 0, 5, tzinfo=UTC),
            "finished_at": datetime(2026, 11, 22, 2, 1, 28, tzinfo=UTC),
            "outcome": "completed with rejects",
            "categories": [category_run()],
            "software": {"python": "3.11.9"},
        }
        return RunReport(**{**defaults, **fields})

    return build
