"""Deciding anew about sealed scores is refused where none of them are comparable."""

from contextlib import suppress
from datetime import date

from flows.settings import SettingsError
from storage import layout
from storage.day_prefixes import days_below
from storage.errors import OF_ONE_OBJECT
from storage.filesystem import Store
from storage.models import models


def refuse_redecision(store: Store, category: str, version: str | None, first: date, last: date) -> None:
    """SettingsError if days of the category were sealed by versions with the weights of `version`, else the
    champion's, but all of them with another view."""
    with suppress(*OF_ONE_OBJECT):  # of the model's card or pointer: the run itself tells of it
        card = models.read_card(store, category, version) if version else models.champion_card(store, category)
        sealed = _sealed_versions(store, category, first, last) - {card.version if card else ""}
        if card is None or not sealed or sealed & set(models.comparable_versions(store, card)):
            return
        alike = sorted(name for name in sealed if models.has_weights(store, category, name, card.weights.sha256))
        if alike:
            raise SettingsError(
                f"Model {card.version} of {category!r} has the weights of {alike[-1]} but another view of the "
                "images, such as another ignored region, so the scores of complete days are not comparable and "
                "decide nothing anew. Nothing was started. Score the days instead: leave out --redecide."
            )


def _sealed_versions(store: Store, category: str, first: date, last: date) -> set[str]:
    prefixes = days_below(f"{layout.seals_prefix()}run_date=", first, last)
    seals = (layout.seal_partition(info.key) for prefix in prefixes for info in store.list(prefix))
    return {seal[2] for seal in seals if seal and seal[0] == category}
