"""What the header of an image file tells, without its pixels."""

from typing import BinaryIO

from PIL import Image

from storage.errors import UnreadableImage
from storage.images import FORMATS

_TURNED = (5, 6, 7, 8)
"""EXIF orientations that exchange height and width"""
_ORIENTATION = 0x0112


def displayed_size(file: BinaryIO) -> tuple[int, int]:
    """Height and width of the image as it is shown; only its first bytes are read. UnreadableImage if it is none."""
    try:
        with Image.open(file, formats=FORMATS) as image:
            width, height = image.size
            return (width, height) if image.getexif().get(_ORIENTATION) in _TURNED else (height, width)
    except Exception as e:  # a broken file makes Pillow raise anything
        raise UnreadableImage(f"no image of {', '.join(FORMATS)}, or its header is damaged") from e
