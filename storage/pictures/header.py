"""The size of an image from its file's header, without decoding it."""

from typing import BinaryIO

from PIL import ExifTags, Image

from storage.pictures.file_kinds import FORMATS

_TURNED = range(5, 9)
"""EXIF orientations that swap height and width"""


def size_in_header(file: BinaryIO) -> tuple[int, int] | None:
    """(height, width) of the upright image; None for a file that is no image of a kind that is read."""
    try:
        with Image.open(file, formats=FORMATS) as image:
            width, height = image.size
            # Pillow gives the size of a TIFF upright.
            turned = image.format != "TIFF" and image.getexif().get(ExifTags.Base.Orientation) in _TURNED
    except Exception:  # noqa: BLE001  # a broken file makes Pillow raise anything; decoding it tells what is wrong
        return None
    return (width, height) if turned else (height, width)
