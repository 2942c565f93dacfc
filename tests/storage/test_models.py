"""The registry: immutable versions, one champion, honest losers."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import pytest

from storage import models
from storage.errors import AlreadyExists, Conflict, CorruptObject, InvalidKey, KeyNotFound
from storage.filesystem import LocalStore, Store, open_store
from storage.models import promote, publish_model, read_card, read_champion, read_weights
from storage.records import Champion
from tests.object_stores import Bucket

NOW = datetime(2026, 11, 22, 2, 1, tzinfo=UTC)
CARD = {"threshold": 1.25, "settings": {"steps": 300}, "name": "Ü"}


@pytest.fixture(params=["local", "seaweed_s3"])
def store(request: pytest.FixtureRequest) -> Store:
    place = request.getfixturevalue(request.param)
    return open_store(place.uri) if isinstance(place, Bucket) else place


def test_a_version_tells_time_and_weights() -> None:
    assert models.new_version(b"abc", NOW) == "20261122T020100Z-ba7816bf"
    elsewhere = NOW.astimezone(timezone(timedelta(hours=9)))
    assert models.new_version(b"abc", elsewhere) == "20261122T020100Z-ba7816bf"


def test_a_model_is_read_as_published(store: Store) -> None:
    publish_model(store, "cloth", "v1", b"weights", CARD)
    digest = hashlib.sha256(b"weights").hexdigest()
    assert read_card(store, "cloth", "v1") == {**CARD, "weights_bytes": 7, "weights_sha256": digest}
    assert read_weights(store, "cloth", "v1") == b"weights"
    assert models.list_versions(store, "cloth") == ["v1"]
    assert models.list_model_categories(store) == ["cloth"]


def test_a_published_version_never_changes(store: Store) -> None:
    publish_model(store, "cloth", "v1", b"weights", CARD)
    for weights, card in ((b"weights", CARD), (b"others", CARD), (b"weights", {})):
        with pytest.raises(AlreadyExists, match="new_version"):
            publish_model(store, "cloth", "v1", weights, card)
    assert read_weights(store, "cloth", "v1") == b"weights"
    assert read_card(store, "cloth", "v1")["threshold"] == 1.25


def test_weights_without_a_card_are_no_version(local: LocalStore) -> None:
    local.write("models/cloth/v1/weights.safetensors", b"half way")
    assert models.list_versions(local, "cloth") == []
    with pytest.raises(KeyNotFound, match="never published"):
        promote(local, "cloth", "v1", by="op", now=NOW)
    with pytest.raises(KeyNotFound):
        read_weights(local, "cloth", "v1")
    with pytest.raises(AlreadyExists):
        publish_model(local, "cloth", "v1", b"of another training", CARD)
    assert local.info("models/cloth/v1/card.json") is None


@pytest.mark.parametrize("data", [b"", b"weightz", b"weights and more"])
def test_weights_that_are_not_the_cards(local: LocalStore, data: bytes) -> None:
    publish_model(local, "cloth", "v1", b"weights", CARD)
    local.write("models/cloth/v1/weights.safetensors", data)
    with pytest.raises(CorruptObject, match=f"has {len(data)} bytes"):
        read_weights(local, "cloth", "v1")


def test_broken_cards_and_pointers(local: LocalStore) -> None:
    publish_model(local, "cloth", "v1", b"weights", CARD)
    local.write("models/cloth/champion.json", b'{"version": "v1"}')
    with pytest.raises(CorruptObject, match="names no champion"):
        read_champion(local, "cloth")
    for data in (b"{", b"[]"):
        local.write("models/cloth/v1/card.json", data)
        with pytest.raises(CorruptObject, match=r"card\.json"):
            read_card(local, "cloth", "v1")


def test_a_card_that_is_no_json_publishes_nothing(local: LocalStore) -> None:
    for card in ({"threshold": float("nan")}, {"when": NOW}):
        with pytest.raises((ValueError, TypeError)):
            publish_model(local, "cloth", "v1", b"weights", card)
    assert list(local.list("")) == []


def test_names_that_are_no_versions(local: LocalStore) -> None:
    with pytest.raises(InvalidKey):
        publish_model(local, "cloth", "../v1", b"weights", CARD)


def test_the_champion_and_its_history(store: Store) -> None:
    for version in ("v1", "v2", "v3"):
        publish_model(store, "cloth", version, b"weights", CARD)
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
    publish_model(local, "cloth", "v1", b"weights", CARD)
    first = promote(local, "cloth", "v1", by="op", now=NOW)
    before = local.read_with_etag("models/cloth/champion.json")
    assert promote(local, "cloth", "v1", by="other", now=NOW + timedelta(days=1)) == first
    assert local.read_with_etag("models/cloth/champion.json") == before


def test_who_loses_a_promotion_is_told(local: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("v1", "v2", "v3"):
        publish_model(local, "cloth", version, b"weights", CARD)
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
        publish_model(local, "cloth", version, b"weights", CARD)

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
