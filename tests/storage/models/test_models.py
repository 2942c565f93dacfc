"""The registry: immutable versions, one champion, honest losers."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from proofs.model_cards import made_up_card, publish_made_up
from storage.errors import AlreadyExists, Conflict, CorruptObject, InvalidKey, KeyNotFound
from storage.filesystem import LocalStore, Store, open_store
from storage.models import models
from storage.models.card import ModelCard
from storage.models.models import (
    promote,
    publish_decision,
    publish_model,
    publish_recalibrated,
    read_card,
    read_champion,
    read_decision,
    read_weights,
    rollback,
)
from storage.records import Champion
from storage.stores import checked_json
from tests.object_stores import Bucket

NOW = datetime(2026, 11, 22, 2, 1, tzinfo=UTC)


@pytest.fixture(params=["local", "seaweed_s3"])
def store(request: pytest.FixtureRequest) -> Store:
    place = request.getfixturevalue(request.param)
    return open_store(place.uri) if isinstance(place, Bucket) else place


def test_a_version_tells_time_and_weights() -> None:
    assert models.new_version(b"abc", NOW) == "20261122T020100Z-ba7816bf"
    elsewhere = NOW.astimezone(timezone(timedelta(hours=9)))
    assert models.new_version(b"abc", elsewhere) == "20261122T020100Z-ba7816bf"


def test_a_model_is_read_as_published(store: Store) -> None:
    card = made_up_card(run_id="Ü")
    publish_model(store, card, b"weights")
    assert read_card(store, "cloth", "v1") == card
    assert read_weights(store, "cloth", "v1") == b"weights"
    assert models.list_versions(store, "cloth") == ["v1"]
    assert models.list_model_categories(store) == ["cloth"]


def test_a_published_version_never_changes(store: Store) -> None:
    publish_made_up(store)
    for weights, run in ((b"weights", "run-0"), (b"others", "run-0"), (b"weights", "run-1")):
        with pytest.raises(AlreadyExists, match="new_version"):
            publish_made_up(store, weights=weights, run_id=run)
    assert read_weights(store, "cloth", "v1") == b"weights"
    assert read_card(store, "cloth", "v1").run_id == "run-0"


def test_weights_without_a_card_are_no_version(local: LocalStore) -> None:
    local.write("models/cloth/v1/weights.safetensors", b"half way")
    assert models.list_versions(local, "cloth") == []
    with pytest.raises(KeyNotFound, match="never published"):
        promote(local, "cloth", "v1", by="op", now=NOW)
    with pytest.raises(KeyNotFound):
        read_weights(local, "cloth", "v1")
    with pytest.raises(AlreadyExists):
        publish_made_up(local, weights=b"of another training")
    assert local.info("models/cloth/v1/card.json") is None


@pytest.mark.parametrize("data", [b"", b"weightz", b"weights and more"])
def test_weights_that_are_not_the_cards(local: LocalStore, data: bytes) -> None:
    publish_made_up(local)
    local.write("models/cloth/v1/weights.safetensors", data)
    with pytest.raises(CorruptObject, match=f"has {len(data)} bytes"):
        read_weights(local, "cloth", "v1")


def test_broken_cards_and_pointers(local: LocalStore) -> None:
    publish_made_up(local)
    local.write("models/cloth/champion.json", checked_json.to_bytes({"version": "v1"}))
    with pytest.raises(CorruptObject, match="names no champion"):
        read_champion(local, "cloth")
    for data in (b"{", b"[]"):
        local.write("models/cloth/v1/card.json", data)
        with pytest.raises(CorruptObject, match=r"card\.json"):
            read_card(local, "cloth", "v1")


def test_a_card_that_is_no_json_publishes_nothing(local: LocalStore) -> None:
    for settings in ({"rate": float("nan")}, {"when": {NOW}}):
        with pytest.raises((ValueError, TypeError)):
            publish_made_up(local, method={"settings": settings})
    with pytest.raises(ValueError, match="other weights"):
        publish_model(local, made_up_card(), b"of another")
    assert list(local.list("")) == []


def test_names_that_are_no_versions(local: LocalStore) -> None:
    with pytest.raises(InvalidKey):
        publish_made_up(local, version="../v1")


def test_the_champion_and_its_history(store: Store) -> None:
    for version in ("v1", "v2", "v3"):
        publish_made_up(store, version=version)
    assert read_champion(store, "cloth") is None
    times = [NOW + timedelta(days=day) for day in range(3)]
    for version, when in zip(("v1", "v2", "v3"), times, strict=True):
        champion = promote(store, "cloth", version, by=f"op {version}", now=when)
        assert read_champion(store, "cloth") == champion
    assert champion == Champion(
        "v3",
        times[2],
        "op v3",
        history=(Champion("v2", times[1], "op v2"), Champion("v1", times[0], "op v1")),
    )


def test_promoting_the_champion_changes_nothing(local: LocalStore) -> None:
    publish_made_up(local)
    first = promote(local, "cloth", "v1", by="op", now=NOW)
    before = local.read_with_etag("models/cloth/champion.json")
    assert promote(local, "cloth", "v1", by="other", now=NOW + timedelta(days=1)) == first
    assert local.read_with_etag("models/cloth/champion.json") == before


def test_who_loses_a_promotion_is_told(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("v1", "v2", "v3"):
        publish_made_up(local, version=version)
    found = models._read_pointer

    def overtaken(store: Store, category: str) -> tuple[Champion | None, str | None]:
        seen = found(store, category)
        monkeypatch.undo()
        promote(store, category, rival, by="rival", now=NOW)
        return seen

    for rival in ("v1", "v2"):  # by create, then by compare-and-swap
        monkeypatch.setattr(models, "_read_pointer", overtaken)
        with pytest.raises(Conflict, match="v3 is not in force"):
            promote(local, "cloth", "v3", by="op", now=NOW)
        champion = read_champion(local, "cloth")
        assert champion is not None
        assert champion.version == rival


def test_of_many_promotions_at_once_each_is_in_force_or_told(local: LocalStore) -> None:
    versions = [f"v{i}" for i in range(6)]
    for version in versions:
        publish_made_up(local, version=version)

    def try_it(version: str) -> bool:
        try:
            promote(local, "cloth", version, by="op", now=NOW)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        won = [version for version, did in zip(versions, pool.map(try_it, versions), strict=True) if did]
    champion = read_champion(local, "cloth")
    assert champion is not None
    assert sorted([champion.version, *(earlier.version for earlier in champion.history)]) == won


@pytest.mark.parametrize(("place", "races"), [("local", 100), ("seaweed_s3", 30)])
def test_of_many_races_each_has_one_winner_and_the_others_are_told(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, place: str, races: int
) -> None:
    """Candidates that were compared with the same champion. What is raced for is the pointer, not the weights."""
    monkeypatch.setattr(models, "read_weights", lambda *_: b"")
    where = request.getfixturevalue(place)
    store = open_store(where.uri) if isinstance(where, Bucket) else where
    versions = ["v0", "v1", "v2"]
    for version in versions:
        publish_made_up(store, version=version)

    def compete(version: str, against: str | None) -> Champion | None:
        try:
            return promote(store, "cloth", version, by=f"run of {version}", now=NOW, expected=against)
        except Conflict as e:
            assert version in str(e)
            return None

    in_force: list[str] = []
    with ThreadPoolExecutor(3) as pool:
        for _ in range(races):
            against = in_force[-1] if in_force else None
            contenders = [version for version in versions if version != against]
            outcomes = list(pool.map(compete, contenders, [against] * len(contenders)))
            (winner,) = [won for won in outcomes if won is not None]
            in_force.append(winner.version)
    champion = read_champion(store, "cloth")
    assert champion is not None
    assert [champion.version, *(earlier.version for earlier in champion.history)] == in_force[::-1]


def test_a_candidate_that_was_compared_with_another_champion_is_refused(local: LocalStore) -> None:
    for version in ("v1", "v2", "v3"):
        publish_made_up(local, version=version)
    with pytest.raises(Conflict, match="no model of 'cloth' is in force and not model v1"):
        promote(local, "cloth", "v2", by="gate", now=NOW, expected="v1")
    promote(local, "cloth", "v1", by="gate", now=NOW, expected=None)
    with pytest.raises(Conflict, match="model v1 of 'cloth' is in force and not no model"):
        promote(local, "cloth", "v2", by="gate", now=NOW, expected=None)
    with pytest.raises(Conflict, match="Compare it with the one in force now"):
        promote(local, "cloth", "v3", by="gate", now=NOW, expected="v2")
    won = promote(local, "cloth", "v2", by="gate", now=NOW, expected="v1")
    assert promote(local, "cloth", "v2", by="gate", now=NOW, expected="v1") == won == read_champion(local, "cloth")


def promoted(store: Store, *versions: str) -> None:
    for version in versions:
        if store.info(f"models/cloth/{version}/card.json") is None:
            publish_made_up(store, version=version)
        promote(store, "cloth", version, by="op", now=NOW)


def in_force(store: Store) -> str:
    champion = read_champion(store, "cloth")
    assert champion is not None
    return champion.version


def test_a_rollback_puts_the_champion_before_in_force_and_keeps_the_history(store: Store) -> None:
    promoted(store, "v1", "v2")
    later = NOW + timedelta(hours=1)
    found = rollback(store, "cloth", by="night shift", now=later)
    assert found == read_champion(store, "cloth")
    assert found == Champion(
        "v1", later, "night shift", (Champion("v2", NOW, "op"), Champion("v1", NOW, "op")), rolled_back_from="v2"
    )


def test_rolling_back_again_goes_further_back_and_never_to_what_was_rolled_back_from(local: LocalStore) -> None:
    promoted(local, "v1", "v2", "v3")
    assert rollback(local, "cloth", by="op", now=NOW).version == "v2"
    assert rollback(local, "cloth", by="op", now=NOW).version == "v1"
    with pytest.raises(KeyNotFound, match="v1 is the first champion"):
        rollback(local, "cloth", by="op", now=NOW)
    promoted(local, "v4")
    assert rollback(local, "cloth", by="op", now=NOW).version == "v1"


def test_a_version_that_came_back_by_promotion_has_the_champion_before_it(local: LocalStore) -> None:
    promoted(local, "v1", "v2", "v1", "v3")
    assert rollback(local, "cloth", by="op", now=NOW).version == "v1"
    assert rollback(local, "cloth", by="op", now=NOW).version == "v2"
    assert rollback(local, "cloth", by="op", now=NOW).version == "v1"


def test_a_rollback_to_a_named_champion(local: LocalStore) -> None:
    promoted(local, "v1", "v2", "v3")
    publish_made_up(local, version="v4")
    with pytest.raises(KeyNotFound, match=r"v4 .* was never in force.*Earlier champions: v2, v1\."):
        rollback(local, "cloth", by="op", now=NOW, version="v4")
    first = rollback(local, "cloth", by="op", now=NOW, version="v1")
    assert first.version == in_force(local) == "v1"
    assert rollback(local, "cloth", by="other", now=NOW, version="v1") == first
    assert rollback(local, "cloth", by="op", now=NOW, version="v3").version == "v3"  # taken back after all
    assert rollback(local, "cloth", by="op", now=NOW).version == "v1"


def test_without_an_earlier_champion_there_is_nothing_to_roll_back(local: LocalStore) -> None:
    with pytest.raises(KeyNotFound, match="has no champion"):
        rollback(local, "cloth", by="op", now=NOW)
    promoted(local, "v1")
    with pytest.raises(KeyNotFound, match="none before it"):
        rollback(local, "cloth", by="op", now=NOW)
    with pytest.raises(KeyNotFound, match="Earlier champions: none"):
        rollback(local, "cloth", by="op", now=NOW, version="v0")


def test_who_loses_a_rollback_is_told(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    promoted(local, "v1", "v2")
    publish_made_up(local, version="v3")
    found = models._read_pointer

    def overtaken(store: Store, category: str) -> tuple[Champion | None, str | None]:
        seen = found(store, category)
        monkeypatch.undo()
        promote(store, category, "v3", by="rival", now=NOW)
        return seen

    monkeypatch.setattr(models, "_read_pointer", overtaken)
    with pytest.raises(Conflict, match="v1 is not in force"):
        rollback(local, "cloth", by="op", now=NOW)
    assert in_force(local) == "v3"


@pytest.mark.parametrize("data", [b"", b"weightz", None])
def test_damaged_weights_never_come_into_force(local: LocalStore, data: bytes | None) -> None:
    promoted(local, "v1", "v2")
    publish_made_up(local, version="v3")
    for version in ("v1", "v3"):
        key = f"models/cloth/{version}/weights.safetensors"
        if data is None:
            (local.root / key).unlink()
        else:
            local.write(key, data)
    for attempt in (lambda: promote(local, "cloth", "v3", by="op", now=NOW),
                    lambda: rollback(local, "cloth", by="op", now=NOW)):  # fmt: skip
        with pytest.raises(KeyNotFound if data is None else CorruptObject, match=r"weights\.safetensors"):
            attempt()
    assert in_force(local) == "v2"


def test_a_decision_is_kept_once(store: Store) -> None:
    publish_made_up(store)
    assert read_decision(store, "cloth", "v1") is None
    decision = {"promote": False, "champion": "v0", "checks": [{"name": "AUROC", "low": None}]}
    publish_decision(store, "cloth", "v1", decision)
    publish_decision(store, "cloth", "v1", dict(reversed(decision.items())))
    assert read_decision(store, "cloth", "v1") == decision
    with pytest.raises(AlreadyExists, match="another decision"):
        publish_decision(store, "cloth", "v1", {**decision, "promote": True})
    assert read_decision(store, "cloth", "v1") == decision
    assert models.list_versions(store, "cloth") == ["v1"]


def test_nothing_is_decided_on_a_version_that_is_not_published(local: LocalStore) -> None:
    with pytest.raises(KeyNotFound, match="nothing can be decided on it"):
        publish_decision(local, "cloth", "v1", {"promote": True})
    publish_made_up(local)
    with pytest.raises(ValueError, match="not JSON compliant"):
        publish_decision(local, "cloth", "v1", {"low": float("nan")})
    local.write("models/cloth/v1/decision.json", b"{")
    with pytest.raises(CorruptObject, match=r"decision\.json"):
        read_decision(local, "cloth", "v1")


def shared_card(version: str = "v2", **changes: Any) -> ModelCard:
    card = made_up_card(version=version, **{"threshold": {"value": 3.0}} | changes)
    return replace(card, weights=replace(card.weights, version="v1"))


def test_versions_share_weights_of_which_there_is_one_copy(store: Store) -> None:
    publish_made_up(store)
    publish_made_up(store, version="other", weights=b"others")
    for run, when in (("run-1", NOW), ("run-1", NOW), ("run-2", NOW + timedelta(milliseconds=400))):
        publish_recalibrated(store, shared_card(run_id=run, created_at=when))  # a repetition changes nothing
    assert read_card(store, "cloth", "v2").run_id == "run-1"
    assert [info.key for info in store.list("models/cloth/v2/")] == ["models/cloth/v2/card.json"]
    assert read_weights(store, "cloth", "v2") == b"weights"
    publish_recalibrated(store, shared_card("v3", preprocessing={"view": {"height": 8, "width": 9}}))
    assert models.comparable_versions(store, read_card(store, "cloth", "v2")) == ["v1", "v2"]
    assert models.comparable_versions(store, read_card(store, "cloth", "v3")) == ["v3"]
    promote(store, "cloth", "v1", by="op", now=NOW)
    promote(store, "cloth", "v2", by="op", now=NOW, expected="v1")
    assert rollback(store, "cloth", by="op", now=NOW).version == "v1"
    with pytest.raises(AlreadyExists):
        publish_recalibrated(store, shared_card(software={"torch": "other"}))


def test_a_reference_leads_to_the_version_that_holds_the_weights(local: LocalStore) -> None:
    publish_made_up(local)
    publish_recalibrated(local, shared_card())
    third = shared_card("v3")
    for odd in (
        replace(third, weights=replace(third.weights, version="v2")),  # a chain
        replace(third, weights=replace(third.weights, version=None)),
        replace(third, weights=replace(third.weights, sha256="0" * 64)),
    ):
        with pytest.raises(ValueError, match="does not hold these weights itself"):
            publish_recalibrated(local, odd)
    local.write("models/cloth/v1/weights.safetensors", b"weightz")
    with pytest.raises(CorruptObject, match="models/cloth/v1/weights"):
        publish_recalibrated(local, third)
    with pytest.raises(CorruptObject, match="models/cloth/v1/weights"):
        promote(local, "cloth", "v2", by="op", now=NOW)
