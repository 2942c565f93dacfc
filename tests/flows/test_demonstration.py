"""What the demo says at its end."""

import json
from datetime import timedelta

from demo.factory import Factory
from flows.demonstration import FIRST_NIGHT, FOUND_SQL, SETTINGS, DemoReports, _verdict, story
from flows.settings import load_settings
from storage.analysis.queries import run_query
from storage.filesystem import Store
from tests.labelled_night import Shot, night, put_night


def rows(store: Store) -> list[dict]:
    for index in range(5):
        shots = night(index, normal=3, anomalous=2)
        if index == 1:
            shots += [Shot(f"{i}.png", shots[0].values, status="unreadable") for i in range(4)]
        put_night(store, "cloth", shots, FIRST_NIGHT + timedelta(days=index))
    return run_query(store, FOUND_SQL).to_pylist()


def test_the_story_is_told_from_what_was_found_and_leads_to_the_reports(store: Store) -> None:
    found = rows(store)
    first, second, third = story(found, DemoReports("e.html", "r.html", "d.html", "retrain: light or camera"))
    ordinary = found[:4]
    caught, false = (sum(row[name] for row in ordinary) for name in ("found", "false_alarms"))
    assert f"first 4 nights {caught} of 8 defects were found, and {false} of 12 good parts" in first[0]
    assert "On 13 Jan 4 files held no image" in second[0]
    assert f"On 16 Jan a lamp failed, and {found[4]['false_alarms']} of 3 good parts" in third[0]
    assert third[0].endswith("verdict: retrain: light or camera:")
    assert [report for _, report in (first, second, third)] == ["e.html", "r.html", "d.html"]


def test_the_verdict_is_the_drift_reports_with_its_commonest_cause(store: Store) -> None:
    def model(*causes: str) -> dict:
        return {"models": [{"assessment": {"causes": [{"name": name} for name in causes]}}]}

    found = {"verdict": "retrain", "categories": [model("light", "defects"), model("light"), model(), {"models": []}]}
    store.write("reports/drift/x/drift.json", json.dumps(found).encode())
    assert _verdict(store, "reports/drift/x/drift.html") == "retrain: light"
    assert _verdict(store, None) == "nothing"


def test_the_line_has_no_more_defects_than_its_settings_say(store: Store) -> None:
    store.write("categories.toml", SETTINGS.encode())
    share = load_settings(store.uri).drift["defect_share"]
    factory = Factory()
    assert 0.8 * share < factory.defective_per_night / (factory.good_per_night + factory.defective_per_night) <= share
