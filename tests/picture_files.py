"""Picture files as other programs write them, byte by byte: Pillow writes only some of the kinds that it reads."""

import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.image_bombs import chunk

Tag = int | tuple[int, ...]
_LONG = {273, 279, 330}
"""tags of places and sizes"""


def tiff_file(
    tags: Mapping[int, Tag], strips: Sequence[bytes], *, order: str = "<", others: Sequence[bytes] = ()
) -> bytes:
    """A TIFF of these tags and strips, whose places and sizes are filled in.

    `others`: directories of further pictures, as `directory` gives them, that tag 330 leads to.
    """
    data, after = b"", 8
    offsets, starts = [], []
    for piece, into in [*((strip, offsets) for strip in strips), *((other, starts) for other in others)]:
        into.append(after + len(data))
        data += piece + b"\0" * (len(piece) % 2)
    whole = {**tags, 273: tuple(offsets), 279: tuple(map(len, strips))} | ({330: tuple(starts)} if others else {})
    at = after + len(data)
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", at)
    return head + data + directory(whole, order=order, at=at)


def directory(tags: Mapping[int, Tag], *, order: str = "<", at: int = 0) -> bytes:
    """A directory of tags that lies at byte `at`, the last one; its longer values follow it."""
    body, more = b"", b""
    for tag in sorted(tags):
        found = tags[tag]
        values = found if isinstance(found, tuple) else (found,)
        kind = 4 if tag in _LONG else 3
        raw = struct.pack(f"{order}{len(values)}{'I' if kind == 4 else 'H'}", *values)
        if len(raw) > 4:
            place = at + 2 + 12 * len(tags) + 4 + len(more)
            more += raw + b"\0" * (len(raw) % 2)
            raw = struct.pack(f"{order}I", place)
        body += struct.pack(f"{order}HHI", tag, kind, len(values)) + raw.ljust(4, b"\0")
    return struct.pack(f"{order}H", len(tags)) + body + bytes(4) + more


def tiff_of(
    values: np.ndarray, photometric: int, *, bits: int | None = None, order: str = "<", packed: bool = False,
    planes: bool = False, **more: Tag,
) -> bytes:  # fmt: skip
    """A TIFF of the numbers (H, W) or (H, W, n) in their own type; `more` are tags such as t338=2."""
    values = values if values.ndim == 3 else values[:, :, None]
    height, width, samples = values.shape
    values = values.astype(values.dtype.newbyteorder(order))
    parts = [values[:, :, i] for i in range(samples)] if planes else [values]
    strips = [zlib.compress(part.tobytes()) if packed else part.tobytes() for part in parts]
    tags: dict[int, Tag] = {256: width, 257: height, 277: samples, 278: height, 262: photometric}
    tags |= {258: (bits or values.dtype.itemsize * 8,) * samples, 259: 8 if packed else 1, 284: 2 if planes else 1}
    sorts = {"i": 2, "f": 3}
    if values.dtype.kind in sorts:
        tags[339] = (sorts[values.dtype.kind],) * samples
    tags |= {int(name[1:]): value for name, value in more.items()}
    return tiff_file(tags, strips, order=order)


def png_file(bits: int, colour: int, rows: Sequence[bytes], width: int, *more: tuple[bytes, bytes]) -> bytes:
    """A PNG of that depth and colour type; `more` are chunks before the pixels."""
    head = struct.pack(">IIBBBBB", width, len(rows), bits, colour, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [(b"IHDR", head), *more, (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def bmp_with_alpha(rgba: np.ndarray) -> bytes:
    """A 32-bit BMP of uint8 (H, W, 4) whose header declares an alpha (BITMAPV4)."""
    height, width = rgba.shape[:2]
    pixels = np.ascontiguousarray(rgba[::-1, :, [2, 1, 0, 3]]).tobytes()
    head = struct.pack("<IiiHHIIiiII4I", 108, width, height, 1, 32, 3, len(pixels), 0, 0, 0, 0, *_MASKS).ljust(
        108, b"\0"
    )
    return b"BM" + struct.pack("<IHHI", 122 + len(pixels), 0, 0, 122) + head + pixels


_MASKS = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)


def without_segment(jpeg: bytes, marker: int) -> bytes:
    """A JPEG that lost its first segment of that marker."""
    at = jpeg.index(bytes((0xFF, marker)))
    return jpeg[:at] + jpeg[at + 2 + struct.unpack_from(">H", jpeg, at + 2)[0] :]


def packed_bits(values: np.ndarray, bits: int) -> list[bytes]:
    """Whole numbers (H, W) as rows of so many bits each, filled to whole bytes."""
    rows = ["".join(f"{value:0{bits}b}" for value in row) for row in values.tolist()]
    return [int(row.ljust(-(-len(row) // 8) * 8, "0"), 2).to_bytes(-(-len(row) // 8), "big") for row in rows]


def box(brand: bytes, *more: bytes) -> bytes:
    """The beginning of an ISO media file."""
    body: Any = b"ftyp" + brand + bytes(4) + b"".join(more)
    return struct.pack(">I", len(body) + 4) + body + bytes(200)
