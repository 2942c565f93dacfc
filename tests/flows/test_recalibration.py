"""A new threshold from later normals: the same weights, no second copy, promoted, scoring a night, rolled back."""

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from flows.backfill import backfill
from flows.commands.tables.recalibration import words_of
from flows.inspection import inspect_images
from flows.preflight.recalibration_choice import orders_of
from flows.recalibration import RecalibrationFailed, recalibrate, recalibrate_models
from flows.retraining import _to_recalibrate, retrain
from flows.settings import load_settings
from flows.watching.retraining_outcome import recalibrated, state_of
from rd_core.calibration.threshold import calibrate
from rd_core.gate.decision import GateSettings
from storage.filesystem import Store
from storage.layout import drift_prefix
from storage.models import models
from storage.partitions import seals
from storage.records import Partition
from storage.verification.verification import Scope, verify
from tests.factories import DAY, everything_below, sealed_rows, write_settings
from tests.flows.commands.test_cli import call
from tests.rd_core.striped_images import textured
from tests.retraining_plants import ALPHA, put_champion, put_judges, put_new_normals, put_pictures

TOO_LOW = 0.01
LATER = DAY + timedelta(days=1)


@pytest.fixture
def plant(store: Store) -> Store:
    """A champion that alarms on everything, a scored day, and 20 normals labelled since."""
    write_settings(store, image_size=64, alpha=ALPHA, max_pixels=1_000_000)
    put_champion(store, "cloth", threshold=TOO_LOW)
    put_new_normals(store, "cloth", 20)
    return store


def test_from_labels_to_a_night_and_back(plant: Store, prefect_api: str) -> None:
    inspect_images(plant.uri, DAY, reports=False)
    before = everything_below(plant.root, "scores", "seals", "maps")
    made = recalibrate(plant.uri, ["cloth"], promote=True).models[0]
    assert (made.images, made.sealed, made.champion, made.above_before) == (20, 20, True, 20)
    assert made.above <= 2 and made.threshold > TOO_LOW
    assert [path.name for path in plant.root.glob(f"models/cloth/{made.version}/*")] == ["card.json"]
    inspect_images(plant.uri, DAY, reports=False)
    rows = sealed_rows(plant, "cloth", version=made.version)
    assert {row["threshold"] for row in rows} == {float(np.float32(made.threshold))}
    assert sum(row["is_anomalous"] for row in rows) == made.above
    assert before.items() <= everything_below(plant.root, "scores", "seals", "maps").items()
    assert not verify(plant, plant, Scope(deep=True)).wrong
    call("rollback", "--category", "cloth", "--store", plant.uri, "--by", "ada")
    both = ["recalibrate", "--category", "nut", "--category", "cloth", "--held-out", "--store", plant.uri]
    assert "no category 'nut'" in call(*both, code=2), "several are recalibrated, not the last one"
    assert models.read_champion(plant, "cloth").version == "v1"


def test_the_gate_puts_a_threshold_in_force_by_its_own_rule_and_the_limits_given(
    plant: Store, prefect_api: str
) -> None:
    put_judges(plant, "cloth", masks=False)
    settings = load_settings(plant.uri)
    orders, limits = orders_of(settings, ["cloth", "cloth"]), GateSettings(false_alarm_margin=7.0, resamples=200)
    ((made,), problems) = recalibrate_models(settings, orders, "run", limits)
    assert (made.champion, problems) == (True, []), made.decision
    champion, kept = models.read_champion(plant, "cloth"), models.read_decision(plant, "cloth", made.version)
    assert champion is not None and kept is not None and champion.version == made.version
    assert kept["words"].startswith("The new threshold is promoted, with the champion's weights. false alarms: ")
    assert kept["settings"]["false_alarm_margin"] == 7.0
    assert champion.by == "recalibration run run"
    assert [check["name"] for check in kept["checks"]][1] == "promised rate"
    (late,), _ = recalibrate_models(settings, [replace(orders[0], alpha=0.2)], "run", limits)
    assert not late.champion, "another champion is in force by now"
    assert "The gate let it pass, but it was overtaken: model" in words_of(late)
    assert recalibrated(late).outcome == "overtaken" and state_of([recalibrated(late)]) == "Completed"


def test_a_backfill_decides_anew_and_scores_what_is_left(plant: Store, prefect_api: str) -> None:
    inspect_images(plant.uri, DAY, reports=False)
    made = recalibrate(plant.uri, ["cloth"], promote=True).models[0]
    put_pictures(plant, "cloth", textured(1, seed=20), DAY, "late")
    run = backfill(plant.uri, DAY, DAY, redecide=True)
    assert (run.redecided, run.scored, run.outcome) == (20, 1, "completed")
    again = backfill(plant.uri, DAY, DAY, redecide=True)
    assert (again.redecided, again.scored, again.outcome) == (0, 0, "nothing to do")
    (day, late) = seals.read_seal(plant, Partition("cloth", DAY, made.version)).plans
    assert (day.images, day.anomalous, late.images) == (20, made.above, 1)
    assert not verify(plant, plant, Scope(deep=True)).wrong


def test_a_retraining_recalibrates_where_the_newest_drift_verdict_says_so(
    plant: Store, prefect_api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.retraining._to_recalibrate", lambda *_: ["cloth"])
    run = retrain(plant.uri, ["cloth"], recalibrate=True)
    (outcome,) = run.categories
    assert outcome.outcome in ("promoted", "champion stays")
    assert "Drift asked for a new threshold" in outcome.words
    assert len(models.list_versions(plant, "cloth")) == 2


def test_where_a_threshold_cannot_be_set_a_retraining_looks_for_new_normals(
    plant: Store, prefect_api: str, scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.retraining._to_recalibrate", lambda *_: ["few"])
    put_champion(plant, "few")
    put_new_normals(plant, "few", 5)
    (outcome,) = retrain(plant.uri, ["few"], recalibrate=True, dask_address=scheduler).categories
    assert outcome.outcome == "left as it is" and "0 new normals of few can be used" in outcome.words  # too old


def test_a_verdict_about_another_model_or_another_action_recalibrates_nothing(plant: Store) -> None:
    settings, key = load_settings(plant.uri), f"{drift_prefix(DAY, DAY)}drift"
    for version, verdict, expected in (
        ("v1", "recalibrate", ["cloth"]),
        ("v1", "retrain", []),
        ("v0", "recalibrate", []),
    ):
        model = {"model_version": version, "assessment": None, "message": None}
        entry = {"category": "cloth", "verdict": verdict, "model_version": version, "models": [model]}
        plant.write(f"{key}.json", json.dumps({"categories": [entry], "failed": []}).encode())
        plant.write(f"{key}.html", b"drawn")
        assert _to_recalibrate(settings, ["cloth", "other"], LATER) == expected


def test_too_few_normals_leave_the_threshold(plant: Store, prefect_api: str) -> None:
    with pytest.raises(RecalibrationFailed, match="0 labelled normals of cloth can be used and 16 are needed"):
        recalibrate(plant.uri, ["cloth"], LATER)
    assert models.list_versions(plant, "cloth") == ["v1"]


def test_another_alpha_alone_takes_the_models_own_held_out_scores(plant: Store, prefect_api: str) -> None:
    old = models.read_card(plant, "cloth", "v1")
    made = recalibrate(plant.uri, ["cloth"], held_out=True, alpha=0.4, promote=True).models[0]
    for days in (None, DAY):  # of a training's threshold, and of a recalibrated one
        assert "pixel" not in words_of(replace(made, first_day=days)), "none was to be expected"
    new = models.read_card(plant, "cloth", made.version)
    assert new.threshold.value == calibrate(old.calibration.scores, 0.4).value
    assert (new.threshold.alpha, new.calibration.scores, new.images) == (0.4, old.calibration.scores, old.images)
    assert made.above == new.calibration.above == sum(s > new.threshold.value for s in old.calibration.scores)
    assert (made.method, made.first_day, made.champion) == ("the model's own held-out scores", None, True)
    assert not verify(plant, plant, Scope(deep=True)).wrong
    write_settings(plant, image_size=64, extrapolate=False, max_pixels=1_000_000)
    with pytest.raises(RecalibrationFailed, match="which extrapolate = false refuses"):
        recalibrate(plant.uri, ["cloth"], held_out=True, alpha=0.0001)
