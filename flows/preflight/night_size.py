"""A rough estimate of a night's work from the store's listing: whether it needs a cluster."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from itertools import islice

from flows.settings import Settings
from rd_core.errors import ConfigError
from rd_core.pictures.image_view import ImageView
from rd_core.pictures.tiling import pixels_seen
from storage.errors import StorageError
from storage.filesystem import open_store
from storage.images import list_images
from storage.models import models
from storage.partitions.seals import read_seal
from storage.records import Partition

SECONDS_A_PIXEL = 0.04 / 256**2
"""seconds of one core to read, score and write a pixel of the networks' input; default teacher"""
WORTH_SECONDS = 6.0
"""seconds of one core: with less work, an embedded cluster costs more than it saves. Its start takes five to six,
over all cores (docs/decisions/0028)"""
_THREADS = 16
"""requests at once"""


def seconds_to_score(images: int, pixels: int) -> float:
    """Estimated seconds of one core. pixels: of an image, see `rd_core.pictures.tiling.pixels_seen`."""
    return images * pixels * SECONDS_A_PIXEL


def seconds_to_come(settings: Settings, day: date, categories: Sequence[str]) -> float:
    """Estimated seconds of one core for the images of `day`; it stops counting once it is much. A complete
    partition counts as no work."""
    with ThreadPoolExecutor(_THREADS) as pool:
        return sum(pool.map(partial(_seconds, settings, day), categories))


def _seconds(settings: Settings, day: date, category: str) -> float:
    store = open_store(settings.store, read_only=True)
    try:
        champion = models.read_champion(store, category)
        if champion is None or read_seal(store, Partition(category, day, champion.version)):
            return 0.0
        card = models.read_card(store, category, champion.version)
        pixels = pixels_seen(ImageView.from_dict(card.preprocessing.view))
        enough = int(WORTH_SECONDS / seconds_to_score(1, pixels)) + 1
        images = list_images(open_store(settings.images, read_only=True), category, day)
        return seconds_to_score(sum(1 for _ in islice(images, enough)), pixels)
    except (StorageError, ConfigError):  # the run reports it
        return 0.0
