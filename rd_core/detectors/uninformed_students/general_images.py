"""The natural images that teachers learn from."""

import hashlib
import io
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from rd_core.errors import ConfigError

MOST = 256
"""images taken, drawn at random from more"""
SIDE = 512
"""pixels a side, of the middle square of each"""


class GeneralImages:
    """Some images of a folder, fetched when indexed: uint8 (SIDE, SIDE, 3)."""

    def __init__(self, folder: Path, files: Sequence[Path], seed: int) -> None:
        """files: below the folder, in a fixed order. Raises ConfigError if fewer than two of those drawn can be
        read."""
        drawn = np.random.default_rng(seed).permutation(len(files))[:MOST]
        digest, self._files = hashlib.sha256(), list[Path]()
        for path in (files[number] for number in sorted(drawn)):
            data = _bytes_of(path)
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(data).digest())
            if _is_readable(data):
                self._files.append(path)
        self.figures: dict[str, Any] = {
            "folder": str(folder),
            "files": len(files),
            "learnt_from": len(self._files),
            "unreadable": len(drawn) - len(self._files),
            "sha256": digest.hexdigest(),
        }
        """JSON values that tell these images from others; the digest is of names and bytes of those drawn"""
        if len(self._files) < 2:
            raise ConfigError(
                f"{len(self._files)} of {len(drawn)} images of general_images = {str(folder)!r} can be read, so no "
                "teacher can learn from them. Correct the folder, or leave the setting out."
            )

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        with Image.open(self._files[index]) as image:
            square = ImageOps.fit(_eight_bits(image).convert("RGB"), (SIDE, SIDE), Image.Resampling.BILINEAR)
        return np.asarray(square)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Greys of more than 8 bits, which PIL would clip at 255, from black to white by the image's own range: files of
    10 to 16 bits name no white. Hot and dead pixels, up to a thousandth, do not set it. Other images as they are."""
    if not image.mode.startswith(("I", "F")):
        return image
    greys = np.nan_to_num(np.asarray(image, np.float32))
    low, high = np.percentile(greys, (0.1, 99.9))
    return Image.fromarray(np.clip((greys - low) * (255 / ((high - low) or 1)), 0, 255).round().astype(np.uint8))


def _bytes_of(path: Path) -> bytes:
    """Empty if they cannot be read, such as those of another user."""
    with suppress(OSError):
        return path.read_bytes()
    return b""


def _is_readable(data: bytes) -> bool:
    """Decodes the whole image: a JPEG that ends too early begins like any other."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return False
    return True
