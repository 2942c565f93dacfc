"""Masks of defects as files: any image of a defect's place, and the PNG we write."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from storage.images import decode


def mask_pixels(data: bytes) -> NDArray[np.bool_]:
    """bool [H, W] of an image file's bytes: True where it is not black. UnreadableImage as for `decode`."""
    # White from 1 on: a mask of 16 bits that counts its defects from 1 must not be rounded to black.
    return np.asarray(decode(data, white_level=1).any(axis=2))


def mask_png(mask: NDArray[np.bool_]) -> bytes:
    """A mask, bool [H, W], as a PNG of one bit a pixel: white where the defect is."""
    out = io.BytesIO()
    Image.fromarray(mask).save(out, "PNG", optimize=True)
    return out.getvalue()
