"""What Prefect calls a run, and what a run leaves on its pages."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flows.deployment.addresses import refuse_unusable
from flows.settings import load_settings
from flows.watching import artifacts, run_names
from storage.filesystem import Store


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Parameters of the flow run that is named."""
    parameters: dict[str, Any] = {}
    context = type("Context", (), {"parameters": parameters})
    monkeypatch.setattr(run_names.FlowRunContext, "get", lambda: context)
    return parameters


def test_a_night_is_named_by_its_day_also_by_the_plants_clock(store: Store, asked: dict[str, Any]) -> None:
    name = run_names.named("inspect", run_names.night_day)
    asked |= {"store": store.uri, "run_date": date(2026, 3, 2)}
    assert name() == "inspect 2026-03-02"
    asked |= {"run_date": None, "categories": ["cloth", "tile"]}
    store.write("categories.toml", b'[plant]\ntime_zone = "Pacific/Kiritimati"\n')  # 14 hours ahead
    yesterday = (datetime.now(UTC) + timedelta(hours=14)).date() - timedelta(days=1)
    assert name() == f"inspect {yesterday}: cloth, tile"
    asked["categories"] = ["a", "b", "c", "d", "e"]
    assert name() == f"inspect {yesterday}: a, b, c and 2 more"


def test_a_store_that_does_not_answer_keeps_no_run_from_its_beginning(tmp_path: Path, asked: dict[str, Any]) -> None:
    asked |= {"store": str(tmp_path / "none"), "categories": ["cloth"]}
    assert run_names.named("inspect", run_names.night_day)() == "inspect: cloth"


def test_windows_are_named_as_far_as_they_are_given() -> None:
    first, last = date(2026, 3, 1), date(2026, 3, 9)
    given = [{"first_day": a, "last_day": b} for a in (None, first) for b in (None, last)]
    names = [run_names.given_window(one) for one in given]
    assert names == ["all days", "until 2026-03-09", "from 2026-03-01", "2026-03-01 to 2026-03-09"]
    assert run_names.window(first, first) == "2026-03-01"


def test_the_days_of_a_report_are_found_by_the_flows_own_rule(store: Store) -> None:
    parameters = {"store": store.uri, "first_day": None, "last_day": None}
    found = (date(2026, 2, 1), date(2026, 3, 2))
    assert run_names.sealed_window(parameters, lambda *_: found) == "2026-02-01 to 2026-03-02"
    assert run_names.sealed_window(parameters, lambda *_: None) == ""


def test_an_artifact_says_where_its_report_is_and_each_problem_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[dict[str, Any]] = []
    monkeypatch.setattr(artifacts, "create_table_artifact", lambda **given: made.append(given))
    monkeypatch.setattr(artifacts, "create_markdown_artifact", lambda **given: made.append(given))
    settings = load_settings(store.uri)
    rows = [{"category": "cloth", "message": "no champion"}, {"category": "tile", "message": None}]
    problems = [("cloth", "no champion"), ("drift report", "the disk is full")]
    artifacts.leave_table("t", settings, rows, "Night of 2026-03-02", report="reports/r.html", problems=problems)
    artifacts.leave_report("r", settings, "reports/r.html", "A night", "# Cloth")
    table, report = made
    assert table["table"] == [*rows, {"category": "drift report", "message": "the disk is full"}]
    assert f"`{store.uri}/reports/r.html`" in table["description"] and "2 problems" in table["description"]
    assert report["markdown"].startswith(f"The whole report: `{store.uri}/reports/r.html`")
    assert report["description"] == "A night"


@pytest.mark.parametrize(
    ("store", "code", "told"),
    [
        (None, "/code", "RD_INSPECT_STORE is not set"),
        ("", "/code", "RD_INSPECT_STORE is not set"),
        ("./plant", "/code", "below /code"),
        ("s3://", "/code", "is of no store"),
        ("s3://plant/x", "", "RD_INSPECT_CODE is not set"),
    ],
)
def test_what_no_run_could_use_is_not_deployed(store: str | None, code: str, told: str) -> None:
    with pytest.raises(SystemExit) as refused:
        refuse_unusable(store, code)
    assert told in str(refused.value) and "Nothing was deployed" in str(refused.value)


def test_a_store_and_a_folder_are_deployed(tmp_path: Path) -> None:
    assert refuse_unusable(str(tmp_path), "/code") == refuse_unusable("s3://plant/inspection", "/code") == {}
