"""The registry: immutable model versions, their gate decisions, and the champion pointer."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

from storage import layout
from storage.errors import OF_ONE_OBJECT, AlreadyExists, Conflict, CorruptObject, KeyNotFound
from storage.models import card as cards
from storage.models.card import ModelCard, WeightsFile
from storage.records import Champion
from storage.stores import checked_json, json_records
from storage.stores.store import Store


class _Anything(Enum):
    CHAMPION = "whatever is in force"


ANY_CHAMPION: Final = _Anything.CHAMPION
"""the `expected` of promote() that replaces any champion"""


def new_version(content: bytes, now: datetime) -> str:
    """Such as 20261122T020100Z-1a2b3c4d: UTC time and the start of the SHA-256 of the weights, or of what another
    version differs by from the one whose weights it shares."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{hashlib.sha256(content).hexdigest()[:8]}"


def publish_model(store: Store, card: ModelCard, weights: bytes) -> None:
    """Publish the card's version. The card is written last: without it the version does not exist.

    An interrupted call can be repeated. Raises AlreadyExists if the version has a card or other weights, ValueError
    if the card names other weights.
    """
    if WeightsFile.of(weights) != card.weights:  # also one that refers to another version's
        raise ValueError(f"the card of {card.version} names other weights. Make it with WeightsFile.of(weights).")
    card_key, weights_key = (key(card.category, card.version) for key in (layout.card_key, layout.weights_key))
    text = cards.to_bytes(card)
    if store.info(card_key) is not None:
        raise AlreadyExists(
            f"model {card.version} of {card.category!r} is published in {store.uri} and never changes, since scores "
            "name it. Publish under a new version: new_version()."
        )
    try:
        store.create(weights_key, weights)
    except AlreadyExists:
        if WeightsFile.of(store.read(weights_key)) != card.weights:
            raise
    store.create(card_key, text)


def publish_recalibrated(store: Store, card: ModelCard) -> None:
    """Publish a version that shares the weights of `card.weights.version`; only its card is written.

    Repeating it changes nothing, also for another run within the second that names the version: the first card
    stays. Raises AlreadyExists if the version has a card that says something else, ValueError if the named version
    does not hold these weights itself, CorruptObject or KeyNotFound if they are damaged or gone.
    """
    shared, held = replace(card.weights, version=None), None
    if card.weights_version != card.version:
        held = read_card(store, card.category, card.weights_version).weights
    if held != shared:
        raise ValueError(
            f"the card of {card.version} refers to {card.weights.version}, which does not hold these weights itself. "
            "Name the version that does: card.weights_version of the one whose threshold is replaced."
        )
    read_weights(store, card.category, card.weights_version)
    try:
        store.create(layout.card_key(card.category, card.version), cards.to_bytes(card))
    except AlreadyExists:
        first = read_card(store, card.category, card.version)
        if first != replace(card, created_at=first.created_at, run_id=first.run_id):
            raise


def comparable_versions(store: Store, card: ModelCard) -> list[str]:
    """Every published version whose scores are comparable with this card's, oldest first, its own included: those
    with its weights and its view. Cards that cannot be read are ignored."""
    names = store.children(layout.models_prefix(card.category))
    return [name for name in names if _scale(store, card.category, name) == card.score_scale]


def has_weights(store: Store, category: str, version: str, sha256: str) -> bool:
    """Whether the version has the weights of that digest; False if its card cannot be read."""
    try:
        return read_card(store, category, version).weights.sha256 == sha256
    except OF_ONE_OBJECT:
        return False


def _scale(store: Store, category: str, version: str) -> str | None:
    try:
        return read_card(store, category, version).score_scale
    except OF_ONE_OBJECT:  # without a card, or damaged: `rd-inspect verify` tells of it
        return None


def read_card(store: Store, category: str, version: str) -> ModelCard:
    """The model card. Raises KeyNotFound, and CorruptObject, also for another model's card."""
    key = layout.card_key(category, version)
    card = cards.from_bytes(store.read(key), store.address(key))
    if (card.category, card.version) != (category, version):
        raise CorruptObject(
            f"{store.address(key)} is the card of model {card.version} of {card.category!r}, so it says nothing of "
            "this one. Put it back where it belongs, and restore this model's own from a copy."
        )
    return card


def read_weights(store: Store, category: str, version: str) -> bytes:
    """The weights, from the version that holds them, verified against the card. Raises KeyNotFound, CorruptObject."""
    card = read_card(store, category, version)
    promised, key = card.weights, layout.weights_key(category, card.weights_version)
    weights = store.read(key)
    weights_file = replace(WeightsFile.of(weights), version=promised.version)
    if weights_file != promised:
        raise CorruptObject(
            f"{store.address(key)} has {weights_file.size} bytes with SHA-256 {weights_file.sha256}, and the card "
            f"promises {promised.size} with {promised.sha256}: scores would not be this model's. Restore the file, "
            "or promote another version."
        )
    return weights


def publish_decision(store: Store, category: str, version: str, decision: Mapping[str, Any]) -> None:
    """Store the gate's decision on a published version; the same decision again changes nothing.

    `decision`: JSON. Raises KeyNotFound for an unpublished version, AlreadyExists if another decision is stored.
    """
    _refuse_unpublished(store, category, version, "nothing can be decided on it")
    key, data = layout.decision_key(category, version), checked_json.to_bytes(decision)
    try:
        store.create(key, data)
    except AlreadyExists as e:
        if store.read(key) != data:
            raise AlreadyExists(
                f"{store.address(key)} keeps another decision on model {version} of {category!r}; it stays, since "
                "the promotion that followed rests on it. Train a new version and have that judged."
            ) from e


def read_decision(store: Store, category: str, version: str) -> dict[str, Any] | None:
    """The gate's decision on a version; None if it was never judged. Raises CorruptObject."""
    key = layout.decision_key(category, version)
    try:
        return checked_json.from_bytes(store.read(key), store.address(key), "a decision")
    except KeyNotFound:
        return None


def list_versions(store: Store, category: str) -> list[str]:
    """Published versions, oldest first."""
    names = store.children(layout.models_prefix(category))
    return [
        name for name in names if layout.is_plain(name) and store.info(layout.card_key(category, name)) is not None
    ]


def list_model_categories(store: Store) -> list[str]:
    """Categories with models, sorted; other folders are ignored."""
    return [name for name in store.children(f"{layout.MODELS}/") if layout.is_plain(name)]


def has_champion(store: Store, category: str) -> bool:
    """Whether there is a champion pointer, readable or not."""
    return store.info(layout.champion_key(category)) is not None


def read_champion(store: Store, category: str) -> Champion | None:
    """The champion, or None if none was ever promoted."""
    return _read_pointer(store, category)[0]


def champion_card(store: Store, category: str) -> ModelCard | None:
    """The card of the champion, or None if none was ever promoted. Raises KeyNotFound, CorruptObject."""
    champion = read_champion(store, category)
    return None if champion is None else read_card(store, category, champion.version)


def promote(
    store: Store,
    category: str,
    version: str,
    *,
    by: str,
    now: datetime,
    expected: str | _Anything | None = ANY_CHAMPION,
    overruled: str | None = None,
) -> Champion:
    """Put `version` in force; the previous champion becomes the first of its history. Repeating it changes nothing.

    expected: the version that must be in force, None for no champion, because a comparison holds for that one only.
    overruled: the gate's words against the version, kept with the promotion.
    Raises KeyNotFound for an unpublished version, CorruptObject if its weights do not match the card, Conflict if
    another promotion came in between or another champion is in force.
    """
    _refuse_unpublished(store, category, version, "it is not put in force")
    current, etag = _read_pointer(store, category)
    if current is not None and current.version == version:
        return current
    version_now = current.version if current else None
    if expected is not ANY_CHAMPION and version_now != expected:
        raise Conflict(
            f"{_named(version_now)} of {category!r} is in force and not {_named(expected)}, with which {version} was "
            f"compared, so {version} is not put in force. Compare it with the one in force now."
        )
    read_weights(store, category, version)
    champion = Champion(version, now.astimezone(UTC), by, _history_after(current), overruled=overruled)
    return _put_in_force(store, category, champion, etag)


def rollback(store: Store, category: str, *, by: str, now: datetime, version: str | None = None) -> Champion:
    """Put an earlier champion in force again: `version`, or the one before.

    Repeated rollbacks go further back, never to a version that was rolled back from. Raises KeyNotFound without an
    earlier champion or for a version that was never in force; CorruptObject and Conflict as promote().
    """
    current, etag = _read_pointer(store, category)
    if current is None:
        raise KeyNotFound(
            f"{category!r} has no champion in {store.uri}, so there is nothing to roll back. Promote a version: "
            f"{', '.join(list_versions(store, category)) or 'none is published'}."
        )
    if version == current.version:
        return current
    earlier = dict.fromkeys(champion.version for champion in current.history if champion.version != current.version)
    if version is not None and version not in earlier:
        raise KeyNotFound(
            f"model {version} of {category!r} was never in force, so nothing was rolled back. Earlier champions: "
            f"{', '.join(earlier) or 'none'}. A version that was never in force is promoted."
        )
    target = version or _version_before(current, category)
    read_weights(store, category, target)
    champion = Champion(target, now.astimezone(UTC), by, _history_after(current), rolled_back_from=current.version)
    return _put_in_force(store, category, champion, etag)


def version_before(store: Store, category: str) -> str | None:
    """The version that `rollback` without a version would put in force; None without one."""
    current = read_champion(store, category)
    try:
        return None if current is None else _version_before(current, category)
    except KeyNotFound:
        return None


def _history_after(current: Champion | None) -> tuple[Champion, ...]:
    return () if current is None else (replace(current, history=()), *current.history)


def _version_before(current: Champion, category: str) -> str:
    """The previous champion, ignoring versions that were rolled back."""
    standing: list[str] = []
    for champion in reversed(_history_after(current)):
        if champion.rolled_back_from is not None and champion.version in standing:
            while standing.pop() != champion.version:
                pass
        standing.append(champion.version)
    if len(standing) < 2:
        raise KeyNotFound(
            f"{current.version} is the first champion of {category!r} that was not rolled back, so there is none "
            "before it and nothing was rolled back. Name an earlier champion, or promote another version."
        )
    return standing[-2]


def _put_in_force(store: Store, category: str, champion: Champion, etag: str | None) -> Champion:
    """Move the pointer unless it moved since it was read. Raises Conflict."""
    key, data = layout.champion_key(category), checked_json.to_bytes(json_records.to_json(champion))
    try:
        if etag is None:
            store.create(key, data)
        else:
            store.replace(key, data, etag)
    except (AlreadyExists, Conflict) as e:
        raise Conflict(
            f"another model of {category!r} was promoted while {champion.version} was about to be, so "
            f"{champion.version} is not in force. Look at the champion and promote again if it should still be "
            "replaced."
        ) from e
    return champion


def _refuse_unpublished(store: Store, category: str, version: str, consequence: str) -> None:
    if store.info(layout.card_key(category, version)) is None:
        raise KeyNotFound(
            f"model {version} of {category!r} has no card in {store.uri}, so it was never published and "
            f"{consequence}. Published: {', '.join(list_versions(store, category)) or 'none'}."
        )


def _named(version: str | _Anything | None) -> str:
    return f"model {version}" if version else "no model"


def _read_pointer(store: Store, category: str) -> tuple[Champion | None, str | None]:
    key = layout.champion_key(category)
    try:
        data, etag = store.read_with_etag(key)
    except KeyNotFound:
        return None, None
    kept = checked_json.from_bytes(data, store.address(key), "a champion pointer")
    try:
        return json_records.from_json(Champion, kept), etag
    except ValueError as e:
        raise CorruptObject(
            f"{store.address(key)} names no champion ({e}), so nothing can be scored. Remove it and promote again."
        ) from e
