"""The registry: immutable model versions, and the pointer to the one in force."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from storage import layout
from storage.errors import AlreadyExists, Conflict, CorruptObject, KeyNotFound
from storage.records import Champion
from storage.store import Store


def new_version(weights: bytes, now: datetime) -> str:
    """Such as 20261122T020100Z-1a2b3c4d: the time in UTC, and the beginning of the weights' SHA-256."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{hashlib.sha256(weights).hexdigest()[:8]}"


def publish_model(store: Store, category: str, version: str, weights: bytes, card: Mapping[str, Any]) -> None:
    """Publish a version, for good. The card comes last: a version without one is not there.

    `card` is JSON; weights_sha256 and weights_bytes are added. Publishing again after a fault in between is
    taken up where it stopped. AlreadyExists if the version has a card, or other weights.
    """
    card_key, weights_key = layout.card_key(category, version), layout.weights_key(category, version)
    digest = hashlib.sha256(weights).hexdigest()
    text = _to_bytes({**card, "weights_sha256": digest, "weights_bytes": len(weights)})
    if store.info(card_key) is not None:
        raise AlreadyExists(
            f"model {version} of {category!r} is published in {store.uri} and never changes, since scores name "
            "it. Publish under a new version: new_version()."
        )
    try:
        store.create(weights_key, weights)
    except AlreadyExists:
        if hashlib.sha256(store.read(weights_key)).hexdigest() != digest:
            raise
    store.create(card_key, text)


def read_card(store: Store, category: str, version: str) -> dict[str, Any]:
    """The model card. KeyNotFound, CorruptObject."""
    key = layout.card_key(category, version)
    return _from_bytes(store.read(key), store.address(key))


def read_weights(store: Store, category: str, version: str) -> bytes:
    """The weights, compared with the card. KeyNotFound, CorruptObject."""
    card = read_card(store, category, version)
    key = layout.weights_key(category, version)
    weights = store.read(key)
    digest = hashlib.sha256(weights).hexdigest()
    if len(weights) != card.get("weights_bytes") or digest != card.get("weights_sha256"):
        raise CorruptObject(
            f"{store.address(key)} has {len(weights)} bytes with SHA-256 {digest}, and the card promises "
            f"{card.get('weights_bytes')} with {card.get('weights_sha256')}: scores would not be this model's. "
            "Restore the file, or promote another version."
        )
    return weights


def list_versions(store: Store, category: str) -> list[str]:
    """Published versions, sorted, which is oldest first."""
    names = store.children(layout.models_prefix(category))
    return [name for name in names if store.info(layout.card_key(category, name)) is not None]


def list_model_categories(store: Store) -> list[str]:
    """Categories that have models, sorted."""
    return store.children(layout.models_root())


def read_champion(store: Store, category: str) -> Champion | None:
    """The version in force, or None if none was ever promoted."""
    return _read_pointer(store, category)[0]


def promote(store: Store, category: str, version: str, *, by: str, now: datetime) -> Champion:
    """Put `version` in force; the one before becomes the first of its history. Again changes nothing.

    KeyNotFound if the version is not published. Conflict if another promotion came in between: who lost must
    look at what is in force now before trying again.
    """
    if store.info(layout.card_key(category, version)) is None:
        raise KeyNotFound(
            f"model {version} of {category!r} has no card in {store.uri}, so it was never published and is not "
            f"put in force. Published: {', '.join(list_versions(store, category)) or 'none'}."
        )
    current, etag = _read_pointer(store, category)
    if current is not None and current.version == version:
        return current
    history = () if current is None else (replace(current, history=()), *current.history)
    champion = Champion(version, now.astimezone(UTC), by, history)
    key, data = layout.champion_key(category), _to_bytes(_champion_to_json(champion))
    try:
        if etag is None:
            store.create(key, data)
        else:
            store.replace(key, data, etag)
    except (AlreadyExists, Conflict) as e:
        raise Conflict(
            f"another model of {category!r} was promoted while {version} was about to be, so {version} is not in "
            "force. Look at the champion and promote again if it should still be replaced."
        ) from e
    return champion


def _read_pointer(store: Store, category: str) -> tuple[Champion | None, str | None]:
    key = layout.champion_key(category)
    try:
        data, etag = store.read_with_etag(key)
    except KeyNotFound:
        return None, None
    kept = _from_bytes(data, store.address(key))
    try:
        history = tuple(_champion(earlier) for earlier in kept["history"])
        return replace(_champion(kept), history=history), etag
    except (KeyError, ValueError, TypeError) as e:
        raise CorruptObject(
            f"{store.address(key)} names no champion ({e!r}), so nothing can be scored. Remove it and promote again."
        ) from e


def _champion(kept: dict[str, Any]) -> Champion:
    return Champion(kept["version"], datetime.fromisoformat(kept["since"]), kept["by"])


def _champion_to_json(champion: Champion) -> dict[str, Any]:
    plain = {"version": champion.version, "since": champion.since.isoformat(), "by": champion.by}
    return {**plain, "history": [_champion_to_json(earlier) for earlier in champion.history]}


def _to_bytes(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, sort_keys=True, indent=2, allow_nan=False) + "\n").encode()


def _from_bytes(data: bytes, address: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError as e:
        raise CorruptObject(f"{address} is not JSON ({e}). Restore it from a copy.") from e
    if not isinstance(value, dict):
        raise CorruptObject(f"{address} is JSON but no object. Restore it from a copy.")
    return value
