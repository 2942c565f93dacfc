"""Sizes that headers tell are those of decoded images."""

import io

import pytest
from PIL import Image

from storage.images import decode
from storage.pictures.header import size_in_header


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "BMP"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_a_header_tells_the_upright_size(kind: str, orientation: int) -> None:
    image, file = Image.new("RGB", (40, 24)), io.BytesIO()
    exif = Image.Exif()
    exif[274] = orientation
    image.save(file, kind, **({} if kind == "BMP" else {"exif": exif}))
    assert size_in_header(io.BytesIO(file.getvalue())) == decode(file.getvalue()).shape[:2]


@pytest.mark.parametrize("data", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_what_is_no_image_has_no_size(data: bytes) -> None:
    assert size_in_header(io.BytesIO(data)) is None
