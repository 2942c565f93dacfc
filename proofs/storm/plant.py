"""The plant of the storm: three categories by three days of tiny images, one a day unreadable, one a day late."""

import io
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image

from proofs.model_cards import publish_made_up
from storage.filesystem import LocalStore, Store
from storage.layout import SETTINGS_KEY, image_key
from storage.models import models
from tasks.worker.preprocessing import PREPROCESSING_VERSION

CATEGORIES = ("cloth", "metal", "wood")
DAYS = tuple(date(2026, 3, 2) + timedelta(days=i) for i in range(3))
IMAGES = 8
"""of one category and day, including the late one"""
BATCH_IMAGES = 4
SIZE = 32
"""pixels a side"""
THRESHOLD, PIXEL_LEVEL, REVIEW_BAND = 2.0, 1.8, (1.7, 2.2)
STRENGTH = {"v1": 1.0, "v2": 0.75}
"""factor of the maps, by model version"""
NOW = datetime(2026, 3, 9, 2, 0, tzinfo=UTC)
UNREADABLE, LATE = "05.png", "late.png"
LATE_CATEGORY, UNREADABLE_CATEGORY = "metal", "cloth"


def all_images() -> dict[str, bytes]:
    """Every image of the plant by key, including late ones."""
    images = {}
    for number, (category, day) in enumerate((c, d) for c in CATEGORIES for d in DAYS):
        late = category == LATE_CATEGORY
        names = [f"{i:02}.png" for i in range(IMAGES - late)] + [LATE] * late
        for i, name in enumerate(names):
            data = _picture(number * IMAGES + i)
            if (category, name) == (UNREADABLE_CATEGORY, UNREADABLE):
                data = data[: len(data) // 2]
            images[image_key(category, day, name)] = data
    return images


def late_keys() -> list[str]:
    return [image_key(LATE_CATEGORY, day, LATE) for day in DAYS]


class Line:
    """The camera: it has written all images except the late ones, which each round adds and removes.

    A late image always has the same etag: in a folder it is the same file, in S3 the same bytes.
    """

    def __init__(self, images: Store, stash: Path) -> None:
        self.images = images
        self._stash = stash
        self._late = {key: data for key, data in all_images().items() if key in late_keys()}
        for key, data in all_images().items():
            if key not in self._late:
                images.write(key, data)
        for key, data in self._late.items():
            (stash / key.replace("/", "_")).write_bytes(data)

    def add_late_images(self) -> None:
        """Add the late images that are missing."""
        for key, data in self._late.items():
            if isinstance(self.images, LocalStore):
                target = self.images.root / key
                if not target.exists():
                    os.link(self._stash / key.replace("/", "_"), target)
            elif self.images.info(key) is None:
                self.images.write(key, data)

    def remove_late_images(self) -> None:
        for key in self._late:
            self.images.remove(key)


def furnish(store: Store) -> None:
    """Write settings and two model versions of each category; the first is the champion."""
    store.write(SETTINGS_KEY, f"[plant]\nbatch_images = {BATCH_IMAGES}\n".encode())
    for category in CATEGORIES:
        for version in STRENGTH:
            weights = f"{category} {version}".encode()
            publish_made_up(
                store,
                category,
                version,
                weights,
                side=SIZE,
                preprocessing={"version": PREPROCESSING_VERSION},
                threshold={"value": THRESHOLD, "low": REVIEW_BAND[0], "high": REVIEW_BAND[1]},
                pixel_threshold={"value": PIXEL_LEVEL},
            )
        promote(store, category, "v1")


def promote(store: Store, category: str, version: str) -> None:
    models.promote(store, category, version, by="storm", now=NOW)


def _picture(seed: int) -> bytes:
    """Noise with a random maximum, so that scores differ."""
    random = np.random.default_rng(seed)
    noise = random.integers(0, 60 + seed % 190, (SIZE, SIZE, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "PNG")
    return out.getvalue()
