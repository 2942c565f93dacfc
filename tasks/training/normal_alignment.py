"""The median normal that images are aligned to, and the normals seen through it."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from prefect.logging import get_run_logger

from rd_core.calibration.holdout import Split
from rd_core.errors import TooFewNormals
from rd_core.pictures.alignment import AlignmentKind, fit_alignment
from storage.filesystem import Store
from tasks.training.normal_images import NormalImages, read_normal_images
from tasks.worker.preprocessing import ImageFormat


@dataclass(frozen=True)
class _WholeImages:
    """Images in their own size, read when indexed."""

    images: Store
    keys: tuple[str, ...]
    image_format: ImageFormat

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        return self.image_format.decode(self.images.read(self.keys[index]))


def align_normals(
    images: Store, normals: NormalImages, split: Split, image_format: ImageFormat, kind: AlignmentKind
) -> tuple[ImageFormat, NormalImages, Split]:
    """Fit an alignment to the training normals alone: the format with it, the normals seen through it, their split.

    A normal that does not look like the part is left out, as an unreadable one is. Raises NoCommonPart,
    AlignmentUnavailable, and TooFewNormals where that leaves a set of the split empty.
    """
    training = _WholeImages(images, tuple(normals.keys[number] for number in split.train), image_format)
    fitted = fit_alignment(kind, training)
    aligned = replace(image_format, view=replace(image_format.view, align=fitted))
    seen = read_normal_images(images, normals.keys, aligned)
    seen = replace(
        seen,
        duplicates=(*normals.duplicates, *seen.duplicates),
        unreadable=(*normals.unreadable, *seen.unreadable),
        unlabelled=normals.unlabelled,
    )
    numbers = {key: number for number, key in enumerate(seen.keys)}
    sets = ("train", "early_stop", "calibration", "test")
    before = {name: [normals.keys[number] for number in getattr(split, name)] for name in sets}
    after = {name: tuple(numbers[key] for key in keys if key in numbers) for name, keys in before.items()}
    for name in sets:
        if before[name] and not after[name]:
            raise TooFewNormals(
                f"{len(normals.keys) - len(seen.keys)} of {len(normals.keys)} normals do not look like the part, and "
                f"none is left for {name.replace('_', ' ')}, so nothing was trained. {seen.left_out} Label more "
                'normals, or set align = "none".'
            )
    get_run_logger().info(
        "normals aligned kind=%s least_correlation=%.2f used=%d left_out=%d",
        kind, fitted.least_correlation, len(seen.keys), len(normals.keys) - len(seen.keys),
    )  # fmt: skip
    return aligned, seen, Split(**after)
