"""The facts in an image file's header, without its pixels."""

from typing import BinaryIO

from PIL import Image

from storage.errors import UnreadableImage
from storage.pictures.file_kinds import FORMATS, kind_of

_TURNED = (5, 6, 7, 8)
"""EXIF orientations that swap height and width"""
_ORIENTATION = 0x0112
_SAMPLE = 8192
"""bytes needed to recognise other files"""


def displayed_size(file: BinaryIO) -> tuple[int, int]:
    """Height and width of the upright image, from its first bytes. Raises UnreadableImage with one wording for each
    kind of file."""
    try:
        with Image.open(file, formats=FORMATS) as image:
            width, height = image.size
            return (width, height) if image.getexif().get(_ORIENTATION) in _TURNED else (height, width)
    except Exception as e:  # a broken file makes Pillow raise anything
        file.seek(0)
        kind = kind_of(file.read(_SAMPLE))
        raise UnreadableImage(f"no images, but {kind}" if kind else "no images, or their headers are damaged") from e
