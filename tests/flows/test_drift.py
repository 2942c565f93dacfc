"""Drift from sealed scores to verdict, report and event, on a real Prefect server and real Dask workers."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from prefect.client.orchestration import get_client
from typer.testing import CliRunner

from flows.cli import app
from flows.drift import DriftFailed, DriftRun, report_drift
from flows.preflight.drift_choice import drift_settings
from flows.settings import SettingsError
from rd_core.drift.false_discovery import discoveries
from storage.filesystem import Store, open_store
from storage.layout import seal_key
from storage.stores import parquet
from tasks.drift.golden_set import GoldenImage, digest_of, write_golden_set
from tests.drift_plants import FIRST, Day, put_calibrated_model, put_day, put_days
from tests.factories import DAY, NOW, put_images, put_model
from tests.prefect_events import events_since

QUIET = Day()
LAST = FIRST + timedelta(days=9)


def drift(store: Store, scheduler: str, **more: object) -> DriftRun:
    return report_drift(store.uri, dask_address=scheduler, **more)


def document(store: Store, run: DriftRun) -> dict:
    return json.loads(store.read(str(Path(run.report).with_suffix(".json"))))


def state_of(run: DriftRun) -> str:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(run.run_id).state.name


def put_plant(store: Store) -> None:
    """Ten days of four categories: a quiet one, one whose light failed, one with more defects, one whose calibration
    is too small."""
    changes = {
        "cloth": [QUIET] * 10,
        "metal": [QUIET] * 5 + [Day(brightness=-3, score=1.2)] * 5,
        "print": [QUIET] * 6 + [Day(defects=12, unreadable=3)] * 4,
    }
    for category, days in changes.items():
        put_calibrated_model(store, category)
        put_days(store, category, days)
    put_calibrated_model(store, "small", normals=5)
    put_days(store, "small", [QUIET])


@dataclass(frozen=True)
class Assessed:
    """The plant, and what one run said of it."""

    store: Store
    run: DriftRun
    started_at: datetime


@pytest.fixture(scope="module")
def assessed(scheduler: str, tmp_path_factory: pytest.TempPathFactory) -> Assessed:
    store = open_store(tmp_path_factory.mktemp("drift") / "plant", create=True)
    put_plant(store)
    started_at = datetime.now(UTC)
    return Assessed(store, drift(store, scheduler), started_at)


def test_each_category_gets_its_verdict_and_its_cause(assessed: Assessed) -> None:
    run = assessed.run
    assert (run.first_day, run.last_day) == (LAST - timedelta(days=29), LAST)
    assert state_of(run) == "DriftFound"
    told = {one["category"]: one for one in document(assessed.store, run)["categories"]}
    assert {name: one["verdict"] for name, one in told.items()} == {
        "cloth": "hold", "metal": "retrain", "print": "stop the line", "small": None,
    }  # fmt: skip
    found = {name: one["models"][0] for name, one in told.items()}
    assert [c["name"] for c in found["metal"]["assessment"]["causes"]] == ["light or camera"]
    assert [c["name"] for c in found["print"]["assessment"]["causes"]] == ["more defects"]
    assert found["cloth"]["assessment"]["causes"] == []
    assert found["metal"]["assessment"]["changed_since"] == "2026-03-06"
    assert (found["print"]["images"], found["print"]["unreadable"]) == (800, 12)
    assert "10 normal images" in found["small"]["message"]
    assert document(assessed.store, run)["verdict"] == run.verdict == "stop the line"


@pytest.mark.slow  # stores share a contract, which S3 is tested for, and test_inspection.py has a night on S3
def test_the_same_plant_on_a_real_s3_server_gets_the_same_figures(
    assessed: Assessed, s3_store: Store, scheduler: str
) -> None:
    put_plant(s3_store)
    run = drift(s3_store, scheduler)
    here, there = document(assessed.store, assessed.run), document(s3_store, run)
    assert [one["models"] for one in there["categories"]] == [one["models"] for one in here["categories"]]
    assert (there["verdict"], run.report) == (here["verdict"], assessed.run.report)
    table = Path(run.report).with_suffix(".parquet")
    assert parquet.from_bytes(s3_store.read(str(table)), "there").equals(
        parquet.from_bytes(assessed.store.read(str(table)), "here")
    )
    assert s3_store.read(run.report).decode().count("<svg") == 3 * 11


def test_what_stands_among_all_categories_is_told(assessed: Assessed) -> None:
    models = [one["models"][0] for one in document(assessed.store, assessed.run)["categories"]]
    p_values = {one["category"]: one["assessment"]["p_value"] for one in models if one["assessment"]}
    assert {one["category"]: one["discovery"] for one in models} == {**discoveries(p_values), "small": None}
    assert p_values["metal"] < 0.01


def test_the_server_sees_an_event_for_each_drift_and_for_nothing_else(assessed: Assessed) -> None:
    emitted = events_since(assessed.started_at, "inspection.drift", lambda one: one.payload["category"] == "print")
    by_category = {
        event.payload["category"]: event for event in emitted if event.payload["report"] == assessed.run.report
    }
    assert set(by_category) == {"metal", "print"}
    assert by_category["metal"].payload.items() >= {"version": "v1", "verdict": "retrain"}.items()
    assert by_category["print"].resource["rd-inspect.verdict"] == "stop the line"
    assert by_category["print"].resource.id == "rd-inspect.category.print"


def test_json_parquet_and_html_have_the_same_figures(assessed: Assessed) -> None:
    store, run = assessed.store, assessed.run
    table = pq.read_table(Path(store.uri) / Path(run.report).with_suffix(".parquet"))
    rows = {(r["category"], r["name"], r["last_day"].isoformat()): r for r in table.to_pylist()}
    page = store.read(run.report).decode()
    for category in document(store, run)["categories"]:
        name, model = category["category"], category["models"][0]
        if model["assessment"] is None:
            continue
        for rate in model["assessment"]["alarm_rate_by_day"]:
            row = rows.pop((name, "alarm_rate", rate["first_day"]))
            assert (row["value"], row["low"], row["images"]) == (rate["rate"], rate["low"], rate["images"])
            assert row["band_high"] == rate["in_control_high"] / rate["images"]
            assert row["outside"] == (rate["verdict"] != "within")
            assert row["verdict"] == category["verdict"]
        for chart in model["assessment"]["charts"]:
            for day, value in zip(chart["days"], chart["values"], strict=True):
                assert rows.pop((name, chart["name"], day))["value"] == value
        for one in model["assessment"]["distances"]:
            row = rows.pop((name, one["name"], model["assessment"]["last_day"]))
            assert (row["value"], row["band_high"]) == (one["value"], one["null_high"])
        for one in model["daily_medians"]:
            row = rows.pop((name, one["name"], one["day"]))
            assert (row["value"], row["band_low"], row["high"]) == (one["median"], one["band_low"], one["high"])
    assert not rows
    medians = document(store, run)["categories"][1]["models"][0]["daily_medians"]
    of_light = next(one for one in medians if (one["name"], one["day"]) == ("brightness", "2026-03-06"))
    assert f"2026-03-06: brightness {of_light['median']:.3g}" in page
    assert page.count("<svg") == 3 * 11


def test_a_new_model_begins_a_new_baseline(store: Store, scheduler: str) -> None:
    put_calibrated_model(store, "cloth", "v1")
    put_days(store, "cloth", [QUIET] * 5)
    put_calibrated_model(store, "cloth", "v2", level=9.0)
    for number in range(5, 10):
        put_day(store, "cloth", FIRST + timedelta(days=number), version="v2", level=9.0)
    run = drift(store, scheduler)
    assert [(one.model_version, one.action, one.first_day, one.images) for one in run.models] == [
        ("v1", "hold", "2026-03-01", 400),
        ("v2", "hold", "2026-03-06", 400),
    ]
    assert state_of(run) == "Completed"
    page = store.read(run.report).decode()
    assert "The model changed in this window" in page
    assert page.count(">new model</text>") == 10
    assert document(store, run)["categories"][0]["model_version"] == "v2"


def test_window_categories_and_settings_can_be_chosen(assessed: Assessed, scheduler: str) -> None:
    run = drift(
        assessed.store,
        scheduler,
        last_day=FIRST + timedelta(days=4),
        categories=["metal"],
        options={"defect_share": 0.3},
    )
    assert (run.verdict, run.models[0].images) == ("hold", 400)
    assert run.report == "reports/drift/2026-02-04_2026-03-05/metal/drift.html"
    assert document(assessed.store, run)["settings"]["defect_share"] == 0.3


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"categories": ["mettal"]}, "did you mean 'metal'"),
        ({"first_day": LAST, "last_day": FIRST}, "is after the last"),
        ({"options": {"defekt_share": 0.1}}, "did you mean 'defect_share'"),
        ({"options": {"defect_share": 7}}, "defect_share = 7"),
    ],
)
def test_wrong_use_is_refused_with_the_cure(assessed: Assessed, asked: dict, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        report_drift.fn(assessed.store.uri, **asked)


def test_nothing_sealed_is_nothing_to_do(store: Store, scheduler: str) -> None:
    run = drift(store, scheduler)
    assert (run.report, run.models, run.verdict) == (None, (), None)
    assert state_of(run) == "NothingToDo"


def test_many_categories_get_the_resamples_their_discovery_needs() -> None:
    assert drift_settings({}, 3).resamples == 400
    assert 1 / (drift_settings({}, 100).resamples + 1) < 0.05 / 100


def test_a_lost_card_or_seal_fails_the_run_and_the_others_are_told(store: Store, scheduler: str) -> None:
    put_plant(store)
    (Path(store.uri) / "models" / "metal" / "v1" / "card.json").unlink()
    (Path(store.uri) / seal_key("print", FIRST, "v1")).write_text("{")
    with pytest.raises(DriftFailed, match="metal v1") as failed:
        drift(store, scheduler)
    run = failed.value.run
    assert {one.category: one.action for one in run.models} == {"cloth": "hold", "small": None}
    problems = {one["name"]: one["message"] for one in document(store, run)["failed"]}
    assert set(problems) == {"metal v1", "print v1"}
    assert "is not a seal" in problems["print v1"]
    assert "metal v1" in store.read(run.report).decode()


@pytest.mark.parametrize("kind", ["store", pytest.param("s3_store", marks=pytest.mark.slow)])  # as the other on S3
def test_golden_images_are_chosen_replayed_and_compared(
    kind: str, scheduler: str, request: pytest.FixtureRequest
) -> None:
    store: Store = request.getfixturevalue(kind)
    put_model(store, "cloth")
    keys = put_images(store, "cloth", [f"{i}.png" for i in range(6)])
    write_golden_set(store, "cloth", [GoldenImage(key, digest_of(store, key)) for key in keys], now=NOW)
    put_day(store, "cloth", DAY, Day(images=20), level=1.0)
    run = drift(store, scheduler, golden=True)
    assert [(one.scored, one.is_reference) for one in run.golden] == [(6, True)]
    golden = run.models[0].assessment.golden
    assert (golden.images, golden.changed) == (6, 0)


def test_the_command_prints_verdicts_and_where_the_report_lies(assessed: Assessed, scheduler: str) -> None:
    arguments = ["drift", "--to", str(LAST), "--from", str(FIRST), "--store", assessed.store.uri]
    said = CliRunner().invoke(app, [*arguments, "--dask-address", scheduler], env={"COLUMNS": "300", "TERM": "dumb"})
    assert said.exit_code == 0, said.output
    flat = " ".join(said.output.split())
    assert "Drift, 2026-03-01 to 2026-03-10: stop the line" in flat
    assert "metal retrain light or camera 2026-03-06" in flat
    assert (Path(assessed.store.uri) / "reports/drift/2026-03-01_2026-03-10/drift.html").exists()
    assert f"Report: {assessed.store.uri}/reports/drift/2026-03-01_2026-03-10/drift.html" in flat
