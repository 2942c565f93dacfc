"""Teacher features of a set of images: cached on disk, or recomputed at every use."""

import hashlib
import tempfile
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rd_core.features.shared_pass import PassFile, SharedPass, seconds_saved
from rd_core.pictures.counted_pixels import CountedPixels
from rd_core.pictures.images import Images, counted_in, digest_of
from rd_core.pictures.preprocessing import resize
from rd_core.pictures.read_ahead import read_ahead

AT_ONCE = 8
"""images in one pass of a training; another number rounds differently and trains another model"""
CacheType = type[np.float16] | type[np.float32]
Passing = Generator[tuple[range, tuple[Tensor, ...]], None, None]
"""index ranges of images, and their features"""


class FeatureMaker(Protocol):
    """A detector on a frozen teacher."""

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) in pixels"""

    @property
    def feature_shapes(self) -> list[tuple[int, int, int]]:
        """(C_k, h_k, w_k) of each map"""

    @property
    def device(self) -> torch.device:
        """Where the maps are"""

    def teacher_features(self, images: Tensor, counted: CountedPixels | None = None) -> tuple[Tensor, ...]:
        """uint8 (B, H, W, 3) -> raw maps float32 (B, C_k, h_k, w_k), zero at ignored positions"""

    def pass_digest(self) -> str:
        """Of all that these maps depend on but the images, see `pass_digest`"""


class FeatureSource(Protocol):
    """Features by image index."""

    def __len__(self) -> int: ...

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        """Raw teacher maps float32 (B, C_k, h_k, w_k) of these images, usable in training; zero at ignored
        positions."""

    def counted(self, indices: Sequence[int]) -> CountedPixels | None:
        """What counts of these images; None: all of each."""


class CachedFeatures:
    """Features in a temporary file, by default in float16, whose rounding is far below the features' noise."""

    def __init__(self, maker: FeatureMaker, images: Images, kind: CacheType = np.float16) -> None:
        """images: of which `put` stores the features; only what counts of them is asked."""
        self._images = images
        self._shapes = maker.feature_shapes
        self._limit = float(np.finfo(kind).max)
        self._sizes = [int(np.prod(shape)) for shape in self._shapes]
        with tempfile.TemporaryFile() as nameless:  # so that a process that is killed leaves none of its gigabytes
            self._rows = np.memmap(nameless, dtype=kind, mode="w+", shape=(len(images), sum(self._sizes)))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        del self._rows

    def __len__(self) -> int:
        return len(self._rows)

    def put(self, start: int, features: tuple[Tensor, ...]) -> None:
        """Store the features of images start, start + 1, ..."""
        flat = torch.cat([f.permute(0, 2, 3, 1).flatten(1) for f in features], dim=1)
        self._rows[start : start + len(flat)] = flat.clamp(-self._limit, self._limit).cpu().numpy()

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        """See `FeatureSource.batch`."""
        parts = torch.from_numpy(self._rows[np.asarray(indices)]).split(self._sizes, dim=1)
        return tuple(
            # Rows are kept channels last: dense after float(), this view has the format the networks run in.
            part.reshape(-1, height, width, channels).float().permute(0, 3, 1, 2)
            for part, (channels, height, width) in zip(parts, self._shapes, strict=True)
        )

    def counted(self, indices: Sequence[int]) -> CountedPixels | None:
        """See `FeatureSource.counted`."""
        return CountedPixels.of(counted_in(self._images, indices))


class StreamedFeatures:
    """Features recomputed at every use: no disk, but a decode and a teacher's pass each time."""

    def __init__(self, maker: FeatureMaker, images: Images, shared: SharedPass | None = None) -> None:
        """shared: of `in_order`."""
        self._maker = maker
        self._images = images
        self._shared = shared

    def __len__(self) -> int:
        return len(self._images)

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        """See `FeatureSource.batch`."""
        features = _features(
            self._maker, list(prefetched(self._images, indices, self._maker.image_size)), self.counted(indices)
        )
        return tuple(f.clone() for f in features)  # out of inference mode, which training cannot use

    def counted(self, indices: Sequence[int]) -> CountedPixels | None:
        """See `FeatureSource.counted`."""
        return CountedPixels.of(counted_in(self._images, indices))

    def in_order(self) -> Passing:
        """See `in_order`; reads ahead."""
        return stream_features(self._maker, self._images, self._shared)


class ChosenFeatures:
    """Some images of a source, numbered anew in the order of `numbers`."""

    def __init__(self, source: FeatureSource, numbers: Sequence[int]) -> None:
        self._source = source
        self._numbers = np.asarray(numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def batch(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        """See `FeatureSource.batch`."""
        return self._source.batch(self._numbers[np.asarray(indices)].tolist())

    def counted(self, indices: Sequence[int]) -> CountedPixels | None:
        """See `FeatureSource.counted`."""
        return self._source.counted(self._numbers[np.asarray(indices)].tolist())


def in_order(source: FeatureSource) -> Passing:
    """All images of a source, AT_ONCE at a time: index ranges and their raw features."""
    if isinstance(source, StreamedFeatures):
        yield from source.in_order()
        return
    for start in range(0, len(source), AT_ONCE):
        indices = range(start, min(start + AT_ONCE, len(source)))
        yield indices, source.batch(indices)


def feature_bytes(maker: FeatureMaker, count: int, kind: CacheType = np.float16) -> int:
    """Bytes on disk of CachedFeatures of `count` images."""
    return np.dtype(kind).itemsize * count * sum(int(np.prod(shape)) for shape in maker.feature_shapes)


def stream_features(maker: FeatureMaker, images: Images, shared: SharedPass | None = None) -> Passing:
    """Pass the images through the teacher once: index ranges and their features.

    shared: where the features are taken from or kept for others, to the bit and in the memory layout that the teacher
    gives them. Other processes may wait until this iterator is exhausted or closed.
    """
    digest, file = digest_of(images), None
    if shared is not None and digest is not None:
        name = hashlib.sha256(f"{maker.pass_digest()} {digest}".encode()).hexdigest()
        file = shared.file(name, feature_bytes(maker, len(images), np.float32))
    if file is None:
        yield from _passed(maker, images)
        return
    with file:
        yield from _read(maker, len(images), file) if file.is_whole else _written(maker, images, file)


def pass_digest(networks: Iterable[nn.Module], maker: FeatureMaker, precision: str, device: torch.device) -> str:
    """SHA-256 (hex) of what the teacher's features depend on but the images: its networks, the images' size, number
    types, and what decides how kernels round."""
    rounding = (precision, device.type, AT_ONCE, torch.__version__, torch.get_num_threads())
    found = hashlib.sha256(repr((maker.image_size, maker.feature_shapes, *rounding)).encode())
    for network in networks:
        for name, tensor in network.state_dict().items():
            found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            found.update(tensor.cpu().contiguous().numpy())
    return found.hexdigest()


def _written(maker: FeatureMaker, images: Images, file: PassFile) -> Passing:
    """The pass, kept in the file: a few images' first maps, channels last, then their second."""
    passed, cost = _passed(maker, images), 0.0
    while True:
        began = time.process_time()
        some = next(passed, None)
        cost += time.process_time() - began  # not what the caller does with them
        if some is None:
            break
        for stage in some[1]:
            file.write(stage.permute(0, 2, 3, 1).cpu().contiguous().numpy().data)
        yield some
    file.keep(cost)


def _read(maker: FeatureMaker, count: int, file: PassFile) -> Passing:
    """What `_written` kept."""
    for start in range(0, count, AT_ONCE):
        indices = range(start, min(start + AT_ONCE, count))
        features = []
        for channels, height, width in maker.feature_shapes:
            values = file.read(4 * len(indices) * channels * height * width)
            stage = torch.frombuffer(values, dtype=torch.float32).reshape(-1, height, width, channels)
            features.append(stage.permute(0, 3, 1, 2).to(maker.device))
        yield indices, tuple(features)
    seconds_saved.set(seconds_saved.get() + file.read_cost())


def _passed(maker: FeatureMaker, images: Images) -> Passing:
    waiting: list[NDArray[np.uint8]] = []
    done = 0
    for image in prefetched(images, range(len(images)), maker.image_size):
        waiting.append(image)
        if len(waiting) == AT_ONCE or done + len(waiting) == len(images):
            indices = range(done, done + len(waiting))
            yield indices, _features(maker, waiting, CountedPixels.of(counted_in(images, indices)))
            done += len(waiting)
            waiting = []


def _features(
    maker: FeatureMaker, images: Sequence[NDArray[np.uint8]], counted: CountedPixels | None
) -> tuple[Tensor, ...]:
    """Features of a few images, at least AT_ONCE in the teacher's pass: an image's do not depend on how many."""
    missing = AT_ONCE - len(images)
    filled = np.stack([*images, *[images[-1]] * missing])
    if counted is not None and missing > 0:
        counted = CountedPixels(torch.cat([counted.pixels, counted.pixels[-1:].expand(missing, -1, -1)]))
    return tuple(f[: len(images)] for f in maker.teacher_features(torch.from_numpy(filled), counted))


def prefetched(images: Images, indices: Sequence[int], size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    """The images with these indices, in order, at a size (height, width), read ahead."""
    height, width = size
    return read_ahead(lambda index: resize(np.asarray(images[index]), height, width), indices, 3 * height * width)
