"""Masks of defects as PNG files; `storage.images.decode_mask` reads any format."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def mask_png(mask: NDArray[np.bool_]) -> bytes:
    """A mask, bool [H, W], as a one-bit PNG: white for the defect."""
    out = io.BytesIO()
    Image.fromarray(mask).save(out, "PNG", optimize=True)
    return out.getvalue()
