"""Retraining from new labels to the champion's pointer, on a real Prefect server and real Dask workers."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from typer.testing import CliRunner

from flows.cli import app
from flows.inspection import inspect_images
from flows.retraining import _limits, retrain
from flows.settings import SettingsError
from flows.watching.retraining_outcome import EVENT, CategoryRetraining, RetrainingFailed, RetrainingRun
from storage.filesystem import Store, open_store
from storage.models import models
from storage.models.card import Origin
from storage.partitions.anomaly_maps import read_map
from storage.verification.verification import Scope, verify
from tests.factories import DAY, NOW, put_model, sealed_rows, write_settings
from tests.prefect_events import events_since
from tests.rd_core.striped_images import textured, with_blot
from tests.retraining_plants import ALPHA, put_champion, put_judges, put_labels, put_new_normals, put_pictures

TOO_HIGH = 99.0
"""a threshold that no defect reaches: any candidate finds more"""
RIGHT = 3.0
"""a threshold between normals, up to 1.3 here, and defects, from 5: no candidate can do better"""
NEW = 100
"""enough to calibrate by: a threshold from a dozen or two alarms too often by chance, and the gate refuses it"""
LIMITS = {"most_age_days": 10_000, "resamples": 200, "slowdown": 10.0, "aupro_margin": 0.1}
"""the images are of a fixed day, the tests share the machine, and one step of training moves the map's edges"""
OTHER = b"""
[categories.other]
method = "spade"
[categories.other.spade]
nearest = 5
"""
CATEGORIES = ["better", "few", "other", "poisoned", "unstarted"]


@dataclass(frozen=True)
class Retrained:
    """The plant, and what one run made of it."""

    store: Store
    run: RetrainingRun
    started_at: datetime
    wrong: list[str]
    """defects that were labelled normal"""

    def of(self, category: str) -> CategoryRetraining:
        return next(one for one in self.run.categories if one.category == category)

    def document(self, category: str) -> dict:
        return json.loads(self.store.read(str(Path(self.of(category).report).with_suffix(".json"))))


def put_plant(store: Store) -> list[str]:
    """Categories that end each in another way; the wrong labels among them."""
    own = {"steps": 1, "mirrored_below": 0}
    write_settings(store, image_size=64, alpha=ALPHA, max_pixels=1_000_000, reverse_distillation=own)
    store.write("categories.toml", store.read("categories.toml") + OTHER)
    for category in ("better", "other"):
        put_champion(store, category, threshold=TOO_HIGH)
    put_champion(store, "poisoned", threshold=RIGHT)
    put_champion(store, "few")
    for category in ("better", "other", "poisoned"):
        # Without masks the edges of the map, which one step of training moves, are no reason to promote.
        put_judges(store, category, masks=category != "poisoned")
        put_new_normals(store, category, NEW)
    put_new_normals(store, "few", 5)
    put_new_normals(store, "unstarted", 5)
    wrong = put_pictures(store, "poisoned", with_blot(textured(4, seed=9)), DAY, "wrong")
    put_labels(store, "poisoned", "wrong", wrong)
    return wrong


@pytest.fixture(scope="module")
def retrained(scheduler: str, tmp_path_factory: pytest.TempPathFactory) -> Retrained:
    store = open_store(tmp_path_factory.mktemp("retraining") / "plant", create=True)
    wrong = put_plant(store)
    started_at = datetime.now(UTC)
    run = retrain(store.uri, dask_address=scheduler, limits=LIMITS)
    return Retrained(store, run, started_at, wrong)


def test_each_category_ends_in_its_own_way(retrained: Retrained) -> None:
    assert {one.category: one.outcome for one in retrained.run.categories} == {
        "better": "promoted", "few": "left as it is", "other": "promoted", "poisoned": "champion stays",
        "unstarted": "no champion",
    }  # fmt: skip
    assert retrained.run.failed == ()
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(retrained.run.run_id).state
    assert state.name == "Promoted"
    assert "better: promoted" in state.message


def test_a_better_candidate_is_in_force_with_its_decision_and_history(retrained: Retrained) -> None:
    one = retrained.of("better")
    champion = models.read_champion(retrained.store, "better")
    assert champion.version == one.fitted.version != "v1"
    assert champion.by == f"retraining run {retrained.run.run_id}"
    assert [earlier.version for earlier in champion.history] == ["v1"]
    decision = models.read_decision(retrained.store, "better", champion.version)
    assert (decision["promote"], decision["champion"]) == (True, "v1")
    recall = next(check for check in decision["checks"] if check["name"] == "recall")
    assert recall["champion"] == 0 and recall["gained"]
    card = models.read_card(retrained.store, "better", champion.version)
    used = card.images.used
    assert len(used) == len(set(used)) == 16 + NEW
    assert set(card.retraining.provenance) == set(used)
    new = [key for key, origin in card.retraining.provenance.items() if origin.new]
    assert len(new) == NEW
    assert card.retraining.provenance[new[0]] == Origin("ada", NOW, DAY, new=True)
    assert card.retraining.champion == card.retraining.started_from == "v1"


def test_a_candidate_that_gains_nothing_stays_out_and_says_so(retrained: Retrained) -> None:
    one = retrained.of("poisoned")
    assert models.read_champion(retrained.store, "poisoned").version == "v1"
    assert not models.read_decision(retrained.store, "poisoned", one.fitted.version)["promote"]
    assert "gains nothing" in one.words or "not proven" in one.words
    assert retrained.document("poisoned")["outcome"] == "champion stays"


def test_wrong_labels_are_quarantined_shown_and_not_trained_on(retrained: Retrained) -> None:
    left = retrained.document("poisoned")["normals"]["left_out"]
    assert sorted(row["image_key"] for row in left if row["state"] == "quarantined") == retrained.wrong
    card = models.read_card(retrained.store, "poisoned", retrained.of("poisoned").fitted.version)
    assert not set(retrained.wrong) & set(card.retraining.provenance)
    page = retrained.store.read(retrained.of("poisoned").report).decode()
    assert page.count("data:image/webp") == 2 * len(retrained.wrong)


def test_too_few_normals_are_told_and_nothing_is_trained(retrained: Retrained) -> None:
    one = retrained.of("few")
    assert "5 new normals of few can be used and 16 are needed" in one.words
    assert one.fitted is None and models.list_versions(retrained.store, "few") == ["v1"]
    assert retrained.document("few")["outcome"] == "left as it is"
    assert "rd-inspect train --category unstarted" in retrained.of("unstarted").words


def test_the_server_sees_an_event_of_the_promotion_and_of_no_other(retrained: Retrained) -> None:
    one = retrained.of("better")
    promoted = [lambda event, name=name: event.payload["category"] == name for name in ("better", "other")]
    found = events_since(retrained.started_at, EVENT, *promoted)
    ours = [event for event in found if event.payload["category"] in CATEGORIES]
    assert sorted(event.payload["category"] for event in ours) == ["better", "other"]
    ours.sort(key=lambda event: event.payload["category"])
    assert ours[0].resource.id == "rd-inspect.category.better"
    assert (ours[0].payload["version"], ours[0].payload["previous"]) == (one.fitted.version, "v1")
    assert ours[0].payload["report"] == one.report


def test_a_candidate_of_another_method_is_promoted_at_whatever_cost_and_named(retrained: Retrained) -> None:
    one = retrained.of("other")
    checks = {check["name"]: check for check in retrained.document("other")["decision"]["checks"]}
    assert all(checks[name]["passed"] is None for name in ("seconds an image", "size of the weights"))
    card = models.read_card(retrained.store, "other", one.fitted.version)
    assert (card.method.name, card.retraining.started_from, card.maps.maximum_is_score) == ("spade", None, False)
    assert "spade in place of reverse_distillation" in retrained.store.read(one.report).decode()


def test_a_night_scores_each_category_by_its_champions_method(retrained: Retrained, scheduler: str) -> None:
    store, categories = retrained.store, ["better", "other"]
    run = inspect_images(store.uri, DAY, categories=categories, dask_address=scheduler)
    assert {one.kind: one.state for one in run.reports} == {
        "evaluation": "written", "drift": "written", "index": "written",
    }  # fmt: skip
    for key in (run.report, *(one.report for one in run.reports[:2])):
        page = store.read(key).decode()
        assert "reverse_distillation" in page and "spade" in page
    rows = sealed_rows(store, "other", version=retrained.of("other").fitted.version)
    bad = [row for row in rows if "judge-bad" in row["image_key"]]
    assert all(row["is_anomalous"] and row["defect_boxes"] for row in bad)
    assert all(row["feature_distance"] > 0 and row["p_value"] > 0 for row in rows)
    row = bad[0]
    assert read_map(store, row["map_store"], row["map_index"]).max() > 1.2 * row["score"]  # scales of their own
    assert verify(store, store, Scope(categories=tuple(categories), deep=True)).wrong == 0


def test_one_category_that_fails_does_not_keep_another(store: Store, scheduler: str) -> None:
    write_settings(store, image_size=64)
    put_model(store, "broken")
    put_new_normals(store, "broken", 3)
    store.write("models/few/champion.json", b"{")
    put_new_normals(store, "few", 3)
    with pytest.raises(RetrainingFailed, match=r"few: .*champion\.json") as told:
        retrain(store.uri, dask_address=scheduler, limits=LIMITS)
    assert [one.category for one in told.value.run.categories] == ["broken"]
    assert told.value.run.categories[0].outcome == "left as it is"


def test_the_command_prints_what_became_of_each_category(
    store: Store, scheduler: str, command_environment: Callable[..., dict[str, str]]
) -> None:
    write_settings(store, image_size=64)
    put_model(store, "cloth")
    put_new_normals(store, "cloth", 3)
    arguments = ["retrain", "--store", store.uri, "--category", "cloth", "--dask-address", scheduler]
    done = CliRunner().invoke(app, [*arguments, "--fewest-new", "8"], env=command_environment())
    assert done.exit_code == 0, done.output
    assert "left as it is" in done.output
    said = " ".join(done.output.split())
    assert "0 new normals of cloth can be used and 8 are needed" in said and "3 too old" in said
    assert "retraining.html" in done.output
    wrong = CliRunner().invoke(app, [*arguments, "--category", "clot"], env=command_environment())
    assert wrong.exit_code == 2
    assert "did you mean 'cloth'" in wrong.output


def test_limits_are_checked_by_name_and_value() -> None:
    gather, gate = _limits({"fewest_new": 20.0, "recall_margin": 0.1})
    assert (gather.fewest_new, gate.recall_margin, gate.auroc_margin) == (20, 0.1, 0.01)
    assert isinstance(gather.fewest_new, int)
    with pytest.raises(SettingsError, match="'fewest_knew' is not known; did you mean 'fewest_new'"):
        _limits({"fewest_knew": 3})
    with pytest.raises(SettingsError, match="fewest_new = 1 is below 8"):
        _limits({"fewest_new": 1})
    with pytest.raises(SettingsError, match="confidence = 7"):
        _limits({"confidence": 7})
