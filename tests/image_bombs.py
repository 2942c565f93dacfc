"""Image files of a few bytes that ask for gigabytes or for hours."""

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from functools import cache
from typing import Any

from PIL import Image, PngImagePlugin

_MAGIC = PngImagePlugin._MAGIC
_ZEROS = 16 << 20
"""what a compressed part of a bomb unfolds to"""


@cache
def bombs() -> list[tuple[str, bytes]]:
    """(what it does, bytes), each once."""
    small = _png_head(24, 20)
    long_text = chunk(b"zTXt", b"Comment\0\0" + _zeros())
    international = chunk(b"iTXt", b"Comment\0\1\0\0\0" + _zeros())
    profile = chunk(b"iCCP", b"icc\0\0" + _zeros())
    many = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(1_000_000))) * 100
    claims = [(100_000, 100_000), (2**31 - 1, 1), (1, 2**31 - 1), (0, 5), (2**32 - 1, 2**32 - 1), (16_000, 16_000)]
    return [
        ("PNG whose text unfolds", _png(small, long_text)),
        ("PNG whose international text unfolds", _png(small, international)),
        ("PNG whose colour profile unfolds", _png(small, profile)),
        ("PNG of a hundred texts", _png(small, many)),
        ("PNG whose pixels unfold to more than it has", _png(small, b"", _zeros())),
        ("PNG of 30,000 empty chunks", _png(small, chunk(b"tEXt", b"a\0") * 30_000)),
        ("PNG of a million frames", _png(small, chunk(b"acTL", struct.pack(">II", 10**6, 0)))),
        *[(f"PNG that claims {size}", _png(_png_head(*size))) for size in claims],
        *[(f"BMP that claims {size}", bmp_claiming(*size)) for size in [*claims, (24, -(2**31)), (-24, 20)]],
        *[(f"TIFF that claims {size}", tiff({256: size[0], 257: size[1]}, bytes(480))) for size in claims],
        *[(f"JPEG that claims {size}", jpeg_of_scans(1, *size)) for size in ((65_535, 65_535), (65_535, 1), (0, 9))],
        *[
            (f"WebP that claims {size}", webp_claiming(*size))
            for size in ((16_383, 10_000), (2**24, 2**24), (9, 2**24))
        ],
        ("TIFF of one tile far larger than the image", tiff_tile_bomb()),
        ("TIFF of one tile that overflows", tiff({322: 2**31 - 1, 323: 2**31 - 1}, b"x")),
        ("TIFF of one strip far larger than the image", tiff({278: 2**31 - 1, 273: None}, _zeros())),
        ("TIFF of four billion strips", tiff({278: 1, 273: None, 279: 2**32 - 1}, b"x")),
        ("TIFF whose pages go round", tiff({273: None}, bytes(480), after=8)),
        ("TIFF of 60,000 samples a pixel", tiff({277: 60_000, 273: None}, bytes(480))),
        ("TIFF within itself", tiff({330: 8, 34665: 8, 34853: 8, 273: None}, bytes(480))),
        ("JPEG of ten thousand scans", jpeg_of_scans(10_000)),
        ("TIFF whose tags lie on one another", _tiff_of_overlapping_tags(2000, 100_000)),
        ("16-bit picture of a million pixels", _plain(Image.new("I;16", (1000, 1000)), "PNG")),
        ("picture of a million numbers", _plain(Image.new("F", (1000, 1000)), "TIFF", compression="tiff_deflate")),
        ("transparent picture of a million pixels", _plain(Image.new("RGBA", (1000, 1000)), "WEBP", lossless=True)),
        ("gzip that unfolds", gzip.compress(bytes(_ZEROS))),
        ("zip in zip in zip", _nested_zip(3)),
        ("nothing", b""),
        ("zeros", bytes(100_000)),
    ]


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk of a PNG with its check sum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def tiff(tags: Mapping[int, int | None], pixels: bytes, *, after: int = 0) -> bytes:
    """A grey TIFF of 24 x 20 pixels, compressed by deflate, with `tags` in place of its own.

    Tag 273 (None for the true place) makes strips of it, tag 322 tiles. `after` is where the next page begins.
    """
    plain = {256: 24, 257: 20, 258: 8, 259: 8, 262: 1, 277: 1}
    place, size = (273, 279) if 273 in tags else (324, 325)
    entries = sorted({**plain, place: None, size: len(pixels), **tags}.items())
    start = 8 + 2 + 12 * len(entries) + 4
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, start if value is None else value) for tag, value in entries)
    head = b"II*\0" + struct.pack("<IH", 8, len(entries))
    return head + directory + struct.pack("<I", after) + pixels


def tiff_tile_bomb() -> bytes:
    """One tile of 16,384 x 8,192 pixels, of which 24 x 20 are the image."""
    return tiff({322: 16_384, 323: 8_192}, zlib.compress(bytes(16_384 * 8_192), 1))


def _tiff_of_overlapping_tags(tags: int, size: int) -> bytes:
    """Each of them is as large as the file."""
    start = 8 + 2 + 12 * tags + 4
    entries = b"".join(struct.pack("<HHII", 1000 + i, 1, size, start) for i in range(tags))
    return b"II*\0" + struct.pack("<IH", 8, tags) + entries + bytes(4 + size)


def jpeg_of_scans(scans: int, width: int = 1000, height: int = 1000) -> bytes:
    """A progressive grey JPEG. Each of `scans` refines nothing in a few bytes; a decoder goes over all blocks."""
    blocks = -(-width // 8) * -(-height // 8)
    head = b"\xff\xd8" + _segment(0xDB, b"\0" + bytes([1] * 64))
    head += _segment(0xC2, struct.pack(">BHHB", 8, height, width, 1) + bytes([1, 0x11, 0]))
    head += _segment(0xC4, b"\0\1" + bytes(15) + b"\0") + _segment(0xC4, b"\x10\1" + bytes(15) + b"\xe0")
    first = _segment(0xDA, bytes([1, 1, 0, 0, 0, 0])) + bytes(blocks // 8 + 1 if blocks < 1_000_000 else 100)
    runs, left = "", blocks
    while left >= 16_384 and len(runs) < 1500:
        more = min(left - 16_384, 16_383)
        runs, left = f"{runs}0{more:014b}", left - 16_384 - more
    again = _segment(0xDA, bytes([1, 1, 0, 1, 63, 0])) + _bits(runs or "0")
    return head + first + again * scans + b"\xff\xd9"


def webp_claiming(width: int, height: int) -> bytes:
    """An animation of that canvas, of which one small frame is there."""
    picture = _plain(Image.new("RGB", (16, 16)), "WEBP", lossless=True)
    frame = bytes(6) + (15).to_bytes(3, "little") * 2 + (100).to_bytes(3, "little") + b"\0" + picture[12:]
    canvas = b"\2\0\0\0" + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"".join(
        kind + struct.pack("<I", len(part)) + part
        for kind, part in ((b"VP8X", canvas), (b"ANIM", bytes(6)), (b"ANMF", frame))
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def bmp_claiming(width: int, height: int) -> bytes:
    """A run-length coded BMP, so that no size of a file follows from that of the picture."""
    size = struct.pack("<II", width & 0xFFFFFFFF, height & 0xFFFFFFFF)
    head = struct.pack("<I", 40) + size + struct.pack("<HHIIiiII", 1, 8, 1, 100, 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 1178, 0, 0, 1078) + head + bytes(1024) + b"\0\2\xff\xff" * 25


@cache
def _zeros() -> bytes:
    return zlib.compress(bytes(_ZEROS), 9)


def _png_head(width: int, height: int) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def _png(head: bytes, before: bytes = b"", pixels: bytes | None = None) -> bytes:
    data = zlib.compress(bytes(20 * (1 + 3 * 24))) if pixels is None else pixels
    return _MAGIC + head + before + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def _segment(marker: int, body: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


def _bits(text: str) -> bytes:
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")


def _plain(image: Image.Image, format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def _nested_zip(levels: int) -> bytes:
    data = bytes(1_000_000)
    for level in range(levels):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
            for i in range(8):
                file.writestr(f"{level}-{i}.png", data)
        data = out.getvalue()
    return data
