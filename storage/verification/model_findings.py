"""Verification of models against sealed days and champion pointers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from shlex import quote

from storage import layout
from storage.errors import OF_ONE_OBJECT, KeyNotFound
from storage.findings import Finding
from storage.models import models
from storage.models.card import ModelCard
from storage.stores.store import Store


def model_findings(store: Store, category: str, in_use: Mapping[str, int], *, deep: bool) -> Iterator[Finding]:
    """Whether every published or sealed version of a category has its card and weights, and the champion pointer
    names one. Weights that a card refers to are looked for where they are.

    `in_use`: number of sealed days by version. `deep`: also compares the weights' digest with the card's.
    """
    champion, finding = _champion(store, category)
    if finding:
        yield finding
    versions = {*store.children(layout.models_prefix(category)), *in_use}
    shared = _shared(store, category)
    for version in sorted(versions | ({champion} if champion else set())):
        days, by = in_use.get(version, 0), shared.get(version, [])
        yield from _version(store, category, version, days, by, in_force=version == champion, deep=deep)


def _shared(store: Store, category: str) -> dict[str, list[str]]:
    """By version that holds weights: the other versions whose cards refer to them."""
    shared: dict[str, list[str]] = {}
    for version in sorted(store.children(layout.models_prefix(category))):
        with suppress(*OF_ONE_OBJECT):  # no card, or a finding of its own
            holder = models.read_card(store, category, version).weights_version
            if holder != version:
                shared.setdefault(holder, []).append(version)
    return shared


def _champion(store: Store, category: str) -> tuple[str | None, Finding | None]:
    try:
        champion = models.read_champion(store, category)
    except OF_ONE_OBJECT as e:
        known = models.list_versions(store, category)
        cure = (
            f"Remove it, then: rd-inspect promote --category {quote(category)} "
            f"--version {known[-1] if known else 'VERSION'} --store {quote(store.uri)}"
        )
        where = layout.champion_key(category)
        return None, Finding(f"champion pointer is damaged: {e}", where, "no night of it is scored", cure)
    return (champion.version if champion else None), None


def _version(
    store: Store, category: str, version: str, days: int, shared: Sequence[str], *, in_force: bool, deep: bool
) -> Iterator[Finding]:
    named = f"{days} complete days name it" if days else "no complete day names it"
    if shared:
        named += f"; {', '.join(shared)} score with its weights"
    consequence = f"{named}; " + ("it is in force: no night of it is scored" if in_force else "it cannot score again")
    until = f" Until then: {_instead(store, category)}" if in_force else ""
    card_key = layout.card_key(category, version)
    try:
        card = models.read_card(store, category, version)
    except KeyNotFound:
        if days or in_force or shared:
            yield Finding("model card is missing", card_key, consequence, f"Restore it from a copy.{until}")
        else:
            cure = "Train again; the folder may be removed."
            where = layout.weights_key(category, version)
            yield Finding("weights without a card", where, "their training ended too early", cure, wrong=False)
        return
    except OF_ONE_OBJECT as e:
        yield Finding(f"model card is damaged: {e}", card_key, consequence, f"Restore it from a copy.{until}")
        return
    try:
        models.read_decision(store, category, version)
    except OF_ONE_OBJECT as e:
        lost = "the reason for or against its promotion cannot be trusted; scores are intact"
        where = layout.decision_key(category, version)
        yield Finding(f"decision is damaged: {e}", where, lost, "Restore it from a copy, or remove it.")
    why = _why_weights_are_wrong(store, card, deep=deep)
    if why:
        until = f" Until then: {_instead(store, category, card)}" if in_force else ""
        cure = f"Restore the file of SHA-256 {card.weights.sha256} from a copy.{until}"
        of = "" if card.weights_version == version else f" of {version}"
        where = layout.weights_key(category, card.weights_version)
        yield Finding(f"weights{of} are damaged: {why}", where, consequence, cure)


def _instead(store: Store, category: str, without: ModelCard | None = None) -> str:
    """The command that puts another version in force; one with other weights than `without`."""
    where = f"--category {quote(category)} --store {quote(store.uri)}"
    before = models.version_before(store, category)
    if before is None or (without and models.has_weights(store, category, before, without.weights.sha256)):
        return f"rd-inspect train --promote {where}"
    return f"rd-inspect rollback {where}"


def _why_weights_are_wrong(store: Store, card: ModelCard, *, deep: bool) -> str | None:
    info = store.info(layout.weights_key(card.category, card.weights_version))
    if info is None:
        return "they are missing"
    if info.size != card.weights.size:
        return f"{info.size} bytes, and the card promises {card.weights.size}"
    if deep:
        try:
            models.read_weights(store, card.category, card.version)
        except OF_ONE_OBJECT as e:
            return str(e)
    return None
