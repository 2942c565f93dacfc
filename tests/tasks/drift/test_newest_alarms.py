"""The newest alarms as the drift report shows them: the latest row, its own picture, whatever of it is left."""

from dataclasses import replace
from datetime import timedelta

import numpy as np

from rd_core.drift.settings import DriftSettings
from storage.filesystem import Store
from tasks.drift.assess_drift import DriftJob, assess_drift
from tasks.drift.newest_alarms import pictured_alarms
from tests.drift_plants import FIRST, Day, put_calibrated_model, put_day, put_recalibrated
from tests.factories import SIZE, png

NAMES = ["a.png", "b.png", "c.png"]


def test_the_newest_alarms_come_in_order_with_the_pictures_that_are_left(store: Store) -> None:
    put_calibrated_model(store, "cloth")
    put_day(store, "cloth", FIRST, Day(images=3, score=40.0), names=NAMES)
    put_day(store, "cloth", FIRST, Day(images=1, score=80.0), names=["c.png"], later=3, etag="e2")
    found = assess_drift.fn(DriftJob(store.uri, "cloth", "v1", FIRST, FIRST, DriftSettings(resamples=20)))
    assert len(found.newest_alarms) == 3
    first = found.newest_alarms[0].image_key
    assert first.endswith("/c.png")
    store.write(first, png(1))
    shown = pictured_alarms(store, store, found)
    assert [(day, image.image_key, image.score) for day, image in shown] == [
        (alarm.day, alarm.image_key, alarm.score) for alarm in found.newest_alarms
    ]
    pictures = [image.picture for _, image in shown]
    assert pictures[0] is not None and pictures[0].shape == (SIZE, SIZE, 3)
    assert pictures[1:] == [None, None]
    assert all(image.threshold == np.float32(found.threshold) and image.is_anomalous for _, image in shown)
    assert pictured_alarms(store, store, replace(found, newest_alarms=())) == ()


def test_alarms_of_the_same_weights_are_shown_with_the_new_threshold(store: Store) -> None:
    put_calibrated_model(store, "cloth")
    put_day(store, "cloth", FIRST + timedelta(days=1), Day(images=3), names=NAMES)
    put_recalibrated(store, "cloth", "v2", of="v1", day=FIRST, threshold=1.0)
    after = FIRST + timedelta(days=1)
    found = assess_drift.fn(DriftJob(store.uri, "cloth", "v2", FIRST, after, DriftSettings(resamples=20)))
    assert [image.threshold for _, image in pictured_alarms(store, store, found)] == [1.0] * 3
