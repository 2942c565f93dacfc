"""Mirrored normals as additional training images, where parts have no fixed orientation.

Held-out normals decide: mirrored in any way, their cells must lie about as near to those of the training normals as
unmirrored, both on average and at each image's farthest cell.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rd_core.detectors.reverse_distillation.cell_discriminator import FINE, CellDiscriminator
from rd_core.detectors.reverse_distillation.model import TeacherAndStudent
from rd_core.features.cache import stream_features
from rd_core.features.cells import CellMoments
from rd_core.pictures.images import Images
from rd_core.pictures.preprocessing import resize

Picture = NDArray[np.uint8]
MIRRORINGS: tuple[Callable[[Picture], Picture], ...] = (
    lambda image: image[:, ::-1],
    lambda image: image[::-1],
    lambda image: image[::-1, ::-1],
)
"""of an image uint8 (H, W, 3): left to right, upside down, both"""
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
        way = MIRRORINGS[int(np.random.default_rng((self.seed, index)).integers(len(MIRRORINGS)))]
        return np.ascontiguousarray(way(np.asarray(self.images[index - there])))  # torch takes no backward strides


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
        moments.add(some)
    space.fit(moments)
    cells = _whitened(space, features).flatten(0, 1)

    def distances(images: Images) -> Tensor:
        """Mean distance of cells, and mean of the images' largest: (2,)."""
        nearest = torch.stack(
            [torch.cdist(image, cells).amin(dim=1) for image in _whitened(space, _features(model, images))]
        )
        return torch.stack([nearest.mean(), nearest.amax(dim=1).mean()])

    unmirrored = distances(tested)
    return all(
        bool((distances([way(image) for image in tested]) <= MOST_RATIO * unmirrored).all()) for way in MIRRORINGS
    )


def _some(images: Images, model: TeacherAndStudent, seed: int) -> list[Picture]:
    """Random images at the model's size; consecutive ones often show one part."""
    height, width = model.settings.image_height, model.settings.image_width
    count = min(max(2, CELLS * FINE**2 // (height * width)), IMAGES)
    drawn = np.random.default_rng(seed).permutation(len(images))[:count]
    return [resize(np.asarray(images[int(i)]), height, width) for i in np.sort(drawn)]


def _features(model: TeacherAndStudent, images: Images) -> Iterator[tuple[Tensor, ...]]:
    return (features for _, features in stream_features(model, images))


@torch.inference_mode()
def _whitened(space: CellDiscriminator, features: Iterable[tuple[Tensor, ...]]) -> Tensor:
    """Whitened cells (images, cells, channels) from the teacher's maps, some images at a time."""
    return torch.cat([space.whitened(some).flatten(1, 2) for some in features])
