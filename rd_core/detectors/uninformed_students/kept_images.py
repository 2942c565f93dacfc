"""Images of one size, kept in a temporary file: a fit sees each many times, and decodes it once."""

import tempfile
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from rd_core.pictures.counted_pixels import CountedPixels
from rd_core.pictures.images import Images, counted_in, counted_of
from rd_core.pictures.preprocessing import resize
from rd_core.pictures.read_ahead import read_ahead

FILL = 128
"""grey level of ignored pixels: what they show reaches no network"""


class KeptImages:
    """Pixels of images resized to one size, grey where ignored."""

    def __init__(self, images: Images, size: tuple[int, int], bytes_at_most: int, told: Callable[[], None]) -> None:
        """Read all images now if they fit in so many bytes of disk, otherwise each at every use. told: called once an
        image."""
        self._images, self._size = images, size
        self._rows: NDArray[np.uint8] | None = None
        if 3 * size[0] * size[1] * len(images) > bytes_at_most:
            for _ in range(len(images)):
                told()
            return
        with tempfile.TemporaryFile() as nameless:  # so that a process that is killed leaves none
            rows = np.memmap(nameless, dtype=np.uint8, mode="w+", shape=(len(images), *size, 3))
        for number, image in enumerate(self._read(range(len(images)))):
            rows[number] = image
            told()
        self._rows = rows

    def __len__(self) -> int:
        return len(self._images)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self._size

    def pixels(self, numbers: Sequence[int]) -> NDArray[np.uint8]:
        """uint8 (B, H, W, 3) of these images."""
        return np.stack([*self._read(numbers)]) if self._rows is None else np.array(self._rows[np.asarray(numbers)])

    def counted(self, numbers: Sequence[int]) -> CountedPixels | None:
        """What counts of these images; None: all of each."""
        return CountedPixels.of(counted_in(self._images, numbers))

    def _read(self, numbers: Sequence[int]) -> Iterator[NDArray[np.uint8]]:
        height, width = self._size

        def read(number: int) -> NDArray[np.uint8]:
            image, counted = resize(np.asarray(self._images[number]), height, width), counted_of(self._images, number)
            return image if counted is None else np.where(counted[..., None], image, np.uint8(FILL))

        return read_ahead(read, numbers, 3 * height * width)
