"""The models that a recalibration is for, known before anything is started."""

from collections.abc import Sequence

from flows.settings import Settings, SettingsError, nearest
from storage.filesystem import Store, open_store
from storage.models import models
from tasks.recalibration.order import RecalibrateOrder
from tasks.training.ignored import ignored_by, ignored_now
from tasks.worker.preprocessing import why_unusable


def orders_of(
    settings: Settings,
    categories: Sequence[str] | None,
    version: str | None = None,
    alpha: float | None = None,
    *,
    unlabelled: bool = False,
) -> list[RecalibrateOrder]:
    """One order a category, with the champion's version or `version`, and the ignored region in force. SettingsError
    for unknown names, a category without a champion, a model that cannot score here, an impossible rate, and
    unlabelled scores that were computed with another region than the one in force."""
    store = open_store(settings.store, read_only=True)
    known = models.list_model_categories(store)
    if alpha is not None and not 0 < alpha < 1:
        raise SettingsError(f"alpha {alpha:g} is no share between 0 and 1, such as 0.01. Nothing was started.")
    for name in categories or ():
        if name not in known:
            raise SettingsError(
                f"{name!r} has no model in {settings.store}{nearest(name, known)} Nothing was started. Train one: "
                f"rd-inspect train --category {name}"
            )
    chosen = list(dict.fromkeys(categories or (name for name in known if models.has_champion(store, name))))
    if version is not None and len(chosen) != 1:
        raise SettingsError(f"--model {version} needs one --category: versions are named within a category.")
    orders = [_order(settings, store, name, version, alpha) for name in chosen]
    for order in orders if unlabelled else ():
        card = models.read_card(store, order.category, order.version)
        if ignored_by(card) != order.ignore:
            raise SettingsError(
                f"The ignored region of {order.category!r} was changed since {order.version} was made, so the scores "
                "of complete days are not comparable with those of the new region. Nothing was started. Leave out "
                "--unlabelled: then images labelled normal are scored anew. Or train: rd-inspect train --category "
                f"{order.category}"
            )
    return orders


def _order(
    settings: Settings, store: Store, category: str, version: str | None, alpha: float | None
) -> RecalibrateOrder:
    champion = models.read_champion(store, category)
    in_force = champion.version if champion else None
    chosen = version or in_force
    if chosen is None:
        raise SettingsError(
            f"{category!r} has no champion, so there is no threshold to replace. Nothing was started. Name a version "
            f"with --model: {', '.join(models.list_versions(store, category)) or 'none is published'}."
        )
    published = models.list_versions(store, category)
    if chosen not in published:
        raise SettingsError(
            f"{category!r} has no model {chosen!r}{nearest(chosen, published)} Nothing was started. "
            f"See: rd-inspect models --category {category}"
        )
    if why := why_unusable(models.read_card(store, category, chosen)):
        raise SettingsError(f"{why} Nothing was started.")
    own = settings.category(category)
    return RecalibrateOrder(
        category,
        chosen,
        own.alpha if alpha is None else alpha,
        ignore=ignored_now(store, category),
        extrapolate=own.extrapolate,
        expected=in_force,
        review_url=settings.plant.review_url,
    )
