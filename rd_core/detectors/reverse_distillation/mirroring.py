"""Mirrored normals to train on, where the normals themselves show that a part may lie any way round.

Few normals show few of the places where something may be. Where a mirrored image is as normal as the image, it is
one more. Whether it is must be found out: many boards always lie alike, and their mirror images are no boards. So
held-out normals are looked at as they are and mirrored. However mirrored, their cells must lie as near to those of
the training normals, in the mean and where they lie farthest: print that cannot be mirrored may fill one cell.
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
WAYS: tuple[Callable[[Picture], Picture], ...] = (
    lambda image: image[:, ::-1],
    lambda image: image[::-1],
    lambda image: image[::-1, ::-1],
)
"""to mirror an image uint8 (H, W, 3): left to right, upside down, and both"""
FARTHER = 1.15
"""times the distance of the same images unmirrored, up to which mirrored ones are as normal. Of the ways the farthest
measured 1.01 to 1.08 on parts that lie in any way, 1.25 to 1.46 on those that lie alike (docs/decisions/0019)"""
CELLS, IMAGES = 8_000, 64
"""looked at, about and at most, of training normals and of held-out ones: 31 images of 256 pixels"""


@dataclass(frozen=True)
class WithMirrored:
    """The images as they are, then each once more: number N + i is image i mirrored, in a way drawn from `seed`."""

    images: Images
    seed: int

    def __len__(self) -> int:
        return 2 * len(self.images)

    def __getitem__(self, index: int) -> Picture:
        there = len(self.images)
        if index < there:
            return self.images[index]
        way = WAYS[int(np.random.default_rng((self.seed, index)).integers(len(WAYS)))]
        return np.ascontiguousarray(way(np.asarray(self.images[index - there])))  # torch takes no backward strides


def may_be_mirrored(model: TeacherAndStudent, train: Images, held_out: Images, seed: int) -> bool:
    """Whether held-out normals lie as near to the training normals mirrored as they do unmirrored.

    A few images of each tell; what it costs is the teacher's pass over a hundred and fifty or so. The model need not
    be trained. Raises what fetching an image raises.
    """
    known, looked_at = (_some(images, model, seed) for images in (train, held_out))
    space = CellDiscriminator(model.teacher.channels, FINE, model.settings.whitening_ridge).to(model.device)
    moments = CellMoments(FINE)
    features = list(_features(model, known))
    for some in features:
        moments.add(some)
    space.fit(moments)
    cells = _whitened(space, features).flatten(0, 1)

    def distances(images: Images) -> Tensor:
        """(2,): of a cell, and of an image's farthest, in the mean"""
        nearest = torch.stack(
            [torch.cdist(one, cells).amin(dim=1) for one in _whitened(space, _features(model, images))]
        )
        return torch.stack([nearest.mean(), nearest.amax(dim=1).mean()])

    usual = distances(looked_at)
    return all(bool((distances([way(one) for one in looked_at]) <= FARTHER * usual).all()) for way in WAYS)


def _some(images: Images, model: TeacherAndStudent, seed: int) -> list[Picture]:
    """Drawn, for images of one part often follow each other; at the model's size."""
    height, width = model.settings.image_height, model.settings.image_width
    count = min(max(2, CELLS * FINE**2 // (height * width)), IMAGES)
    drawn = np.random.default_rng(seed).permutation(len(images))[:count]
    return [resize(np.asarray(images[int(i)]), height, width) for i in np.sort(drawn)]


def _features(model: TeacherAndStudent, images: Images) -> Iterator[tuple[Tensor, ...]]:
    return (features for _, features in stream_features(model, images))


@torch.inference_mode()
def _whitened(space: CellDiscriminator, features: Iterable[tuple[Tensor, ...]]) -> Tensor:
    """The teacher's maps, some images at a time -> (images, cells, channels)."""
    return torch.cat([space.whitened(some).flatten(1, 2) for some in features])
