"""How a plant stands now: its nights, and each category's model, drift, evaluation and retraining."""

from collections.abc import Iterable
from concurrent.futures import Executor
from datetime import UTC, datetime
from functools import partial

from reports.index.records import UNSEALED, InForce, PlantCategory, PlantIndex
from storage import models
from storage.filesystem import Store
from storage.layout import champion_key
from tasks.index.newest_reports import read_drift, read_evaluations, read_retraining
from tasks.index.plant_nights import read_image_days, read_nights
from tasks.index.tolerant_reads import read_all
from tasks.software import software


def gather_plant(store: Store, images: Store, pool: Executor, now: datetime) -> PlantIndex:
    """All that the index page tells. Reads run in `pool`. StorageError if the store cannot be listed."""
    image_days = read_image_days(images, pool)
    found = read_nights(store, pool, image_days, now)
    inspected = {one.category for night in found.nights for one in night.categories}
    with_models = set(models.list_model_categories(store))
    names = sorted({*inspected, *with_models, *(name for name, days in image_days.items() if days)})
    champions, bad_champions = _champions(store, pool, names)
    sealed = (night.day for night in found.nights if any(one.state != UNSEALED for one in night.categories))
    last_night = max(sealed, default=None)
    drift = read_drift(store, pool, names, last_night)
    evaluations = read_evaluations(store, pool, names, last_night)
    retraining = read_retraining(store, pool)
    return PlantIndex(
        store_uri=store.uri,
        made_at=now.astimezone(UTC),
        nights=found.nights,
        older_days=found.older_days,
        images_listed=any(image_days.values()),
        categories=tuple(
            PlantCategory(
                category=name,
                champion=champions.get(name),
                champion_damaged=champion_key(name) in bad_champions,
                drift=drift.by_category.get(name),
                evaluation=evaluations.by_category.get(name),
                retraining=retraining.get(name, ()),
            )
            for name in names
        ),
        not_assessed=(*drift.not_assessed, *evaluations.not_assessed),
        unreadable=tuple(
            sorted((found.unreadable | bad_champions | drift.unreadable | evaluations.unreadable).items())
        ),
        software=software(),
    )


def _champions(store: Store, pool: Executor, names: Iterable[str]) -> tuple[dict[str, InForce], dict[str, str]]:
    """(champion by category, why others cannot be read by key)."""
    keys = {champion_key(name): name for name in names}
    read, unreadable = read_all(pool, {key: partial(_champion, store, name) for key, name in keys.items()})
    return {keys[key]: champion for key, champion in read.items() if champion is not None}, unreadable


def _champion(store: Store, category: str) -> InForce | None:
    found = models.read_champion(store, category)
    if found is None:
        return None
    return InForce(found.version, found.since.astimezone(UTC), found.rolled_back_from)
