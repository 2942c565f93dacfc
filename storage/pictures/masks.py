"""Masks of defects as the PNG we write; `storage.images.decode_mask` reads any."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def mask_png(mask: NDArray[np.bool_]) -> bytes:
    """A mask, bool [H, W], as a PNG of one bit a pixel: white where the defect is."""
    out = io.BytesIO()
    Image.fromarray(mask).save(out, "PNG", optimize=True)
    return out.getvalue()
