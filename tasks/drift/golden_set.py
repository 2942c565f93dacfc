"""The golden images of a category: fixed files, scored repeatedly, so that a change of software shows.

Their list is written once.
"""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from storage.errors import AlreadyExists, CorruptObject, KeyNotFound, ObjectDenied
from storage.filesystem import Store
from storage.images import content_digest
from storage.layout import golden_set_key


@dataclass(frozen=True)
class GoldenImage:
    """One golden image, as chosen."""

    key: str
    content_digest: str
    """SHA-256 (hex) of its bytes, because copied stores have other etags"""


def write_golden_set(store: Store, category: str, images: list[GoldenImage], *, now: datetime) -> list[GoldenImage]:
    """Fix the golden images of `category` unless there are some; returns those in force."""
    kept = {
        "category": category,
        "chosen_at": now.astimezone(UTC).isoformat(),
        "images": [asdict(image) for image in images],
    }
    try:
        store.create(golden_set_key(category), (json.dumps(kept, indent=2) + "\n").encode())
    except AlreadyExists:
        return read_golden_set(store, category)
    return images


def digest_of(images: Store, key: str) -> str | None:
    """SHA-256 (hex) of the image's bytes; None if they cannot be read."""
    try:
        return content_digest(images.read(key))
    except (KeyNotFound, ObjectDenied):
        return None


def read_golden_set(store: Store, category: str) -> list[GoldenImage]:
    """The golden images, in order; none if none are chosen. Raises CorruptObject."""
    key = golden_set_key(category)
    try:
        entries = json.loads(store.read(key))["images"]
        return [GoldenImage(str(image["key"]), str(image["content_digest"])) for image in entries]
    except KeyNotFound:
        return []
    except (KeyError, TypeError, ValueError) as e:
        raise CorruptObject(
            f"{store.address(key)} lists no golden images ({e!r}), so a change of software would go unseen. Restore "
            "it from a copy, or remove it to have new ones chosen."
        ) from e
