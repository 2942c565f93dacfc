"""Mirrored normals as additional training images, where parts have no fixed orientation.

Held-out normals decide: mirrored in any way, their cells must lie about as near to those of the training normals as
unmirrored, both on average and at each image's farthest cell.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rd_core.detectors.feature_detector import Features
from rd_core.detectors.reverse_distillation.cell_discriminator import FINE, CellDiscriminator
from rd_core.detectors.reverse_distillation.model import TeacherAndStudent
from rd_core.features.cache import stream_features
from rd_core.features.cells import CellMoments
from rd_core.pictures.counted_pixels import CountedPixels
from rd_core.pictures.images import Images, counted_in, counted_of
from rd_core.pictures.preprocessing import resize

Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Mirroring = Callable[[NDArray[Any]], NDArray[Any]]
MIRRORINGS: tuple[Mirroring, ...] = (
    lambda image: image[:, ::-1],
    lambda image: image[::-1],
    lambda image: image[::-1, ::-1],
)
"""of an image (H, W, 3) or its counted pixels (H, W): left to right, upside down, both"""
MOST_RATIO = 1.15
"""largest ratio of mirrored to unmirrored distances at which mirrored images count as normal (docs/decisions/0019)"""
CELLS, IMAGES = 8_000, 64
"""most cells, about, and most images to compare, of training and of held-out normals each"""


@dataclass(frozen=True)
class WithMirrored:
    """N images followed by mirrored ones: number N + i is image i, mirrored in a way drawn from `seed`."""

    images: Images
    seed: int

    def __len__(self) -> int:
        return 2 * len(self.images)

    def __getitem__(self, index: int) -> Picture:
        there = len(self.images)
        if index < there:
            return self.images[index]
        return _turned(self._way(index), np.asarray(self.images[index - there]))

    def counted(self, index: int) -> Mask | None:
        """See `rd_core.pictures.images.PartlyIgnored.counted`: mirrored with the image."""
        there = len(self.images)
        if index < there:
            return counted_of(self.images, index)
        own = counted_of(self.images, index - there)
        return None if own is None else _turned(self._way(index), own)

    def _way(self, index: int) -> Mirroring:
        return MIRRORINGS[int(np.random.default_rng((self.seed, index)).integers(len(MIRRORINGS)))]


@dataclass(frozen=True)
class _Loaded:
    """Images at the model's size, and what counts of them."""

    images: Sequence[Picture]
    masks: Sequence[Mask | None]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Picture:
        return self.images[index]

    def counted(self, index: int) -> Mask | None:
        return self.masks[index]

    def mirrored(self, way: Mirroring) -> Self:
        masks = [None if mask is None else _turned(way, mask) for mask in self.masks]
        return type(self)([_turned(way, image) for image in self.images], masks)


def may_be_mirrored(model: TeacherAndStudent, train: Images, held_out: Images, seed: int) -> bool:
    """Whether held-out normals lie as near to the training normals mirrored as unmirrored.

    Costs the teacher's pass over some 150 images. The model need not be trained. Raises what fetching an image
    raises.
    """
    known, tested = (_some(images, model, seed) for images in (train, held_out))
    space = CellDiscriminator(model.teacher.channels, FINE, model.settings.whitening_ridge).to(model.device)
    moments = CellMoments(FINE)
    features = list(_features(model, known))
    for some in features:
        moments.add(some.raw, some.counted)
    space.fit(moments)
    cells = torch.cat(_whitened(space, features))

    def distances(images: Images) -> Tensor:
        """Mean distance of cells, and mean of the images' largest: (2,); not a number if no cell counts."""
        whitened = [image for image in _whitened(space, _features(model, images)) if len(image) and len(cells)]
        nearest = [torch.cdist(image, cells).amin(dim=1) for image in whitened]
        largest = torch.tensor([float(own.amax()) for own in nearest])
        return torch.tensor([float(torch.cat([*nearest, cells.new_empty(0)]).mean()), float(largest.mean())])

    unmirrored = distances(tested)
    return all(bool((distances(tested.mirrored(way)) <= MOST_RATIO * unmirrored).all()) for way in MIRRORINGS)


def _some(images: Images, model: TeacherAndStudent, seed: int) -> _Loaded:
    """Random images at the model's size; consecutive ones often show one part."""
    height, width = model.settings.image_height, model.settings.image_width
    count = min(max(2, CELLS * FINE**2 // (height * width)), IMAGES)
    drawn = np.sort(np.random.default_rng(seed).permutation(len(images))[:count]).tolist()
    return _Loaded(
        [resize(np.asarray(images[i]), height, width) for i in drawn], [counted_of(images, i) for i in drawn]
    )


def _turned(way: Mirroring, image: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(way(image))  # torch takes no backward strides


def _features(model: TeacherAndStudent, images: Images) -> Iterator[Features]:
    return (
        model.features(raw, CountedPixels.of(counted_in(images, indices)))
        for indices, raw in stream_features(model, images)
    )


@torch.inference_mode()
def _whitened(space: CellDiscriminator, features: Iterable[Features]) -> list[Tensor]:
    """Whitened cells (cells, channels) of each image that count, from the teacher's maps, some images at a time."""
    by_image: list[Tensor] = []
    for some in features:
        cells = space.whitened(some.raw, some.counted)
        masks = [None] * len(cells) if some.counted is None else some.counted.on_grid(space.side)
        by_image += [own.flatten(0, 1) if mask is None else own[mask] for own, mask in zip(cells, masks, strict=True)]
    return by_image
