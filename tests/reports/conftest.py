from collections.abc import Callable
from datetime import UTC, date, datetime

import numpy as np
import pytest

from reports.evaluation.measures import Curve, EvaluatedCategory, EvaluationReport, LabelCounts, Measure, ShareRow
from reports.evaluation.words import WORDS
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


@pytest.fixture
def evaluated(scored_image) -> Callable[..., EvaluatedCategory]:
    """A builder of categories."""

    def build(**more) -> EvaluatedCategory:
        random = np.random.default_rng(0)
        defaults = {
            "category": "cloth",
            "model_version": "v1-abc",
            "days": (date(2026, 11, 20), date(2026, 11, 21)),
            "in_mean": True,
            "counts": LabelCounts(normal=50, anomalous=40, masked=38, unmasked=2),
            "measures": tuple(Measure(name, 0.9, 0.8, 0.95, 40) for name in WORDS),
            "threshold": 0.5,
            "alpha": 0.01,
            "by_kind": (ShareRow("hole", 3, 4, 0.75, 0.194, 0.994), ShareRow("stain", 0, 2, 0.0, 0.0, 0.842)),
            "by_size": (
                ShareRow("0 % to 1 %", 0, 0, None, 0.0, 1.0),
                ShareRow("1 % to 10 %", 5, 6, 5 / 6, 0.36, 0.99),
            ),
            "normal_scores": random.normal(0.3, 0.1, 50),
            "anomalous_scores": random.normal(0.7, 0.1, 40),
            "roc": Curve(np.linspace(0, 1, 50), np.sqrt(np.linspace(0, 1, 50))),
            "pro": Curve(np.linspace(0, 0.3, 50), np.linspace(0, 0.9, 50)),
            "misses": (scored_image(score=0.2, is_anomalous=False, label="anomalous", kind="hole"),),
            "false_alarms": (scored_image(label="normal"),),
            "borderline": (scored_image(label="normal"),),
            "problems": (("images/cloth/d/a.png", "its mask is black. Draw the defect."),),
        }
        return EvaluatedCategory(**{**defaults, **more})

    return build


@pytest.fixture
def evaluation(evaluated) -> Callable[..., EvaluationReport]:
    def build(**more) -> EvaluationReport:
        defaults = {
            "first_day": date(2026, 11, 20),
            "last_day": date(2026, 11, 21),
            "store_uri": "s3://plant-7/inspect",
            "run_id": "run-7f3a",
            "evaluated_at": datetime(2026, 11, 22, 2, 0, 5, tzinfo=UTC),
            "categories": (evaluated(),),
            "means": tuple(Measure(name, 0.9, n=1, cases="categories") for name in WORDS),
            "software": {"python": "3.11.9"},
        }
        return EvaluationReport(**{**defaults, **more})

    return build
