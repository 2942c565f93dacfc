"""The model that scores a user's files, the champion or a named version, and its engine."""

from typing import TYPE_CHECKING

from flows.settings import Settings, SettingsError, nearest
from rd_core.engines.choice import AUTO, TORCH, engine_here
from storage.errors import KeyNotFound
from storage.filesystem import Store
from storage.models import models

if TYPE_CHECKING:
    from tasks.scoring.file_scores import ReadyModel


def ready_model(store: Store, settings: Settings, category: str, version: str) -> "ReadyModel":
    """`version` of `category`, loaded on the engine of the settings, else of its card, as at the start of a night.

    Raises the errors of `tasks.worker.scorer.warm_scorer`.
    """
    from rd_core.kernels.precision import default_device  # noqa: PLC0415  # imports torch, once the model is known
    from tasks.scoring.file_scores import ReadyModel  # noqa: PLC0415  # imports torch, once the model is known
    from tasks.worker.scorer import warm_scorer  # noqa: PLC0415  # imports torch, once the model is known

    library = settings.category(category).engine if default_device().type == "cpu" else TORCH
    if library == AUTO:
        library = models.read_card(store, category, version).engine.library
    return ReadyModel(category, version, warm_scorer(store, category, version, engine_here(library)))


def chosen_version(store: Store, category: str, version: str | None) -> str:
    """`version` if it is published, the champion if it is None.

    Raises SettingsError for an unknown name, with the nearest known one; KeyNotFound if there is no champion.
    """
    known = models.list_model_categories(store)
    if category not in known:
        there = f" There are models of {', '.join(known)}." if known else ""
        raise SettingsError(
            f"There is no model of {category!r} in {store.uri}{nearest(category, known)}{there} Nothing was scored. "
            f"Name another with --category, or train one: rd-inspect train --category {category} --store {store.uri}"
        )
    if version is None:
        champion = models.read_champion(store, category)
        if champion is None:
            raise KeyNotFound(
                f"No model of {category!r} is in force in {store.uri}, so nothing was scored. Name a version with "
                f"--model ({', '.join(models.list_versions(store, category)) or 'none is published'}), or put one in "
                f"force: rd-inspect promote --help"
            )
        return champion.version
    published = models.list_versions(store, category)
    if version not in published:
        raise SettingsError(
            f"There is no model {version!r} of {category!r} in {store.uri}{nearest(version, published)} Nothing was "
            f"scored. Published: {', '.join(published) or 'none'}."
        )
    return version
