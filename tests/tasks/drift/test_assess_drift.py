"""From sealed rows and a card to a verdict, or to a sentence that says why there is none."""

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from rd_core.drift.settings import DriftSettings
from storage.errors import KeyNotFound
from storage.filesystem import Store
from storage.layout import golden_reference_key, golden_scores_key
from storage.models import models
from storage.models.models import read_card
from storage.stores import parquet
from tasks.drift import assess_drift as module
from tasks.drift.assess_drift import NEWEST_ALARMS, DriftJob, ModelDrift, assess_drift
from tests.drift_plants import DRAWN, FIRST, Day, put_calibrated_model, put_day, put_days

QUIET = Day()


def assessed(store: Store, days: list[Day], **card: object) -> ModelDrift:
    put_calibrated_model(store, "cloth", **card)
    put_days(store, "cloth", days)
    last = FIRST + timedelta(days=max(len(days), 1) - 1)
    return assess_drift.fn(DriftJob(store.uri, "cloth", "v1", FIRST, last, DriftSettings()))


@pytest.mark.parametrize(
    ("changed", "action", "cause"),
    [
        (QUIET, "hold", None),
        (Day(brightness=-3, score=1.2), "retrain", "light or camera"),
        (Day(sharpness=-3, score=1.2), "retrain", "focus or camera"),
        (Day(edge_centre_x=2, feature_distance=2, score=1.2), "retrain", "position or fixture"),
        (Day(feature_distance=3, score=1.2), "retrain", "wear or process"),
        (Day(defects=15), "stop the line", "more defects"),
        (Day(score=0.8), "recalibrate", "not seen in the images"),
    ],
)
def test_what_was_changed_is_found(store: Store, changed: Day, action: str, cause: str | None) -> None:
    found = assessed(store, [QUIET] * 6 + [changed] * 6)
    assert found.action == action
    assert [one.name for one in found.assessment.causes][:1] == ([cause] if cause else [])
    assert json.loads(json.dumps(asdict(found)))["assessment"]["verdict"]["action"] == action


def test_a_changed_golden_score_stops_the_line(store: Store) -> None:
    put_calibrated_model(store, "cloth")
    scale = read_card(store, "cloth", "v1").score_scale
    for key, value in ((golden_reference_key("cloth", scale), 1.0), (golden_scores_key(FIRST, "cloth", scale), 1.5)):
        row = {"image_key": "k", "etag": "e", "content_digest": "d", "score": value, "status": "ok"}
        store.write(key, parquet.to_bytes(pa.Table.from_pylist([row])))
    put_days(store, "cloth", [QUIET] * 3)
    days = FIRST, FIRST + timedelta(days=2)
    found = assess_drift.fn(DriftJob(store.uri, "cloth", "v1", *days, DriftSettings()))
    assert found.action == "stop the line"
    assert found.assessment.causes[0].name == "model or software"


def test_cards_without_image_statistics_are_assessed_by_scores_alone(store: Store) -> None:
    found = assessed(store, [QUIET] * 6 + [Day(brightness=-3, score=1.2)] * 6, statistics=False)
    assert found.daily_medians == ()
    assert [shift.name for shift in found.assessment.shifts] == ["score"]
    assert found.action in ("recalibrate", "retrain")


def test_images_without_a_score_are_counted_and_alarms_listed_newest_first(store: Store) -> None:
    found = assessed(store, [Day(defects=3, unreadable=2), Day(defects=8, unreadable=1), Day(defects=7)])
    assert (found.images, found.unreadable, found.assessment.images) == (240, 3, 237)
    assert (found.first_day, found.last_day) == ("2026-03-01", "2026-03-03")
    assert len(found.newest_alarms) == NEWEST_ALARMS
    days = [alarm.day for alarm in found.newest_alarms]
    assert days == sorted(days, reverse=True) and days[0] == "2026-03-03"
    of_last = [alarm.score for alarm in found.newest_alarms if alarm.day == days[0]]
    assert of_last == sorted(of_last, reverse=True) and of_last[-1] > found.threshold
    assert all(alarm.image_key.startswith(f"images/cloth/{alarm.day}/") for alarm in found.newest_alarms)


@pytest.mark.parametrize(
    ("days", "normals", "words"),
    [
        ([QUIET], 5, "at least 10 normal images"),
        ([Day(images=4, unreadable=4)], 300, "None of 4 images has a score"),
    ],
)
def test_what_cannot_be_told_is_said(store: Store, days: list[Day], normals: int, words: str) -> None:
    found = assessed(store, days, normals=normals)
    assert (found.action, found.assessment) == (None, None)
    assert words in found.message
    assert found.images == days[0].images


def test_a_version_whose_images_were_all_judged_again_has_nothing_to_tell(store: Store) -> None:
    put_calibrated_model(store, "cloth", "v2")
    put_day(store, "cloth", FIRST, version="v2", later=5)
    found = assessed(store, [QUIET])
    assert "A later version" in found.message
    assert (found.images, found.first_day) == (0, None)


def test_a_lost_card_is_an_error(store: Store) -> None:
    with pytest.raises(KeyNotFound):
        assess_drift.fn(DriftJob(store.uri, "cloth", "v1", FIRST, FIRST, DriftSettings()))


def test_the_threshold_is_the_one_decisions_were_made_with(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A card's threshold from a fitted tail is no float32; the rows' decisions were made in float32."""
    seen = []
    real: Callable = module.assess
    monkeypatch.setattr(module, "assess", lambda w, b, s: seen.append(b) or real(w, b, s))
    assessed(store, [QUIET], normals=20)
    value = models.read_card(store, "cloth", "v1").threshold.value
    assert seen[0].threshold == float(np.float32(value)) != value
    assert seen[0].alpha == 0.02 and len(seen[0].scores) == 20
    assert set(seen[0].statistics) == set(DRAWN)
