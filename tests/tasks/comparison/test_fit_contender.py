"""A contender: what a training of the same split would be, kept once, and nothing in force."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from prefect.logging import disable_run_logger

from storage.comparisons.contender import read_contender, read_maps, read_scores
from storage.comparisons.plan import read_plan
from storage.filesystem import Store, open_store
from storage.models import models
from tasks.comparison import fit_contender as contender_module
from tasks.comparison.fit_contender import ContenderOrder, fit_contender
from tasks.comparison.judged_pictures import ImagesChanged
from tasks.comparison.plan_comparison import PlannedComparison, plan_comparison
from tasks.training.fit_model import CalibratedFit, fit_and_calibrate
from tests.comparison_plants import put_compared, quick_order
from tests.factories import NOW
from tests.rd_core.striped_images import textured
from tests.retraining_plants import encoded


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, PlannedComparison]:
    store = open_store(tmp_path_factory.mktemp("compared") / "plant", create=True)
    put_compared(store)
    with disable_run_logger():
        return store, plan_comparison.fn(store.uri, store.uri, quick_order(store))


def fit(store: Store, plan: PlannedComparison, method: str = "padim"):
    order = ContenderOrder(quick_order(store).request, plan.key, method, 0)
    return fit_contender.fn(store.uri, store.uri, order, run_id="run", now=NOW)


def _with_features_of_another(*arguments: Any) -> CalibratedFit:
    """As a fit that read features on which another spent 1,000 processor seconds."""
    model = fit_and_calibrate(*arguments)
    report = replace(model.fitted.report, shared_seconds=1000.0)
    return replace(model, fitted=replace(model.fitted, report=report))


def test_a_contender_keeps_scores_a_few_maps_and_its_cost(
    planned: tuple[Store, PlannedComparison], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, plan = planned
    monkeypatch.setattr(contender_module, "MOST_MAP_BYTES", 16 * 16 * 16 * 2)
    monkeypatch.setattr(contender_module, "fit_and_calibrate", _with_features_of_another)
    done = fit(store, plan)
    record = read_contender(store, "cloth", done.digest)
    assert done.is_new and record is not None and (record.method, record.run_id) == ("padim", "run")
    scores, maps = read_scores(store, record), read_maps(store, record)
    judged = read_plan(store, plan.key).judged
    assert scores["image_key"].to_pylist() == [image.image_key for image in judged]
    assert maps.maps.shape == (15, 16, 16) and maps.index.tolist() == list(range(0, 72, 5))
    assert np.array_equal(
        maps.maps.max(axis=(1, 2)), np.asarray(scores["score"])[maps.index].astype(np.float16)
    )  # each map is of its image
    flagged = np.asarray(scores["score"]) > record.threshold
    anomalous = np.asarray(scores["is_anomalous"])
    assert flagged[anomalous].all() and flagged[~anomalous].mean() < 0.5
    assert record.pixels is not None and record.pixels["aupro_30"] > 0.8 and record.pixels["masked"] == 18
    assert 1000 < record.training_seconds < 2000 and record.images_per_second > 1
    assert record.peak_memory > record.model_bytes > 1000
    assert models.list_versions(store, "cloth") == [] and list(store.list("trainings/")) == []
    monkeypatch.setattr(contender_module, "fit_and_calibrate", None)  # whoever trains it again fails
    again = fit(store, plan)
    assert not again.is_new and again.digest == done.digest


def test_normals_that_changed_since_the_plan_are_refused(planned: tuple[Store, PlannedComparison]) -> None:
    store, plan = planned
    key = read_plan(store, plan.key).train[0]
    before = store.read(key)
    store.write(key, encoded(textured(1, seed=99)[0]))
    with pytest.raises(ImagesChanged, match="1 normals changed"):
        fit(store, plan, "patchcore")
    store.write(key, before)
