"""The end of a night: evaluation, drift and index, none of which can hide what became of the night."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from flows.inspection import InspectionFailed, InspectionRun, inspect_images
from storage.filesystem import Store
from storage.labels import labels
from storage.labels.labels import Label
from tests.factories import DAY, NOW, assert_night_is_whole, put_images, put_model
from tests.prefect_events import events_since

EARLIER = DAY - timedelta(days=1)


def states(run: InspectionRun) -> dict[str, str]:
    return {one.kind: one.state for one in run.reports}


@pytest.fixture
def plant(store: Store) -> Store:
    """Two days of cloth; the last is labelled for evaluation."""
    put_model(store, "cloth")
    put_images(store, "cloth", ["a.png", "b.png"], EARLIER)
    keys = put_images(store, "cloth", [f"{i}.png" for i in range(6)])
    words = ["normal"] * 4 + ["anomalous"] * 2
    said = [Label(key, word, None, "ann", NOW, None, "evaluation") for key, word in zip(keys, words, strict=True)]
    labels.write_labels(store, "cloth", said, "truth")
    return store


def test_a_night_ends_in_evaluation_drift_and_index_and_tells_it_was_completed(plant: Store, scheduler: str) -> None:
    began = datetime.now(UTC)
    run = inspect_images(plant.uri, DAY, dask_address=scheduler)
    assert states(run) == {"evaluation": "written", "drift": "written", "index": "written"}, run.reports
    pages = [plant.read(one.report).decode() for one in run.reports]
    assert all(page.startswith("<!doctype html>") for page in pages)
    assert run.report.removeprefix("reports/") in pages[-1]
    assert "Image AUROC" in run.reports[0].message
    (event,) = events_since(began, "inspection.completed", lambda event: event.payload["run_date"] == str(DAY))
    assert event.resource["rd-inspect.outcome"] == "completed"
    assert [one["category"] for one in event.payload["categories"]] == ["cloth"]

    again = inspect_images(plant.uri, EARLIER, dask_address=scheduler)  # a day before the last inspected one
    assert states(again) == {"evaluation": "nothing to report", "drift": "nothing to report", "index": "written"}


def test_a_report_that_cannot_be_written_fails_the_run_and_leaves_the_night_sealed(
    plant: Store, scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> Callable[..., None]:
        raise ValueError("the evaluation has a bug")

    monkeypatch.setattr("flows.night.night_reports.evaluate_if_labelled", broken)
    with pytest.raises(InspectionFailed, match="evaluation report: ValueError: the evaluation has a bug") as failed:
        inspect_images(plant.uri, DAY, dask_address=scheduler)
    run = failed.value.run
    assert run.outcome == "completed"
    assert states(run) == {"evaluation": "failed", "drift": "written", "index": "written"}
    assert_night_is_whole(plant, "cloth", [f"images/cloth/{DAY}/{i}.png" for i in range(6)])
