"""The images of the line: their keys and their pixels. docs/images.md describes every file kind."""

import hashlib
import io
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from storage import layout
from storage.errors import UnreadableImage
from storage.pictures import tiff_files
from storage.pictures.decoding_room import DecodingRoom
from storage.pictures.file_kinds import FORMATS, not_taken
from storage.pictures.grey_levels import LEAST_BRIGHT, GreyKind, GreyLevels, marked, scaled
from storage.records import ObjectInfo
from storage.stores.left_out import LeftOut
from storage.stores.store import Store

DECODING_VERSION = "levels-1"
"""changes whenever the same bytes would decode to other pixels"""
MAX_PIXELS = 100_000_000
_NAMES = "PNG, JPEG, BMP, TIFF or WebP"
_STARTS = {b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF"}
_STARTS |= {b"II+\0": "TIFF", b"MM\0+": "TIFF", b"RIFF": "WebP"}
_MODES = ("1", "L", "P", "RGB", "LA", "PA", "RGBA", "CMYK", "YCbCr", "LAB")
"""Pillow's 8-bit modes that convert to RGB"""
_MOST_SCANS = 100
"""in a JPEG; a progressive one has about ten. libtiff has the same limit for JPEG within TIFF"""
_JPEG_SCAN, _JPEG_END = b"\xff\xda", b"\xff\xd9"
_TILE_WIDTH, _TILE_LENGTH = 322, 323
_STRIP_PIXELS = 2**18
"""converted at once"""
_LEAST_VISIBLE = 0.05
"""smallest opaque share of a picture; below it the alpha channel is a mistake, not a cut-out part"""
_LEAST_MARKED = 32
"""of 255; a lossy mask that stays below is noise around black"""

T = TypeVar("T")

# Pillow warns of bent metadata. It says nothing of the pixels, and a night of such files floods the log.
warnings.filterwarnings("ignore", module=r"PIL\.")
_QUIET = threading.Lock()
_ROOM = DecodingRoom(2**29)


@dataclass(frozen=True)
class _Picture:
    """An opened, checked, loaded and upright image file."""

    image: Image.Image
    grey: GreyKind | None
    """kind of numbers that are not 8-bit"""
    is_wide_colour: bool
    """16 bits a channel, of which Pillow keeps the upper 8"""
    is_lossy: bool


def list_categories(images: Store, left_out: LeftOut | None = None) -> list[str]:
    """Categories with images, sorted. `odd_folders` gives folders that no key can be made for."""
    return [name for name in images.children(layout.images_root(), left_out) if layout.is_plain(name)]


def list_run_dates(images: Store, category: str, left_out: LeftOut | None = None) -> list[date]:
    """Production days of `category` with images, sorted. Raises StorageError if its folder cannot be read."""
    names = images.children(layout.category_images_prefix(category), left_out)
    return [date.fromisoformat(name) for name in names if _is_day(name)]


def odd_folders(images: Store, category: str | None = None) -> list[str]:
    """Prefixes of folders that no run reads, because their names are neither a category nor a day; without litter.

    Their images would be skipped silently, so a run should report them.
    """
    if category is None:
        root, is_known = layout.images_root(), layout.is_plain
    else:
        root, is_known = layout.category_images_prefix(category), _is_day
    return [f"{root}{name}/" for name in images.children(root) if not is_known(name)]


def list_images(
    images: Store, category: str, run_date: date, left_out: LeftOut | None = None
) -> Iterator[ObjectInfo]:
    """Every object of that day except litter, sorted by key. As `Store.list`."""
    for info in images.list(layout.images_prefix(category, run_date), left_out):
        # S3 consoles mark a folder by an empty object of its name; that is no image.
        if not (info.key.endswith("/") and info.size == 0):
            yield info


def content_digest(data: bytes) -> str:
    """SHA-256 of the bytes, hex."""
    return hashlib.sha256(data).hexdigest()


def decode(
    data: bytes,
    *,
    white_level: float | None = None,
    black_level: float | None = None,
    max_pixels: int = MAX_PIXELS,
) -> NDArray[np.uint8]:
    """An image file's bytes -> uint8 (H, W, 3), RGB in [0, 255].

    Takes PNG, JPEG, BMP, TIFF and WebP by content, not by name; of several frames the first. `white_level`,
    `black_level`: grey values of more than 8 bits that become 255 and 0, such as 4095 and 64 of a 12-bit camera;
    values beyond are clipped. Default: the highest value of the file's type, and 0; signed, 32-bit and floating-point
    files without levels are refused. `max_pixels`: larger images are refused before decoding, as are those beyond
    Pillow's limit of 178,956,970. Transparent pixels become black, so that hidden colours cannot affect a score; a
    constant alpha is ignored. The EXIF orientation is applied.

    Raises UnreadableImage with the reason in plain words. Thread-safe.
    """
    levels = GreyLevels(black_level, white_level)
    return _in_plain_words(data, lambda: _rgb(_load(data, max_pixels), levels))


def decode_mask(data: bytes, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.bool_]:
    """A mask file's bytes -> bool (H, W): True for every pixel that is not black; formats and errors as `decode`.

    In a JPEG or lossy WebP, whose edges are smeared: True above half of the largest value.
    """
    return _in_plain_words(data, lambda: _marked(_load(data, max_pixels)))


@contextmanager
def room_for(data: bytes) -> Iterator[None]:
    """Waits until this file's picture fits into memory beside those that other threads decode and resize.

    Enter it before `decode`, and leave it when the large array is gone. Not to be nested.
    """
    pixels = 0
    with suppress(Exception), Image.open(io.BytesIO(data), formats=FORMATS) as image:  # `decode` says what is wrong
        pixels = image.width * image.height
    with _ROOM.of(pixels):
        yield


def _in_plain_words(data: bytes, work: Callable[[], T]) -> T:
    if not data:
        raise UnreadableImage("the file is empty (0 bytes); the camera or the copy was cut off")
    try:
        return _guarded(work)
    except Warning:
        # Somebody turned warnings into errors. Switching filters is not safe between threads, hence the lock;
        # in production this is never reached.
        with _QUIET, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _guarded(work)


def _guarded(work: Callable[[], T]) -> T:
    try:
        return work()
    except (UnreadableImage, MemoryError, Warning):
        raise
    except Image.DecompressionBombError as e:
        raise UnreadableImage("more pixels than any camera's image, a decompression bomb; not decoded") from e
    except Exception as e:  # a broken file makes Pillow raise anything, and is one row at most
        raise UnreadableImage(f"the image data is cut off or damaged ({str(e) or type(e).__name__})") from e


def _load(data: bytes, max_pixels: int) -> _Picture:
    ImageFile.LOAD_TRUNCATED_IMAGES = (
        False  # other software in this process may have set it: half a picture, silently
    )
    tiff_files.refuse_other_pictures(data)
    with _opened(data) as image:
        _refuse_size(image, max_pixels)
        _refuse_traps(image, data, max_pixels)
        raw_modes = [str(tile[3]) for tile in getattr(image, "tile", ())]
        _refuse_misread(image, raw_modes)
        grey = _grey_kind(image)
        is_wide = grey is None and any(";16" in mode for mode in raw_modes) and len(image.getbands()) > 1
        is_lossy = image.format in {"JPEG", "MPO"} or (image.format == "WEBP" and b"VP8L" not in data[:4096])
        image.load()
        if image.mode in {"P", "PA"}:
            _refuse_lost_colours(image)
        ImageOps.exif_transpose(image, in_place=True)  # else an upright image would be copied
        return _Picture(image, grey, is_wide, is_lossy)


def _opened(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, MemoryError, Warning):
        raise
    except Exception as e:
        name = next((name for start, name in _STARTS.items() if data.startswith(start)), None)
        known = None if name and data[8:12] not in (b"AVI ", b"WAVE") else not_taken(data, _NAMES)
        if known:
            raise UnreadableImage(known) from e
        if name is None or len(data) < 64:
            raise UnreadableImage(
                f"not a {_NAMES} image, or its header is damaged (it begins with {data[:8]!r})"
            ) from e
        reason = "" if isinstance(e, UnidentifiedImageError) else str(e)
        what = ", ".join(filter(None, (tiff_files.described(data), reason)))
        raise UnreadableImage(
            f"a {name} of a kind that is not taken, or its header is damaged{f' ({what})' if what else ''}. Save it "
            "as 8-bit grey, 16-bit grey or 8-bit RGB"
        ) from e


def _refuse_size(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height == 0:
        raise UnreadableImage(f"the image has no pixels ({width} x {height})")
    if width * height > max_pixels:
        raise UnreadableImage(
            f"{width} x {height} pixels are more than the {max_pixels:,} allowed; not decoded, because it would "
            "take the memory of the whole batch. If the camera is that large, raise max_pixels and train again"
        )


def _refuse_traps(image: Image.Image, data: bytes, max_pixels: int) -> None:
    """Refuses small files that would decode for minutes, or in the memory of a far larger image."""
    # Within the coded pixels 0xFF is always followed by 0: what is found is a scan, or chance in the metadata.
    scans = data.count(_JPEG_SCAN) if image.format in {"JPEG", "MPO"} else 0
    if scans > _MOST_SCANS:
        raise UnreadableImage(
            f"a JPEG of {scans} scans, each of which covers every pixel again; more than {_MOST_SCANS} are not "
            "decoded, since it would take minutes. Save it as baseline or PNG"
        )
    # What is missing may lie there as zeros: a copy made room for the file, and was cut off. Behind a whole picture
    # anything may follow, such as a telephone's film.
    if scans and data.find(_JPEG_END, _first_scan(data)) < 0:
        raise UnreadableImage("a JPEG without an end mark: the file was cut off. Copy it again")
    tags = getattr(image, "tag_v2", {})
    width, length = tags.get(_TILE_WIDTH, 0), tags.get(_TILE_LENGTH, 0)
    if width * length > max_pixels:
        raise UnreadableImage(
            f"a TIFF in tiles of {width} x {length} pixels, and a tile is decoded whole: more than the "
            f"{max_pixels:,} pixels allowed. Save it in smaller tiles or in strips"
        )


def _first_scan(data: bytes) -> int:
    """Start of the first scan of a JPEG's main picture; the preview in its metadata has scans too."""
    at = 2
    while data[at : at + 1] == b"\xff" and data[at : at + 2] != _JPEG_SCAN:
        at += 1 if data[at + 1 : at + 2] == b"\xff" else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return at if data[at : at + 2] == _JPEG_SCAN else 0


def _refuse_misread(image: Image.Image, raw_modes: list[str]) -> None:
    """Refuses files whose pixels Pillow misreads silently."""
    if image.format == "TIFF":
        tiff_files.refuse_misread_pixels(image)
    elif image.format == "PNG" and "transparency" in image.info and image.mode != "P":
        bits = raw_modes[0].partition(";")[2].rstrip("B") if raw_modes else ""
        if bits:
            raise UnreadableImage(
                f"a PNG of {bits} bits with a transparent colour, which would be looked for among 8-bit ones. Save "
                "it without transparency"
            )
    elif image.mode == "CMYK" and "adobe" not in image.info:
        raise UnreadableImage(
            "a JPEG in CMYK that does not say whether 0 is ink or none (no Adobe marker); it might be a negative. "
            "Save it as RGB"
        )


def _refuse_lost_colours(image: Image.Image) -> None:
    """Raises UnreadableImage for a loaded picture whose colour table does not give its pixels' colours."""
    table = np.array(image.getpalette() or (), np.uint8).reshape(-1, 3)
    used = np.flatnonzero(image.getchannel(0).histogram())
    if used[-1] >= len(table):
        raise UnreadableImage(
            f"pixels of colour {used[-1]}, and a colour table of {len(table)}, so that they would be black; it is "
            "damaged. Save it again, as RGB or grey"
        )
    if len(used) > 1 and (table[used] == table[used[0]]).all():
        raise UnreadableImage(
            f"a colour table that gives {len(used)} different values one colour, so that nothing would be seen. "
            "Save it as RGB or grey"
        )


def _grey_kind(image: Image.Image) -> GreyKind | None:
    if image.mode not in {"I", "F"} and not image.mode.startswith("I;16"):
        return None
    return tiff_files.grey_kind(image) if image.format == "TIFF" else GreyKind("unsigned", 16)


def _rgb(picture: _Picture, levels: GreyLevels) -> NDArray[np.uint8]:
    if picture.grey is not None:
        grey = scaled(_numbers(picture.image, picture.grey), picture.grey, levels)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if picture.is_wide_colour and levels.are_given and levels != GreyLevels(None, 65535):
        raise UnreadableImage(
            f"16-bit colour, which is read by its upper 8 bits only, so that {levels} cannot be met; save 8-bit "
            "colour or 16-bit grey"
        )
    colours = _colours(picture, _LEAST_VISIBLE)
    if picture.is_wide_colour and levels.white is None and colours.max() < LEAST_BRIGHT >> 8:
        raise UnreadableImage(
            "16-bit colour that uses less than a quarter of its range, as 10, 12 and 14-bit cameras write it, so "
            "that it would be nearly black. Save it as 8-bit colour, or, if it is that dark, set white_level = 65535"
        )
    return colours


def _marked(picture: _Picture) -> NDArray[np.bool_]:
    if picture.grey is not None:
        return marked(_numbers(picture.image, picture.grey), picture.grey)
    if picture.is_wide_colour:
        raise UnreadableImage("a mask of 16-bit colour, of which small values would be lost; save it as 8-bit grey")
    brightest = _brightest(picture)
    if not picture.is_lossy:
        return np.asarray(brightest > 0)
    return np.asarray(brightest > max(int(brightest.max()) // 2, _LEAST_MARKED))


def _brightest(picture: _Picture) -> NDArray[np.uint8]:
    """(H, W), the maximum over each pixel's channels. Most masks are grey; max() over the last axis takes ten times
    as long."""
    if picture.image.mode in {"1", "L"} and not picture.image.has_transparency_data:
        return np.asarray(picture.image.convert("L"))
    red, green, blue = np.moveaxis(_colours(picture, 0), 2, 0)
    return np.maximum(np.maximum(red, green), blue)


def _numbers(image: Image.Image, kind: GreyKind) -> NDArray[Any]:
    values = np.asarray(image)
    # Pillow has signed 32-bit numbers alone, so that the upper half of unsigned ones would be negative.
    return values.view(np.uint32) if values.dtype == np.int32 and kind.sort == "unsigned" else values


def _colours(picture: _Picture, least_visible: float) -> NDArray[np.uint8]:
    image = picture.image
    if image.mode not in _MODES:
        raise UnreadableImage(f"pixels of mode {image.mode}, which no camera writes; save it as 8-bit grey or RGB")
    if not image.has_transparency_data:
        return _in_strips(image, lambda strip: strip.convert("RGB"))
    rgba = image if image.mode == "RGBA" else image.convert("RGBA")
    alpha = np.asarray(rgba.getchannel("A"))
    visible = float(alpha.mean()) / 255
    if alpha.min() == alpha.max():  # it tells no pixel from another, as of cameras that leave the fourth byte unused
        colours = _in_strips(rgba, lambda strip: strip.convert("RGB"))
        if visible == 0 and least_visible and not colours.any():
            raise UnreadableImage("every pixel is transparent, and black beneath. Save it without alpha")
        return colours
    if visible < least_visible:
        raise UnreadableImage(
            f"its alpha lets {visible:.1%} of the image be seen, so that it would be nearly black. Save it without "
            "alpha, or with the part visible"
        )
    return _in_strips(rgba, _on_black)


def _on_black(strip: Image.Image) -> Image.Image:
    """An RGBA picture over black, in RGB."""
    return Image.alpha_composite(Image.new("RGBA", strip.size, (0, 0, 0, 255)), strip).convert("RGB")


def _in_strips(image: Image.Image, converted: Callable[[Image.Image], Image.Image]) -> NDArray[np.uint8]:
    """uint8 (H, W, 3) of a picture that `converted` makes RGB, pixel by pixel.

    Whole it would lie in memory up to four times: Pillow's own pixels, of 4 bytes, its converted ones, a copy in
    bytes and the array.
    """
    width, height = image.size
    pixels = np.empty((height, width, 3), np.uint8)
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        pixels[top : top + rows] = np.asarray(converted(strip))
    return pixels


def _is_day(name: str) -> bool:
    try:
        return date.fromisoformat(name).isoformat() == name
    except ValueError:
        return False
