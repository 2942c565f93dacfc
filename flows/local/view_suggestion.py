"""Views suggested from a category's images and labels, in this process."""

from flows.settings import Settings
from storage.filesystem import open_store
from storage.labels.labels import list_label_categories
from storage.models import models
from storage.models.card import ModelCard
from tasks.training.fit_model import NoNormals
from tasks.training.suggest_view import SuggestedView, suggest_view
from tasks.worker.preprocessing import ImageFormat


def suggested_view(settings: Settings, category: str) -> tuple[SuggestedView, ModelCard | None]:
    """The suggestion, and the card of the champion. Raises NoNormals."""
    store, images = open_store(settings.store, read_only=True), open_store(settings.images, read_only=True)
    chosen = settings.category(category)
    image_format = ImageFormat(chosen.view, chosen.white_level, chosen.max_pixels, chosen.black_level)
    found = suggest_view(store, images, category, image_format, settings.detector(category))
    if found is None:
        raise NoNormals(
            f"Category {category!r} has no readable image labelled normal in {settings.store}, so no view can be "
            f"suggested. Label some: rd-inspect import FOLDER --category {category} --run-date DATE"
        )
    champion = models.read_champion(store, category)
    return found, models.read_card(store, category, champion.version) if champion else None


def labelled_categories(settings: Settings) -> list[str]:
    """Those with labels."""
    return list_label_categories(open_store(settings.store, read_only=True))
