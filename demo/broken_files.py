"""Broken files as a line delivers them: cut short, empty, mislabelled."""

import io
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True)
class OddFile:
    """A file that a careless reader fails on."""

    name: str
    data: bytes
    fault: str
    """truncated | empty | text | oversized | wrong_extension"""
    readable: bool
    """True if it holds a whole image"""


def odd_files(picture: NDArray[np.uint8]) -> list[OddFile]:
    """One file of each fault, made from `picture`, uint8 (H, W, 3)."""
    jpeg, png = _encoded(picture, "JPEG"), _encoded(picture, "PNG")
    return [
        OddFile("truncated.jpg", jpeg[: len(jpeg) // 3], "truncated", readable=False),
        OddFile("truncated.png", png[: len(png) // 2], "truncated", readable=False),
        OddFile("empty.png", b"", "empty", readable=False),
        OddFile("text.png", b"camera 3: disk full, image not saved\n", "text", readable=False),
        OddFile("oversized.png", _png_that_claims(60_000, 60_000), "oversized", readable=False),
        OddFile("wrong_extension.jpg", png, "wrong_extension", readable=True),
    ]


def _encoded(picture: NDArray[np.uint8], kind: str) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, kind)
    return out.getvalue()


def _png_that_claims(width: int, height: int) -> bytes:
    """A few bytes whose header declares an image of many gigabytes: a decompression bomb."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1024))), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
