"""Folders of pictures as people keep them, a few pixels each."""

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from tests.factories import png

SIDE = 8


def picture(seed: int) -> bytes:
    """One of its own for every seed."""
    return png(seed, (SIDE, SIDE))


def mask(*rows: int, size: tuple[int, int] = (SIDE, SIDE), suffix: str = "PNG") -> bytes:
    """White in these rows."""
    pixels = np.zeros(size, np.uint8)
    pixels[list(rows)] = 255
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, suffix)
    return out.getvalue()


def write_files(root: Path, files: Mapping[str, bytes]) -> Path:
    """The files below `root`, which is returned."""
    for name, data in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root
