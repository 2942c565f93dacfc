"""The present state of a plant: its days, and each category's model, drift, evaluation and retraining."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from datetime import UTC, date, datetime
from functools import partial

from reports.index.plant import UNSEALED, InForce, PlantCategory, PlantDay, PlantIndex
from storage.filesystem import Store
from storage.layout import category_images_prefix, champion_key
from storage.models import models
from tasks.index.newest_comparisons import read_comparisons
from tasks.index.newest_reports import read_drift, read_evaluations, read_retraining
from tasks.index.plant_nights import read_image_days, read_nights
from tasks.index.tolerant_reads import read_all
from tasks.worker.software import software


def gather_plant(
    store: Store,
    images: Store,
    pool: Executor,
    now: datetime,
    night: date | None = None,
    made_every_day: Sequence[str] | None = None,
) -> PlantIndex:
    """The contents of the index page; `night` and `made_every_day` as for `write_index`. Reads run in `pool`. Raises
    StorageError if the store cannot be listed."""
    image_days, closed = read_image_days(images, pool)
    last_nights = read_nights(store, pool, image_days, now)
    inspected = {category.category for night in last_nights.nights for category in night.categories}
    with_models = set(models.list_model_categories(store))
    names = sorted({*inspected, *with_models, *(name for name, days in image_days.items() if days)})
    champions, bad_champions = _champions(store, pool, names)
    sealed = (
        night.day for night in last_nights.nights if any(category.state != UNSEALED for category in night.categories)
    )
    last_night = max(sealed, default=None)
    drift = read_drift(store, pool, names, last_night)
    evaluations = read_evaluations(store, pool, names, last_night)
    retraining = read_retraining(store, pool)
    comparisons, bad_comparisons = read_comparisons(store, pool)
    last = max((*(newest.day for newest in last_nights.nights[:1]), *((night,) if night else ())), default=None)
    able = [champion for champion in champions if made_every_day is None or champion in made_every_day]
    return PlantIndex(
        store_uri=store.uri,
        made_at=now.astimezone(UTC),
        nights=last_nights.nights,
        older_days=last_nights.older_days,
        images_listed=any(image_days.values()),
        last_night=last,
        silent=_silent(
            last_nights.nights,
            image_days,
            last,
            [name for name in able if category_images_prefix(name) not in closed],
        ),
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
        comparisons=comparisons,
        not_assessed=(*drift.not_assessed, *evaluations.not_assessed),
        unreadable=tuple(
            sorted(
                {
                    **closed,
                    **last_nights.unreadable,
                    **bad_champions,
                    **drift.unreadable,
                    **evaluations.unreadable,
                    **bad_comparisons,
                }.items()
            )
        ),
        software=software(),
    )


def _silent(
    nights: Sequence[PlantDay], image_days: Mapping[str, Sequence[date]], last: date | None, names: Sequence[str]
) -> tuple[tuple[str, date | None], ...]:
    """(category, its last day with images) of those without an image on the `last` night."""
    if last is None or not any(image_days.values()):
        return ()
    came = {category.category for night in nights if night.day == last for category in night.categories}
    days = {name: image_days.get(name, ()) for name in names}
    return tuple(
        (name, max(days[name], default=None)) for name in names if name not in came and last not in days[name]
    )


def _champions(store: Store, pool: Executor, names: Iterable[str]) -> tuple[dict[str, InForce], dict[str, str]]:
    """(champion by category, why others are unreadable, by key)."""
    keys = {champion_key(name): name for name in names}
    read, unreadable = read_all(pool, {key: partial(_champion, store, name) for key, name in keys.items()})
    return {keys[key]: champion for key, champion in read.items() if champion is not None}, unreadable


def _champion(store: Store, category: str) -> InForce | None:
    champion = models.read_champion(store, category)
    if champion is None:
        return None
    return InForce(champion.version, champion.since.astimezone(UTC), champion.rolled_back_from)
