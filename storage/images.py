"""Images as the line wrote them: which there are, and their pixels."""

import hashlib
import io
import threading
import warnings
from collections.abc import Iterator
from datetime import date

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from storage import layout
from storage.errors import UnreadableImage
from storage.left_out import LeftOut
from storage.records import ObjectInfo
from storage.store import Store

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
_NAMES = "PNG, JPEG, BMP, TIFF or WebP"
_MOST_SCANS = 100
"""of a JPEG; a progressive one has about ten. libtiff draws the same line for JPEG within TIFF"""
_TILE_WIDTH, _TILE_LENGTH = 322, 323

# Pillow warns of bent metadata. It says nothing of the pixels, and a night of such files floods the log.
warnings.filterwarnings("ignore", module=r"PIL\.")
_QUIET = threading.Lock()


def list_categories(images: Store, left_out: LeftOut | None = None) -> list[str]:
    """Categories that have images, sorted. Folders no key can be made for are left to `odd_folders`."""
    return [name for name in images.children(layout.images_root(), left_out) if layout.is_plain(name)]


def list_run_dates(images: Store, category: str, left_out: LeftOut | None = None) -> list[date]:
    """Production days on which `category` has images, sorted. StorageError if its folder cannot be read."""
    names = images.children(layout.category_images_prefix(category), left_out)
    return [date.fromisoformat(name) for name in names if _is_day(name)]


def odd_folders(images: Store, category: str | None = None) -> list[str]:
    """Prefixes of folders no run looks into: named like no category, or, within one, like no day.

    Their images would be skipped without a word; a run should report them. Litter is none of them.
    """
    if category is None:
        root, is_known = layout.images_root(), layout.is_plain
    else:
        root, is_known = layout.category_images_prefix(category), _is_day
    return [f"{root}{name}/" for name in images.children(root) if not is_known(name)]


def list_images(
    images: Store, category: str, run_date: date, left_out: LeftOut | None = None
) -> Iterator[ObjectInfo]:
    """Every object of that day but litter, sorted by key, whatever it is called or holds. As `Store.list`."""
    for info in images.list(layout.images_prefix(category, run_date), left_out):
        # S3 consoles mark a folder by an empty object of its name; that is no image.
        if not (info.key.endswith("/") and info.size == 0):
            yield info


def content_digest(data: bytes) -> str:
    """SHA-256 of the bytes, hex."""
    return hashlib.sha256(data).hexdigest()


def decode(data: bytes, *, white_level: int = 65535, max_pixels: int = 100_000_000) -> np.ndarray:
    """An image file's bytes -> uint8 (H, W, 3), RGB in [0, 255].

    PNG, JPEG, BMP, TIFF and WebP, whatever the file is called; of several frames the first.
    `white_level`: the grey value of more than 8 bits that becomes 255, such as 4095 of a 12-bit camera;
    values above it are clipped.
    `max_pixels`: a larger image is refused before its pixels are decoded; Pillow's own limit of
    178,956,970 holds besides.
    Transparent pixels are laid on black, so that colours hidden beneath them cannot move a score; black is
    what a camera sees where there is nothing. The EXIF orientation is applied, since the same part must
    look the same whichever way the camera was held.

    UnreadableImage says in plain words why the bytes are no such image. Safe to call from several threads.
    """
    if white_level < 1:
        raise ValueError(f"white_level {white_level} is not positive: every pixel would be white. Use 1 or more.")
    if not data:
        raise UnreadableImage("the file is empty (0 bytes); the camera or the copy was cut off")
    try:
        return _decode(data, white_level, max_pixels)
    except Warning:
        # Somebody turned warnings into errors. Switching filters is not safe between threads, hence the lock;
        # in production this is never reached.
        with _QUIET, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _decode(data, white_level, max_pixels)


def _decode(data: bytes, white_level: int, max_pixels: int) -> np.ndarray:
    try:
        with _opened(data) as image:
            _refuse_size(image, max_pixels)
            _refuse_traps(image, data, max_pixels)
            wide_colour = (
                any(";16" in str(tile[3]) for tile in getattr(image, "tile", ())) and len(image.getbands()) > 1
            )
            if wide_colour and white_level != 65535:
                raise UnreadableImage(
                    f"a {image.format} file with 16-bit colour, which is read by its upper 8 bits only, so that "
                    f"white_level {white_level} cannot be met; save 8-bit colour or 16-bit grey"
                )
            image.load()
            return _rgb(ImageOps.exif_transpose(image), white_level)
    except (UnreadableImage, MemoryError, Warning):
        raise
    except Image.DecompressionBombError as e:
        raise UnreadableImage("more pixels than any camera's image, a decompression bomb; not decoded") from e
    except Exception as e:  # a broken file makes Pillow raise anything, and is one row at most
        raise UnreadableImage(f"the image data is cut off or damaged ({str(e) or type(e).__name__})") from e


def _opened(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as e:
        raise UnreadableImage(f"not a {_NAMES} image, or its header is damaged (it begins with {data[:8]!r})") from e


def _refuse_size(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height == 0:
        raise UnreadableImage(f"the image has no pixels ({width} x {height})")
    if width * height > max_pixels:
        raise UnreadableImage(
            f"{width} x {height} pixels are more than the {max_pixels:,} allowed; not decoded, since it would "
            "take the memory of the whole batch"
        )


def _refuse_traps(image: Image.Image, data: bytes, max_pixels: int) -> None:
    """Files of few pixels or bytes that decode for minutes, or in the memory of a far larger image."""
    # Within the coded pixels 0xFF is always followed by 0: what is found is a scan, or chance in the metadata.
    scans = data.count(b"\xff\xda") if image.format in {"JPEG", "MPO"} else 0
    if scans > _MOST_SCANS:
        raise UnreadableImage(
            f"a JPEG of {scans} scans, each of which goes over every pixel again; more than {_MOST_SCANS} are not "
            "decoded, since it would take minutes. Save it as baseline or PNG"
        )
    tags = getattr(image, "tag_v2", {})
    width, length = tags.get(_TILE_WIDTH, 0), tags.get(_TILE_LENGTH, 0)
    if width * length > max_pixels:
        raise UnreadableImage(
            f"a TIFF in tiles of {width} x {length} pixels, and a tile is decoded whole: more than the "
            f"{max_pixels:,} pixels allowed. Save it in smaller tiles or in strips"
        )


def _rgb(image: Image.Image, white_level: int) -> np.ndarray:
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        grey = _scaled(np.asarray(image), white_level)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, (0, 0, 0, 255)), rgba)
    return np.array(image.convert("RGB"))


def _scaled(grey: np.ndarray, white_level: int) -> np.ndarray:
    """Grey values of any dtype (H, W) -> uint8 (H, W): 0 to 0, `white_level` and above to 255."""
    values = grey.astype(np.float64)
    if not np.isfinite(values).all():
        raise UnreadableImage("some pixels are not finite numbers (NaN or infinity)")
    return np.rint(values.clip(0, white_level) * (255 / white_level)).astype(np.uint8)


def _is_day(name: str) -> bool:
    try:
        return date.fromisoformat(name).isoformat() == name
    except ValueError:
        return False
