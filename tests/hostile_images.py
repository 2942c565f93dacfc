"""Files that mean harm, or were harmed: each number gives one, the same in every run.

Valid pictures of every format and kind are cut, bent and spliced, with checksums mended so that the damage gets
past them; beside them stand bombs (`tests.image_bombs`), files of other formats, and noise.
"""

import io
import random
import struct
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from PIL import Image, PngImagePlugin

from tests.image_bombs import bombs, chunk, tiff

EXTREMES = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x10000,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFE,
    0xFFFFFFFF,
)
"""values at which lengths, counts and offsets turn over"""
_MAGIC = PngImagePlugin._MAGIC
_TIFF_TYPES = range(1, 19)


def hostile_file(number: int) -> tuple[str, bytes]:
    """(how it was made, bytes)"""
    dice = random.Random(number)
    kind = dice.random()
    if kind < 0.01:
        return dice.choice(bombs())
    if kind < 0.06:
        return dice.choice(_other_formats())
    if kind < 0.12:
        return _noise(dice)
    name, data = dice.choice(valid_files())
    told = name
    for _ in range(dice.choice((1, 1, 1, 2, 4))):
        harm = dice.choice(_HARMS)
        data = harm(dice, data)
        told += f", {harm.__name__.removeprefix('_')}"
    return told, data


@cache
def valid_files() -> list[tuple[str, bytes]]:
    """A small picture in every format and kind that `storage.images.decode` takes."""
    draw = np.random.default_rng(7)
    colours = draw.integers(0, 256, (20, 24, 3), dtype=np.uint8)
    ramp = draw.integers(0, 65536, (20, 24), dtype=np.uint16)
    rgb, rgba = Image.fromarray(colours), Image.fromarray(draw.integers(0, 256, (20, 24, 4), dtype=np.uint8))
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "camera"
    kinds = {
        "grey": rgb.convert("L"),
        "grey with alpha": rgba.convert("LA"),
        "palette": rgb.quantize(16),
        "colour": rgb,
        "colour with alpha": rgba,
        "black and white": rgb.convert("1"),
        "16-bit grey": Image.fromarray(ramp),
        "CMYK": rgb.convert("CMYK"),
        "YCbCr": rgb.convert("YCbCr"),
        "32-bit integer": Image.fromarray(ramp.astype(np.int32)),
        "float": Image.fromarray(ramp.astype(np.float32)),
    }
    found = [(f"{format} {kind}", _encoded(kinds[kind], format)) for format, some in _TAKEN for kind in some]
    smooth = rgb.resize((24, 20), box=(0, 0, 3, 3))
    found += [
        ("PNG with text, profile and EXIF", _encoded(rgb, "PNG", pnginfo=_text(), icc_profile=bytes(400), exif=exif)),
        ("PNG palette with transparency", _encoded(kinds["palette"], "PNG", transparency=3)),
        ("PNG animated", _encoded(rgb, "PNG", save_all=True, append_images=[smooth])),
        ("PNG 16-bit colour", png16(ramp)),
        ("JPEG progressive", _encoded(smooth, "JPEG", progressive=True, quality=60)),
        ("JPEG with EXIF and restarts", _encoded(smooth, "JPEG", exif=exif, restart_marker_blocks=1)),
        ("BMP run-length", _bmp_run_length()),
        ("WebP lossless", _encoded(rgba, "WEBP", lossless=True)),
        ("WebP animated with EXIF", _encoded(rgb, "WEBP", save_all=True, append_images=[smooth], exif=exif)),
        ("TIFF of two pages", _encoded(rgb, "TIFF", save_all=True, append_images=[smooth.copy()])),
        ("TIFF tiled", tiff({322: 32, 323: 32}, zlib.compress(bytes(1024)))),
    ]
    packed = ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "lzma", "zstd")
    found += [(f"TIFF {name}", _encoded(smooth, "TIFF", compression=name)) for name in packed]
    found += [(f"TIFF {name}", _encoded(kinds["black and white"], "TIFF", compression=name)) for name in _FAX]
    return found


_TAKEN = (
    ("PNG", ("grey", "grey with alpha", "palette", "colour", "colour with alpha", "black and white", "16-bit grey")),
    ("JPEG", ("grey", "colour", "CMYK", "YCbCr")),
    ("BMP", ("grey", "palette", "colour", "colour with alpha", "black and white")),
    ("TIFF", ("grey", "grey with alpha", "palette", "colour with alpha", "black and white", "16-bit grey", "CMYK")),
    ("TIFF", ("YCbCr", "32-bit integer", "float")),
    ("WEBP", ("colour", "colour with alpha")),
)
_FAX = ("group3", "group4")


@cache
def _other_formats() -> list[tuple[str, bytes]]:
    picture = valid_picture()
    names = ("GIF", "ICO", "ICNS", "PPM", "TGA", "PCX", "PDF", "EPS", "SGI", "JPEG2000", "AVIF", "DDS")
    found = [(f"{name} in place of an image", _encoded(picture, name)) for name in names]
    photoshop = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 24, 20, 8, 3) + bytes(4000)
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 24 20\n%%EndComments\n(/etc/passwd) run showpage\n"
    vector = b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    return [*found, ("PSD", photoshop), ("EPS that reads a file", script), ("SVG that reads a file", vector)]


def valid_picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(3).integers(0, 256, (64, 64, 3), dtype=np.uint8))


def _noise(dice: random.Random) -> tuple[str, bytes]:
    begin = dice.choice(
        (b"", _MAGIC, b"\xff\xd8\xff", b"BM", b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"RIFF\xff\0\0\0WEBPVP8X")
    )
    return f"noise after {begin!r}", begin + dice.randbytes(dice.choice((0, 1, 30, 500, 20_000)))


def _cut_off(dice: random.Random, data: bytes) -> bytes:
    return data[: dice.randrange(len(data) + 1)]


def _bits_flipped(dice: random.Random, data: bytes) -> bytes:
    bent = bytearray(data)
    for _ in range(dice.randint(1, 8) if bent else 0):
        bent[_place(dice, len(bent))] ^= 1 << dice.randrange(8)
    return bytes(bent)


def _field_overwritten(dice: random.Random, data: bytes) -> bytes:
    """A number of 1, 2 or 4 bytes, in either order, becomes an extreme one."""
    bits, letter = dice.choice(((8, "B"), (16, "H"), (32, "I")))
    field = struct.pack(dice.choice("<>") + letter, dice.choice(EXTREMES) & ((1 << bits) - 1))
    at = _place(dice, len(data))
    return data[:at] + field + data[at + len(field) :]


def _slice_repeated(dice: random.Random, data: bytes) -> bytes:
    start, stop = sorted(dice.randrange(len(data) + 1) for _ in range(2))
    return data[:stop] + data[start:stop] * dice.choice((1, 2, 50)) + data[stop:]


def _slice_removed(dice: random.Random, data: bytes) -> bytes:
    start, stop = sorted(dice.randrange(len(data) + 1) for _ in range(2))
    return data[:start] + data[stop:]


def _spliced(dice: random.Random, data: bytes) -> bytes:
    other = dice.choice(valid_files())[1]
    return data[: dice.randrange(len(data) + 1)] + other[dice.randrange(len(other)) :]


def _part_changed(dice: random.Random, data: bytes) -> bytes:
    """A chunk of a PNG, an entry of a TIFF's directory or a segment of a JPEG, so that all around it still fits."""
    if data.startswith(_MAGIC):
        return _png_chunk_changed(dice, data)
    if data.startswith((b"II*\0", b"MM\0*")):
        return _tiff_entry_changed(dice, data)
    if data.startswith(b"\xff\xd8"):
        return _jpeg_segment_changed(dice, data)
    return _field_overwritten(dice, data)


def _png_chunk_changed(dice: random.Random, data: bytes) -> bytes:
    """The check sum is mended; else no reader would look at the rest."""
    parts, at = [], len(_MAGIC)
    while at + 12 <= len(data):
        size = struct.unpack_from(">I", data, at)[0]
        parts.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    if not parts:
        return data
    i = dice.randrange(len(parts))
    kind, body = parts[i]
    what = dice.randrange(6)
    if what == 0:
        parts[i] = (kind, _bits_flipped(dice, body))
    elif what == 1:
        parts[i] = (kind, _field_overwritten(dice, body))
    elif what == 2:
        parts.insert(dice.randrange(len(parts) + 1), parts[i])
    elif what == 3:
        del parts[i]
    elif what == 4:
        parts[i] = (
            dice.choice((b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"acTL", b"fcTL", b"fdAT", b"iCCP", b"zTXt")),
            body,
        )
    else:
        dice.shuffle(parts)
    return _MAGIC + b"".join(chunk(*part) for part in parts)


def _tiff_entry_changed(dice: random.Random, data: bytes) -> bytes:
    order = "<" if data.startswith(b"II") else ">"
    if len(data) < 8 or (start := struct.unpack_from(f"{order}I", data, 4)[0]) + 2 > len(data):
        return data
    entries = struct.unpack_from(f"{order}H", data, start)[0]
    at = start + 2 + 12 * dice.randrange(max(entries, 1))
    if at + 12 > len(data):
        return data
    bent = bytearray(data)
    offset, letter, values = dice.choice(
        (
            (0, "H", range(254, 340)),
            (2, "H", _TIFF_TYPES),
            (4, "I", EXTREMES),
            (8, "I", EXTREMES),
            (8, "H", range(20)),
        )
    )
    struct.pack_into(
        f"{order}{letter}", bent, at + offset, dice.choice(values) & (0xFFFF if letter == "H" else 0xFFFFFFFF)
    )
    return bytes(bent)


def _jpeg_segment_changed(dice: random.Random, data: bytes) -> bytes:
    marks = [i for i in range(len(data) - 4) if data[i] == 0xFF and data[i + 1] not in (0, 0xFF, 0xD8, 0xD9)]
    if not marks:
        return data
    at = dice.choice(marks)
    bent = bytearray(data)
    what = dice.randrange(3)
    if what == 0:
        struct.pack_into(">H", bent, at + 2, dice.choice(EXTREMES) & 0xFFFF)
    elif what == 1:
        bent[at + 1] = dice.choice(
            (0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0xC9, 0xCC, 0xDA, 0xDB, 0xDC, 0xDD, 0xE1, 0xE2, 0xEE)
        )
    else:
        bent[min(at + 4 + dice.randrange(16), len(bent) - 1)] = dice.randrange(256)
    return bytes(bent)


def _place(dice: random.Random, length: int) -> int:
    """Somewhere, more often near the beginning, where headers are."""
    return dice.randrange(max(1, min(length, 64) if dice.random() < 0.5 else length))


_HARMS: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    _cut_off,
    _bits_flipped,
    _field_overwritten,
    _field_overwritten,
    _slice_repeated,
    _slice_removed,
    _spliced,
    _part_changed,
    _part_changed,
    _part_changed,
)


def _encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.copy().save(out, format, **options)  # a JPEG leaves its settings behind, which trip a TIFF
    return out.getvalue()


def _text() -> PngImagePlugin.PngInfo:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "x" * 300, zip=True)
    text.add_itxt("XML:com.adobe.xmp", "<x/>" * 50, zip=True)
    return text


def png16(ramp: np.ndarray) -> bytes:
    """uint16 (H, W) as a PNG of 16 bits a colour, which Pillow does not write."""
    height, width = ramp.shape
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    rows = b"".join(b"\0" + np.repeat(row, 3).astype(">u2").tobytes() for row in ramp)
    return _MAGIC + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _bmp_run_length() -> bytes:
    rows = b"".join(bytes((12, y * 9, 0, 4, 1, 2, 3, 4, 8, y, 0, 0)) for y in range(20)) + b"\0\1"
    palette = bytes(value for grey in range(256) for value in (grey, grey, grey, 0))
    head = struct.pack("<IiiHHIIiiII", 40, 24, 20, 1, 8, 1, len(rows), 0, 0, 256, 0)
    start = 14 + len(head) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + head + palette + rows
