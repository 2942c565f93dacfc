"""TIFF files whose first picture is not the camera's, or whose pixels Pillow misreads silently."""

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from PIL import Image

from storage.errors import UnreadableImage
from storage.pictures.grey_levels import GreyKind


class _Form(NamedTuple):
    """The byte order and widths of a file, in struct's codes."""

    order: str
    place: str
    """of an offset, and of a tag's number of values"""
    entries: str
    """of a directory's number of tags"""
    first: int
    """position of the first directory's offset"""


_FORMS = {b"II*\0": _Form("<", "I", "H", 4), b"MM\0*": _Form(">", "I", "H", 4)}
_FORMS |= {b"II+\0": _Form("<", "Q", "Q", 8), b"MM\0+": _Form(">", "Q", "Q", 8)}
_SUBFILE, _OLD_SUBFILE, _WIDTH, _LENGTH, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 255, 256, 257, 258, 259, 262
_SAMPLES, _PLANAR, _COLOUR_MAP, _SUB_PICTURES, _EXTRA, _SAMPLE_FORMAT = 277, 284, 320, 330, 338, 339
_SUBSAMPLING, _BLACK_WHITE, _DNG_VERSION = 530, 532, 50706
_NUMBERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
"""integer types, in struct's codes"""
_MOST_PICTURES = 16
"""samples compared with the first"""
_MOST_TAGS = 65535
_FULL_RANGE = (0, 255, 128, 255, 128, 255)
_SORTS = {1: "unsigned", 2: "signed", 3: "float"}
_RAW = "is not supported: what another program would show is a small preview. Develop it to 8 or 16-bit TIFF or PNG"


def refuse_other_pictures(data: bytes) -> None:
    """Raises UnreadableImage for camera raw and other files whose first picture is a preview or mask of another."""
    form = _FORMS.get(data[:4])
    if form is None:
        return
    if data[8:10] == b"CR":
        raise UnreadableImage(f"camera raw (CR2) {_RAW}")
    first, after = _directory(data, form, _at(data, form, form.first))
    if _DNG_VERSION in first:
        raise UnreadableImage(f"camera raw (DNG) {_RAW}")
    if first.get(_SUBFILE, (0,))[0] & 5 or first.get(_OLD_SUBFILE) == (2,):
        raise UnreadableImage(
            "a TIFF whose first page is marked as a preview or mask of another, as in camera raw files; "
            "nothing of it was decoded. Save the image itself alone"
        )
    size = _pixels(first)
    larger = max(map(_pixels, _others(data, form, first, after)), default=0)
    if larger > size:
        raise UnreadableImage(
            f"a TIFF whose first page ({size:,} pixels) is smaller than another one in it ({larger:,}), and so a "
            "preview; nothing of it was decoded. Save the large page alone"
        )


def described(data: bytes) -> str:
    """The first picture's directory in words; empty if it cannot be read."""
    form = _FORMS.get(data[:4])
    if form is None:
        return ""
    tags, _ = _directory(data, form, _at(data, form, form.first))
    names = {_BITS: "bits", _SAMPLE_FORMAT: "sample format", _SAMPLES: "samples", _PHOTOMETRIC: "photometric"}
    names |= {_COMPRESSION: "compression", _PLANAR: "planar configuration"}
    return ", ".join(f"{name} {'/'.join(map(str, tags[tag]))}" for tag, name in names.items() if tag in tags)


def refuse_misread_pixels(image: Image.Image) -> None:
    """Raises UnreadableImage for an opened TIFF whose pixels Pillow misreads (tested with 13.0)."""
    tags: Any = image.tag_v2  # type: ignore[attr-defined]
    photometric, bits = tags.get(_PHOTOMETRIC), tags.get(_BITS, (1,))
    packed = tags.get(_COMPRESSION, 1) != 1
    planar = tags.get(_PLANAR, 1) == 2 and len(bits) > 1
    form = max(tags.get(_SAMPLE_FORMAT, (1,)))
    colour_map, extra = tags.get(_COLOUR_MAP, ()), tags.get(_EXTRA, ())
    kind = f"a TIFF of {'/'.join(map(str, bits))} bits"
    if photometric is None and tags.get(_COMPRESSION, 1) != 6:
        why = "a TIFF that does not say whether 0 is black or white (tag 262, PhotometricInterpretation)"
    elif form == 2 and max(bits) == 8:
        why = f"{kind} with signed values, which would be read as unsigned"
    elif form != 1 and packed and tags.prefix == b"MM":
        why = f"{kind} of signed or floating-point values, compressed and big-endian, whose bytes would be mixed up"
    elif image.mode in ("P", "PA") and max(colour_map, default=0) < 256:
        why = "a TIFF whose colour table has 8-bit values in place of 16-bit ones, so that all would be black"
    elif photometric == 6 and len(bits) == 3 and not packed and not _is_plain_ycbcr(tags):
        why = "an uncompressed TIFF in YCbCr of subsampled colours or of a narrowed range"
    elif planar and not packed and (max(bits) > 8 or photometric not in (2, 5) or 1 in extra):
        why = f"{kind} in separate planes"
    elif photometric == 1 and 1 in extra:
        why = "a grey TIFF multiplied by its alpha"
    elif photometric == 2 and len(bits) > 3 and not extra:
        why = f"a TIFF of {len(bits)} values a pixel that does not say what the fourth is (tag 338, ExtraSamples)"
    else:
        return
    raise UnreadableImage(f"{why}: not decoded. Save it as 8-bit grey, 16-bit grey or 8-bit RGB")


def grey_kind(image: Image.Image) -> GreyKind:
    """The type of an opened grey TIFF's numbers."""
    tags: Any = image.tag_v2  # type: ignore[attr-defined]
    sort: Any = _SORTS[tags.get(_SAMPLE_FORMAT, (1,))[0]]
    return GreyKind(sort, tags.get(_BITS, (1,))[0], white_is_zero=tags.get(_PHOTOMETRIC) == 0)


def _is_plain_ycbcr(tags: Any) -> bool:
    narrowed = tuple(tags.get(_BLACK_WHITE, _FULL_RANGE)) != _FULL_RANGE
    return tags.get(_SUBSAMPLING, (2, 2)) == (1, 1) and not narrowed


def _others(
    data: bytes, form: _Form, first: dict[int, tuple[int, ...]], after: int
) -> Iterator[dict[int, tuple[int, ...]]]:
    for at in first.get(_SUB_PICTURES, ()):
        yield _directory(data, form, at)[0]
    for _ in range(_MOST_PICTURES):
        if not after:
            return
        tags, after = _directory(data, form, after)
        yield tags


def _pixels(tags: dict[int, tuple[int, ...]]) -> int:
    return tags.get(_WIDTH, (0,))[0] * tags.get(_LENGTH, (0,))[0]


def _directory(data: bytes, form: _Form, at: int) -> tuple[dict[int, tuple[int, ...]], int]:
    """(integers by tag, offset of the next directory) of the directory at byte `at`, as far as they exist."""
    tags: dict[int, tuple[int, ...]] = {}
    order, place_size = form.order, struct.calcsize(form.place)
    begin, size = at + struct.calcsize(form.entries), 4 + 2 * place_size
    try:
        entries = min(struct.unpack_from(order + form.entries, data, at)[0], _MOST_TAGS) if at else 0
        for place in range(begin, begin + size * entries, size):
            tag, kind, count = struct.unpack_from(f"{order}HH{form.place}", data, place)
            if (letter := _NUMBERS.get(kind)) and count:
                fits = count * struct.calcsize(letter) <= place_size
                values = place + size - place_size if fits else _at(data, form, place + size - place_size)
                tags[tag] = struct.unpack_from(f"{order}{min(count, _MOST_PICTURES)}{letter}", data, values)
        return tags, _at(data, form, begin + size * entries) if at else 0
    except struct.error:  # cut off; Pillow says so if it matters
        return tags, 0


def _at(data: bytes, form: _Form, place: int) -> int:
    is_there = place + struct.calcsize(form.place) <= len(data)
    return int(struct.unpack_from(form.order + form.place, data, place)[0]) if is_there else 0
