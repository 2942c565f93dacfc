"""The page of the normals that a training set aside, and of those that its threshold rests on."""

from collections.abc import Mapping

from reports.training.report import SetAsideReport, render_set_aside_report
from storage.filesystem import Store
from storage.layout import set_aside_key
from storage.models.card import ModelCard
from tasks.reporting.picture_now import picture_now
from tasks.worker.scorer import warm_scorer

MOST_PICTURES = 48


def write_set_aside_report(
    store: Store,
    images: Store,
    card: ModelCard,
    *,
    highest: Mapping[str, str],
    more_suspects: int,
    review_url: str | None,
) -> str:
    """Write the page for a published model; its key. highest: the highest held-out normals, key -> how high."""
    scorer = warm_scorer(store, card.category, card.version)
    chosen = list(card.images.set_aside)[:MOST_PICTURES]
    report = SetAsideReport(
        category=card.category,
        version=card.version,
        run_id=card.run_id,
        store_uri=store.uri,
        made_at=card.created_at,
        normals=len(card.images.seen),
        nobody_looked=bool(card.images.unlabelled),
        set_aside=card.images.set_aside,
        more_suspects=more_suspects,
        highest=highest,
        pictured_highest=tuple(picture_now(images, scorer, key) for key in highest),
        pictured=tuple(picture_now(images, scorer, key) for key in chosen),
        review_url=review_url,
    )
    key = set_aside_key(card.created_at.date(), card.category, card.version)
    store.write(key, render_set_aside_report(report).encode())
    return key
