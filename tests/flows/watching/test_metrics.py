"""Metrics of each flow: what they say, that Prometheus can read them, and that they never harm a run."""

import stat
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect.logging import disable_run_logger
from prometheus_client import generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from flows.backfill import backfill
from flows.drift import report_drift
from flows.inspection import InspectionFailed, inspect_images
from flows.retraining import retrain
from flows.settings import SettingsError, load_settings
from flows.watching.metrics import (
    RETRAININGS,
    STATES,
    VERDICTS,
    CategoryFigures,
    NightFigures,
    RunHistory,
    backfill_metrics,
    history_in,
    night_metrics,
    registry,
    retraining_metrics,
    run_metrics,
)
from flows.watching.metrics_files import category_nights
from storage.filesystem import Store
from storage.layout import image_key, seal_key
from tasks.night.write_run_report import CategoryOutcome
from tests.factories import DAY, NOW, put_images, put_model, sealed_rows
from tests.storage import small_nights

BEGAN = datetime(2026, 3, 3, 1, 0, tzinfo=UTC)
Sample = tuple[str, tuple[tuple[str, str], ...]]


def text_of(families: list[Metric]) -> str:
    return generate_latest(registry(families)).decode()


def samples(text: str) -> dict[Sample, float]:
    """By (name, sorted labels); none twice, as Prometheus demands."""
    found: dict[Sample, float] = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation
        for one in family.samples:
            key = (one.name.removeprefix("rd_inspect_"), tuple(sorted(one.labels.items())))
            assert one.name.startswith("rd_inspect_")
            assert key not in found
            found[key] = one.value
    return found


def value(found: dict[Sample, float], name: str, **labels: str) -> float | None:
    return found.get((name, tuple(sorted(labels.items()))))


NIGHT = NightFigures(
    date(2026, 3, 2),
    BEGAN,
    BEGAN + timedelta(seconds=100),
    60.0,
    3,
    [
        CategoryFigures(
            "cloth", "sealed", "v1", {"ok": 8, "unreadable": 2, "rejected": 0}, 2, 1, 5,
            BEGAN - timedelta(hours=2), BEGAN - timedelta(days=10), (("read", 1.5), ("forward", 4.0)),
        ),
        CategoryFigures('me"tal\n', "no champion"),
        CategoryFigures("wood", "sealed", "v1", {"ok": 0, "unreadable": 1, "rejected": 0}),
    ],
)  # fmt: skip


def test_a_night_in_numbers() -> None:
    found = samples(text_of(night_metrics(NIGHT)))
    assert value(found, "night_images", category="cloth", status="ok") == 8
    assert value(found, "night_images", category="cloth", status="unreadable") == 2
    assert value(found, "night_anomalous_images", category="cloth") == 2
    assert value(found, "night_review_images", category="cloth") == 1
    assert value(found, "night_alarm_ratio", category="cloth") == 0.25
    assert value(found, "night_batches", category="cloth") == 5
    assert value(found, "night_retries") == 3
    assert value(found, "night_duration_seconds") == 100
    assert value(found, "night_orchestration_seconds") == 40
    assert value(found, "night_stage_seconds", category="cloth", stage="forward") == 4
    assert value(found, "arrival_lag_seconds", category="cloth") == 7200
    assert value(found, "model_age_seconds", category="cloth", model_version="v1") == 864_000
    since = value(found, "champion_since_timestamp_seconds", category="cloth", model_version="v1")
    assert since == (BEGAN - timedelta(days=10)).timestamp()
    assert value(found, "night_day_timestamp_seconds") == datetime(2026, 3, 2, tzinfo=UTC).timestamp()


def test_what_is_not_known_is_left_out_and_not_zero() -> None:
    found = samples(text_of(night_metrics(NIGHT)))
    assert value(found, "night_anomalous_images", category='me"tal\n') is None
    assert value(found, "night_alarm_ratio", category="wood") is None
    assert value(found, "arrival_lag_seconds", category="wood") is None
    without = NightFigures(NIGHT.run_date, BEGAN, BEGAN, 0, None, [])
    assert value(samples(text_of(night_metrics(without))), "night_retries") is None


def test_a_damaged_seal_costs_the_counts_of_its_category_alone(store: Store) -> None:
    for name in ("cloth", "tile"):
        small_nights.put_model(store, name)
        small_nights.put_images(store, "a.png", "b.png", category=name)
        small_nights.put_night(store, name)
    store.write(seal_key("cloth", small_nights.DAY, "v1"), b"{}")
    outcomes = [CategoryOutcome(name, "sealed", model_version="v1") for name in ("cloth", "tile")]
    with disable_run_logger():
        cloth, tile = category_nights(load_settings(store.uri), small_nights.DAY, outcomes)
    assert (cloth.state, cloth.images) == ("sealed", {})
    assert tile.images == {"ok": 1, "unreadable": 1, "rejected": 0}


def test_states_are_one_of_all() -> None:
    found = samples(text_of(night_metrics(NIGHT)))
    states = {
        state: value(found, "night_state", category='me"tal\n', rd_inspect_night_state=state) for state in STATES
    }
    assert states == {state: float(state == "no champion") for state in STATES}
    found = samples(text_of(retraining_metrics({"cloth": "promoted", "metal": "failed"})))
    for category, outcome in (("cloth", "promoted"), ("metal", "failed")):
        for state in RETRAININGS:
            said = value(found, "retraining_outcome", category=category, rd_inspect_retraining_outcome=state)
            assert said == (state == outcome)


def test_runs_are_counted_on_and_a_failure_keeps_the_last_success() -> None:
    first = text_of(run_metrics("drift", "hold", succeeded=True, finished_at=BEGAN, before=RunHistory()))
    later = BEGAN + timedelta(days=1)
    before = history_in(first, "drift")
    assert before == RunHistory({"hold": 1}, BEGAN.timestamp())
    assert history_in(first, "inspection") == RunHistory()
    found = samples(text_of(run_metrics("drift", "failed", succeeded=False, finished_at=later, before=before)))
    assert value(found, "runs_total", flow="drift", outcome="hold") == 1
    assert value(found, "runs_total", flow="drift", outcome="failed") == 1
    assert value(found, "last_run_timestamp_seconds", flow="drift") == later.timestamp()
    assert value(found, "last_success_timestamp_seconds", flow="drift") == BEGAN.timestamp()
    never = run_metrics("drift", "failed", succeeded=False, finished_at=later, before=RunHistory())
    assert value(samples(text_of(never)), "last_success_timestamp_seconds", flow="drift") is None


@given(
    st.lists(st.sampled_from(["completed", "failed", 'odd "\\\n words']), min_size=1, max_size=6),
    st.integers(0, 4_000_000_000),
)
def test_any_history_is_read_back_as_it_was_written(outcomes: list[str], seconds: int) -> None:
    history, at = RunHistory(), datetime.fromtimestamp(seconds, UTC)
    for outcome in outcomes:
        own = run_metrics("inspection", outcome, succeeded=outcome != "failed", finished_at=at, before=history)
        history = history_in(text_of(own), "inspection")
    assert history.runs == {one: outcomes.count(one) for one in outcomes}
    assert history.last_success == (seconds if set(outcomes) != {"failed"} else None)


def test_names_follow_the_conventions() -> None:
    families = [*night_metrics(NIGHT), *backfill_metrics(scored=1, mended=2, undone=3), *retraining_metrics({})]
    families += run_metrics("backfill", "completed", succeeded=True, finished_at=NOW, before=RunHistory())
    listed = (Path(__file__).parents[3] / "docs" / "watching.md").read_text()
    for family in families:
        assert family.name.startswith("rd_inspect_")
        assert not family.name.endswith(("_minutes", "_ms", "_percent", "_count"))
        assert f"`{family.name}{'_total' if family.type == 'counter' else ''}`" in listed
    assert all(f"`{verdict}`" in listed for verdict in VERDICTS)


def test_the_setting_is_a_folder_or_nothing_and_is_refused_by_the_nearest_name(tmp_path: Path) -> None:
    assert load_settings(str(tmp_path), environment={}).plant.metrics is None
    environment = {"RD_INSPECT_METRICS": str(tmp_path / "from-environment")}
    (tmp_path / "categories.toml").write_text('[plant]\nmetrics = "from-file"\n')
    assert load_settings(str(tmp_path), environment={}).plant.metrics == Path("from-file")
    assert load_settings(str(tmp_path), environment=environment).plant.metrics == tmp_path / "from-environment"
    with pytest.raises(SettingsError, match=r"RD_INSPECT_.*METRIC.*METRICS"):
        load_settings(str(tmp_path), environment={"RD_INSPECT_METRIC": "x"})


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where RD_INSPECT_METRICS leads."""
    made = tmp_path / "textfile"
    made.mkdir()
    monkeypatch.setenv("RD_INSPECT_METRICS", str(made))
    return made


def metrics_in(folder: Path, flow: str) -> dict[Sample, float]:
    return samples((folder / f"rd_inspect_{flow}.prom").read_text())


@pytest.mark.slow
def test_each_flow_leaves_a_file_that_tells_what_it_did(store: Store, scheduler: str, folder: Path) -> None:
    put_model(store, "cloth")
    put_images(store, "cloth", ["a.png", "b.png"])
    store.write(image_key("cloth", DAY, "c.png"), b"none")
    began = time.time()
    run = inspect_images(store.uri, DAY, reports=False, dask_address=scheduler)
    report_drift(store.uri, DAY, DAY, dask_address=scheduler)
    assert sorted(path.name for path in folder.iterdir()) == ["rd_inspect_drift.prom", "rd_inspect_inspection.prom"]
    found = metrics_in(folder, "inspection")
    rows = sealed_rows(store, "cloth")
    assert value(found, "night_images", category="cloth", status="ok") == 2
    assert value(found, "night_images", category="cloth", status="unreadable") == 1
    assert value(found, "night_anomalous_images", category="cloth") == sum(bool(row["is_anomalous"]) for row in rows)
    assert value(found, "night_review_images", category="cloth") == sum(row["decision"] == "review" for row in rows)
    assert value(found, "night_state", category="cloth", rd_inspect_night_state="sealed") == 1
    assert value(found, "night_retries") == 0
    assert value(found, "runs_total", flow="inspection", outcome=run.outcome) == 1
    assert 0 < (value(found, "night_orchestration_seconds") or 0) < (value(found, "night_duration_seconds") or 0)
    assert value(found, "last_success_timestamp_seconds", flow="inspection") == pytest.approx(began, abs=240)
    assert value(metrics_in(folder, "drift"), "last_run_timestamp_seconds", flow="drift") == pytest.approx(
        began, abs=240
    )

    put_images(store, "metal", ["a.png"])
    with pytest.raises(InspectionFailed):
        inspect_images(store.uri, DAY, reports=False, dask_address=scheduler)
    again = metrics_in(folder, "inspection")
    assert value(again, "runs_total", flow="inspection", outcome=run.outcome) == 1
    assert value(again, "runs_total", flow="inspection", outcome="failed") == 1
    success = value(found, "last_success_timestamp_seconds", flow="inspection")
    assert value(again, "last_success_timestamp_seconds", flow="inspection") == success
    assert value(again, "night_images", category="cloth", status="ok") == 2, "counts are of the night, not of the run"
    assert value(again, "night_state", category="metal", rd_inspect_night_state="no champion") == 1

    backfill(store.uri, DAY, DAY, ["cloth"], dask_address=scheduler)
    assert value(metrics_in(folder, "backfill"), "backfill_undone_partitions") == 0
    retrain(store.uri, dask_address=scheduler)
    assert value(metrics_in(folder, "retraining"), "runs_total", flow="retraining", outcome="NothingToDo") == 1


def test_a_folder_that_is_not_there_fails_no_run(store: Store, scheduler: str, folder: Path) -> None:
    folder.rmdir()
    assert backfill(store.uri, DAY, DAY, dask_address=scheduler).outcome == "nothing to do"
    folder.mkdir()
    (folder / "rd_inspect_backfill.prom").write_text("this is { no metric")
    backfill(store.uri, DAY, DAY, dask_address=scheduler)
    assert value(metrics_in(folder, "backfill"), "runs_total", flow="backfill", outcome="nothing to do") == 1
    mode = (folder / "rd_inspect_backfill.prom").stat().st_mode
    assert stat.S_IMODE(mode) & 0o444 == 0o444
