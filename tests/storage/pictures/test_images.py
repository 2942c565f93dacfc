"""Images of every format and mode, broken ones, and where they are found."""

import io
import random
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from storage import images
from storage.errors import UnreadableImage
from storage.filesystem import LocalStore, open_store
from storage.images import decode
from tests.object_stores import Bucket

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (12, 16, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (12, 16), dtype=np.uint8)
RAMP = np.linspace(0, 65535, 192).astype(np.uint16).reshape(12, 16)


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def grey3(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[:, :, None], 3, axis=2)


@pytest.mark.parametrize(
    ("format", "options"),
    [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("WEBP", {"lossless": True})],
)
def test_lossless_formats_keep_every_value(format: str, options: dict) -> None:
    pixels = decode(encoded(Image.fromarray(COLOURS), format, **options))
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable
    np.testing.assert_array_equal(pixels, COLOURS)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_jpeg_modes_are_near_the_original(mode: str) -> None:
    flat = np.full((16, 16, 3), (200, 60, 30), np.uint8)
    original = Image.fromarray(flat).convert(mode)
    found = decode(encoded(original, "JPEG", quality=95)).astype(int)
    assert np.abs(found - np.asarray(original.convert("RGB")).astype(int)).max() <= 4


def test_tiff_in_ycbcr_and_cmyk() -> None:
    flat = Image.fromarray(np.full((16, 16, 3), (200, 60, 30), np.uint8))
    for mode in ("YCbCr", "CMYK"):
        found = decode(encoded(flat.convert(mode), "TIFF")).astype(int)
        assert np.abs(found - (200, 60, 30)).max() <= 3


def test_grey_is_the_same_in_all_channels() -> None:
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(GREY))), grey3(GREY))


def test_black_and_white() -> None:
    bits = Image.fromarray(GREY > 127)
    assert bits.mode == "1"
    np.testing.assert_array_equal(decode(encoded(bits)), grey3((GREY > 127).astype(np.uint8) * 255))


def test_palette() -> None:
    palette = Image.fromarray(COLOURS).quantize(16)
    np.testing.assert_array_equal(decode(encoded(palette)), np.asarray(palette.convert("RGB")))


def test_transparent_pixels_are_black_whatever_hides_beneath() -> None:
    rgba = np.dstack([COLOURS, np.full((12, 16), 255, np.uint8)])
    rgba[:6, :, 3] = 0
    rgba[6, :, 3] = 128
    found = decode(encoded(Image.fromarray(rgba)))
    assert (found[:6] == 0).all()
    np.testing.assert_allclose(found[6], COLOURS[6] * (128 / 255), atol=1)
    np.testing.assert_array_equal(found[7:], COLOURS[7:])


def test_transparency_of_grey_palette_and_colour_key() -> None:
    alpha = np.full((12, 16), 255, np.uint8)
    alpha[0] = 0
    grey = decode(encoded(Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(alpha)])))
    assert (grey[0] == 0).all()
    np.testing.assert_array_equal(grey[1:], grey3(GREY)[1:])

    palette = Image.fromarray(COLOURS).quantize(8)
    found = decode(encoded(palette, transparency=3))
    np.testing.assert_array_equal(found[np.asarray(palette) == 3], 0)
    np.testing.assert_array_equal(
        found[np.asarray(palette) != 3], np.asarray(palette.convert("RGB"))[np.asarray(palette) != 3]
    )

    flat = np.full((4, 4, 3), 200, np.uint8)
    flat[0] = 90
    assert decode(encoded(Image.fromarray(flat), transparency=(200, 200, 200)))[:, 0, 0].tolist() == [90, 0, 0, 0]


@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_16_bit_grey_in_both_byte_orders(byte_order: str) -> None:
    expected = np.rint(RAMP / 257).astype(np.uint8)
    np.testing.assert_array_equal(decode(tiff16(RAMP, byte_order)), grey3(expected))


def test_16_bit_png_of_a_12_bit_camera() -> None:
    values = np.array([[0, 1, 2047, 4095, 4096, 65535]], np.uint16)
    data = encoded(Image.fromarray(values))
    assert decode(data, white_level=4095)[0, :, 0].tolist() == [0, 0, 127, 255, 255, 255]
    assert decode(data)[0, :, 0].tolist() == [0, 0, 8, 16, 16, 255]
    with pytest.raises(UnreadableImage, match=r"brightest value is 4095 of 65535.*white_level \(4095 of 12 bits\)"):
        decode(encoded(Image.fromarray(values[:, :4])))


def test_32_bit_integers_and_floats() -> None:
    whole = np.array([[-5, 0, 2000, 4000, 100_000]], np.int32)
    found = decode(encoded(Image.fromarray(whole), "TIFF"), white_level=4000, black_level=0)
    assert found[0, :, 2].tolist() == [0, 0, 128, 255, 255]
    real = np.array([[-1.0, 0.25, 0.5, 1.0, 7.0]], np.float32)
    found = decode(encoded(Image.fromarray(real), "TIFF"), white_level=1, black_level=0)
    assert found[0, :, 0].tolist() == [0, 64, 128, 255, 255]
    for bad in (np.nan, np.inf):
        real[0, 0] = bad
        with pytest.raises(UnreadableImage, match="not finite"):
            decode(encoded(Image.fromarray(real), "TIFF"))


def test_16_bit_colour_is_not_scaled_wrongly() -> None:
    data = png16_colour()
    assert decode(data).tolist() == [[[128, 255, 0]]]
    with pytest.raises(UnreadableImage, match=r"16-bit colour.*white_level 4095"):
        decode(data, white_level=4095)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_orientation_of_the_camera_is_applied(format: str) -> None:
    upright = np.zeros((32, 48, 3), np.uint8)
    upright[:8] = 250  # a bright upper edge
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    found = decode(encoded(Image.fromarray(np.rot90(upright)), format, exif=exif))
    assert found.shape == (32, 48, 3)
    assert found[:6].mean() > 200
    assert found[10:].mean() < 50


def test_the_first_frame_of_several() -> None:
    frames = [Image.fromarray(np.full((8, 8, 3), v, np.uint8)) for v in (10, 200)]
    for format, options in (("TIFF", {}), ("PNG", {}), ("WEBP", {"lossless": True})):
        data = encoded(frames[0], format, save_all=True, append_images=frames[1:], **options)
        assert (decode(data) == 10).all()


@pytest.mark.parametrize("format", ["GIF", "ICO", "PPM", "TGA", "PCX"])
def test_other_formats_are_refused(format: str) -> None:
    with pytest.raises(UnreadableImage, match="PNG, JPEG, BMP, TIFF or WebP"):
        decode(encoded(Image.fromarray(COLOURS), format))


def test_an_empty_file() -> None:
    with pytest.raises(UnreadableImage, match="empty"):
        decode(b"")


@pytest.mark.parametrize("data", [b"\x00", b"hello, world", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", bytes(1000)])
def test_what_is_no_image(data: bytes) -> None:
    with pytest.raises(UnreadableImage):
        decode(data)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
def test_a_file_that_is_cut_off(format: str) -> None:
    data = encoded(Image.fromarray(RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)), format)
    for share in (0.02, 0.3, 0.6, 0.9):
        with pytest.raises(UnreadableImage, match=r"cut off|header is damaged"):
            decode(data[: int(len(data) * share)])


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
def test_random_damage_is_an_image_or_an_unreadable_image(format: str) -> None:
    data = encoded(Image.fromarray(COLOURS), format)
    dice = random.Random(1)
    for _ in range(150):
        broken = bytearray(data)
        for _ in range(dice.randint(1, 6)):
            broken[dice.randrange(len(broken))] = dice.randrange(256)
        try:
            pixels = decode(bytes(broken), max_pixels=1_000_000)
        except UnreadableImage as e:
            assert str(e)
        else:
            assert pixels.dtype == np.uint8
            assert pixels.shape[2] == 3


def test_too_many_pixels_are_refused_by_the_header() -> None:
    for width, height in ((20_000, 10_000), (60_000, 60_000), (11_000, 10_000)):
        with pytest.raises(UnreadableImage, match="pixels"):
            decode(png_header(width, height))
    with pytest.raises(UnreadableImage, match=r"16 x 12 pixels are more than the 191 allowed"):
        decode(encoded(Image.fromarray(COLOURS)), max_pixels=191)
    assert decode(encoded(Image.fromarray(COLOURS)), max_pixels=192).shape == (12, 16, 3)


def test_a_white_level_of_nothing() -> None:
    with pytest.raises(ValueError, match="white_level 0"):
        decode(encoded(Image.fromarray(GREY)), white_level=0)


WARNS = encoded(
    Image.fromarray(COLOURS), "JPEG", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x05\x00\x12\x01\x03\x00\x01"
)


def test_bent_metadata_neither_warns_nor_spoils_the_image() -> None:
    with warnings.catch_warnings(record=True) as raised:
        warnings.simplefilter("error")
        before = list(warnings.filters)
        assert decode(WARNS).shape == (12, 16, 3)
        assert warnings.filters == before
    assert not raised


def test_nothing_is_printed_in_a_plain_process() -> None:
    code = "import sys; from storage.images import decode; decode(sys.stdin.buffer.read())"
    done = subprocess.run([sys.executable, "-c", code], input=WARNS, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")


def test_many_threads_decode_at_once() -> None:
    sources = [RNG.integers(0, 256, (40, 50, 3), dtype=np.uint8) for _ in range(8)]
    files = [encoded(Image.fromarray(each)) for each in sources]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: decode(WARNS) if i % 3 == 0 else decode(files[i % 8]), range(240)))
    for i, pixels in enumerate(found):
        if i % 3:
            np.testing.assert_array_equal(pixels, sources[i % 8])


def test_the_digest_is_of_the_bytes() -> None:
    assert images.content_digest(b"abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_where_images_are_found(local: LocalStore) -> None:
    for key in (
        "images/cloth/2026-03-02/b.png",
        "images/cloth/2026-03-02/a/c.png",
        "images/cloth/2026-03-02/notes.txt",
        "images/cloth/2026-03-01/a.png",
        "images/cloth/yesterday/a.png",
        "images/cloth/20260303/a.png",
        "images/metal/2026-03-02/a.png",
        "images/my cloth/2026-03-02/a.png",
        "labels/wood/x.csv",
    ):
        local.write(key, b"1")
    day = date(2026, 3, 2)
    assert images.list_categories(local) == ["cloth", "metal"]
    assert images.list_run_dates(local, "cloth") == [date(2026, 3, 1), day]
    assert [info.key for info in images.list_images(local, "cloth", day)] == [
        f"images/cloth/2026-03-02/{name}" for name in ("a/c.png", "b.png", "notes.txt")
    ]
    assert list(images.list_images(local, "metal", date(2026, 3, 1))) == []
    assert images.odd_folders(local) == ["images/my cloth/"]
    assert images.odd_folders(local, "cloth") == ["images/cloth/20260303/", "images/cloth/yesterday/"]


def test_folder_markers_of_s3_are_no_images_and_odd_keys_are(moto_s3: Bucket) -> None:
    prefix = "images/cloth/2026-03-02/"
    for key in (prefix, f"{prefix}sub/", f"{prefix}../up.png", f"{prefix}a//b.png"):
        moto_s3.client().put_object(Bucket=moto_s3.name, Key=key, Body=b"" if key.endswith("/") else b"1")
    found = images.list_images(open_store(moto_s3.uri), "cloth", date(2026, 3, 2))
    assert [info.key for info in found] == [f"{prefix}../up.png", f"{prefix}a//b.png"]


def tiff16(values: np.ndarray, byte_order: str) -> bytes:
    """A 16-bit grey TIFF in that byte order, which Pillow itself does not write in both."""
    height, width = values.shape
    tags = [(256, 3, width), (257, 3, height), (258, 3, 16), (259, 3, 1), (262, 3, 1), (273, 4, 0)]
    tags += [(277, 3, 1), (278, 3, height), (279, 4, values.nbytes)]
    start = 8 + 2 + 12 * len(tags) + 4
    directory = struct.pack(f"{byte_order}H", len(tags))
    for tag, kind, value in tags:
        cell = struct.pack(f"{byte_order}{'H' if kind == 3 else 'I'}", start if tag == 273 else value)
        directory += struct.pack(f"{byte_order}HHI", tag, kind, 1) + cell.ljust(4, b"\0")
    mark = b"II" if byte_order == "<" else b"MM"
    head = mark + struct.pack(f"{byte_order}HI", 42, 8)
    return head + directory + bytes(4) + values.astype(f"{byte_order}u2").tobytes()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png16_colour() -> bytes:
    """One pixel of 16 bits a channel."""
    head = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    row = b"\0" + struct.pack(">HHH", 0x8000, 0xFFFF, 0)
    return PngImagePlugin._MAGIC + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")


def png_header(width: int, height: int) -> bytes:
    """A file that only claims to be this large."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(100)))
    return PngImagePlugin._MAGIC + chunk(b"IHDR", head) + body + chunk(b"IEND", b"")
