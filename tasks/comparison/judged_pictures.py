"""The judged images of a comparison as models see them, with the defects drawn into some."""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rd_core.pictures.image_view import ImageView
from rd_core.pictures.synthetic_defects import with_synthetic_defect
from storage.comparisons.plan import PlannedImage
from storage.filesystem import Store
from tasks.reporting.kept_result import bytes_there
from tasks.reporting.labelled_pixels import Uncountable, counted_defect
from tasks.worker.picture_reader import LoadedPicture, read_picture
from tasks.worker.preprocessing import ImageFormat


class ImagesChanged(Exception):
    """Images are not those that the comparison was planned for."""


@dataclass(frozen=True, eq=False)
class JudgedPicture:
    """A judged image."""

    picture: LoadedPicture
    """readable; with its drawn defect"""
    defect: NDArray[np.bool_] | None
    """counted defect pixels, bool (H, W) of the view; None without a mask"""

    @property
    def counted(self) -> NDArray[np.bool_] | None:
        return self.picture.counted


def read_judged(store: Store, images: Store, image_format: ImageFormat, image: PlannedImage) -> JudgedPicture:
    """Raises ImagesChanged, and faults of the store."""
    picture = _as_planned(images, image_format, image.image_key, image.digest)
    if image.donor is not None:
        return drawn(picture, read_picture(images, image_format, image.donor), image.name)
    if image.mask_key is None:
        return JudgedPicture(picture, None)
    if bytes_there(store, image.mask_key) != image.mask_digest:
        raise ImagesChanged(f"{image.mask_key} is another mask now. {_again('mask')}")
    try:
        return JudgedPicture(picture, labelled_defect(store, image.mask_key, picture, image_format.view))
    except Uncountable as e:
        raise ImagesChanged(f"{e} {_again('mask')}") from e


def labelled_defect(store: Store, mask_key: str, picture: LoadedPicture, view: ImageView) -> NDArray[np.bool_]:
    """Counted defect pixels, bool (H, W) of the view. Raises Uncountable."""
    size = picture.size or view.size
    return counted_defect(store, mask_key, size, view, view.size, "anomalous", picture.offset)


def drawn(picture: LoadedPicture, donor: LoadedPicture, name: str) -> JudgedPicture:
    """The picture with a defect, always the same for a name. Raises ImagesChanged without a readable donor."""
    if picture.pixels is None or donor.pixels is None:
        raise ImagesChanged(f"{name} cannot be drawn: {picture.error or donor.error}. {_again('image')}")
    seed = int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8], "big")
    counted = picture.counted, donor.counted
    pixels, mask = with_synthetic_defect(picture.pixels, donor.pixels, np.random.default_rng(seed), counted)
    return JudgedPicture(replace(picture, pixels=pixels), mask)


def _as_planned(images: Store, image_format: ImageFormat, key: str, digest: str) -> LoadedPicture:
    picture = read_picture(images, image_format, key)
    if picture.pixels is None or picture.digest != digest:
        raise ImagesChanged(f"{key} is {picture.error or 'another image now'}. {_again('image')}")
    return picture


def _again(what: str) -> str:
    return f"The {what} changed since the comparison was planned, so its figures would not compare. Compare again."
