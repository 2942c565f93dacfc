"""Every kind of picture: taken as the camera meant it, or refused with the reason. docs/images.md has the table."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile

from storage import images
from storage.errors import UnreadableImage
from storage.images import decode, decode_mask
from tests.picture_files import (
    bmp_with_alpha,
    directory,
    packed_bits,
    png_file,
    tiff_file,
    tiff_of,
    without_segment,
)

DRAW = np.random.default_rng(5)
RGB = DRAW.integers(0, 256, (6, 8, 3), dtype=np.uint8)
FLAT = np.full((6, 8, 3), (200, 100, 50), np.uint8)
GREY16 = DRAW.integers(0, 65536, (6, 8), dtype=np.uint16)
GREY16[0, 0] = 65535
AS_8 = np.rint(GREY16 / 257).astype(np.uint8)
UNIT = (GREY16 / 65535).astype(np.float32)
SIGNED = (GREY16.astype(np.int32) - 32768).astype(np.int16)
WHOLE_RANGE = {"white_level": 32767, "black_level": -32768}


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def four(colours: np.ndarray, last: int | np.ndarray) -> np.ndarray:
    """With a fourth value a pixel."""
    return np.dstack([colours, np.broadcast_to(np.uint8(last), colours.shape[:2])])


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "LA", "RGBA", "CMYK", "YCbCr"])
def test_strips_are_seamless(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 3 of its 7 rows, the last of one."""
    monkeypatch.setattr(images, "_STRIP_PIXELS", 3 * 8)
    picture = Image.fromarray(DRAW.integers(0, 256, (7, 8, 4), dtype=np.uint8), "RGBA").convert(mode)
    found = images._in_strips(picture, lambda strip: strip.convert("RGB"))
    np.testing.assert_array_equal(found, np.asarray(picture.convert("RGB")))


def in_mode(mode: str) -> Image.Image:
    return Image.fromarray(FLAT).convert(mode)


def lab() -> bytes:
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    found = ImageCms.profileToProfile(Image.fromarray(FLAT), *profiles, outputMode="LAB")
    assert found is not None
    return encoded(found, "TIFF")


def ycbcr(**tags: Any) -> bytes:
    return tiff_of(np.asarray(in_mode("YCbCr")), 6, **tags)


def pages(first: Image.Image, *others: Image.Image, **options: Any) -> bytes:
    return encoded(first, "TIFF", save_all=True, append_images=others, **options)


GREY_JPEG = encoded(Image.fromarray(FLAT[:, :, 0]), "JPEG", quality=95)
NOISE = encoded(Image.fromarray(DRAW.integers(0, 256, (80, 80, 3), dtype=np.uint8)), "JPEG", quality=95)
UNFINISHED = NOISE[: len(NOISE) // 2] + bytes(len(NOISE))
PREVIEWED = UNFINISHED[:2] + b"\xff\xe1" + (len(GREY_JPEG) + 8).to_bytes(2) + b"Exif\0\0" + GREY_JPEG + UNFINISHED[2:]
TWELVE = DRAW.integers(0, 4096, (6, 7))
FOUR = DRAW.integers(0, 16, (6, 7))
SMALL = {256: 7, 257: 6, 259: 1, 277: 1, 278: 6}
TAKEN: list[tuple[str, bytes, dict[str, float], np.ndarray]] = [
    ("16-bit grey, either byte order", tiff_of(GREY16, 1, order=">"), {}, AS_8),
    ("the same, compressed", tiff_of(GREY16, 1, order=">", packed=True), {}, AS_8),
    ("16-bit grey, 0 is white", tiff_of(GREY16, 0), {}, 255 - AS_8),
    ("the same, compressed", tiff_of(GREY16, 0, packed=True), {}, 255 - AS_8),
    ("8-bit grey, 0 is white", tiff_of(RGB[:, :, 0], 0), {}, 255 - RGB[:, :, 0]),
    ("8-bit grey, 0 is white, compressed", tiff_of(RGB[:, :, 0], 0, packed=True), {}, 255 - RGB[:, :, 0]),
    ("12-bit grey", tiff_file({**SMALL, 258: 12, 262: 1}, [b"".join(packed_bits(TWELVE, 12))]), {},
     np.rint(TWELVE * 255 / 4095)),
    ("4-bit grey", tiff_file({**SMALL, 258: 4, 262: 1}, [b"".join(packed_bits(FOUR, 4))]), {}, FOUR * 17),
    ("4-bit grey, 0 is white", tiff_file({**SMALL, 258: 4, 262: 0}, [b"".join(packed_bits(FOUR, 4))]), {},
     255 - FOUR * 17),
    ("1-bit grey, 0 is white", tiff_file({**SMALL, 258: 1, 262: 0}, [b"".join(packed_bits(FOUR % 2, 1))]), {},
     255 - FOUR % 2 * 255),
    ("floats", tiff_of(UNIT, 1), {"white_level": 1}, AS_8),
    ("floats, big-endian", tiff_of(UNIT, 1, order=">"), {"white_level": 1}, AS_8),
    ("floats, 0 is white", tiff_of(UNIT, 0), {"white_level": 1}, 255 - AS_8),
    ("floats, compressed", tiff_of(UNIT, 1, packed=True), {"white_level": 1}, AS_8),
    ("signed 16-bit grey", tiff_of(SIGNED, 1), WHOLE_RANGE, AS_8),
    ("signed 32-bit grey", tiff_of(SIGNED.astype(np.int32), 1), WHOLE_RANGE, AS_8),
    ("unsigned 32-bit grey", tiff_of(GREY16.astype(np.uint32) * 65537, 1), {"white_level": 2**32 - 1}, AS_8),
    ("16-bit grey above a pedestal", tiff_of(GREY16 // 16 + 200, 1), {"white_level": 4295, "black_level": 200}, AS_8),
    ("16-bit colour", tiff_of(RGB.astype(np.uint16) * 257, 2), {}, RGB),
    ("16-bit colour, compressed planes", tiff_of(RGB.astype(np.uint16) * 257, 2, packed=True, planes=True), {}, RGB),
    ("colour in planes", tiff_of(RGB, 2, planes=True), {}, RGB),
    ("colour in compressed planes", tiff_of(RGB, 2, planes=True, packed=True), {}, RGB),
    ("colour and a value of no meaning", tiff_of(four(RGB, 0), 2, t338=0), {}, RGB),
    ("grey and a value of no meaning", tiff_of(RGB[:, :, :2], 1, t338=0), {}, RGB[:, :, 0]),
    ("CMYK in planes", tiff_of(np.asarray(in_mode("CMYK")), 5, planes=True), {}, FLAT),
    ("CMYK of a JPEG", encoded(in_mode("CMYK"), "JPEG", quality=95), {}, FLAT),
    ("YCbCr, not compressed", ycbcr(t530=(1, 1)), {}, FLAT),
    ("YCbCr, compressed", ycbcr(t530=(1, 1), packed=True), {}, FLAT),
    ("JPEG, a film behind it", GREY_JPEG + b"\0\0\0\x18ftypmp42\xff\xda" + bytes(99), {}, FLAT[:, :, 0]),
    ("LAB", lab(), {}, FLAT),
    ("a colour table", tiff_of(RGB[:, :, 0], 3, t320=tuple(v * 257 for v in [*range(256)] * 3)), {}, RGB[:, :, 0]),
    ("BMP, an alpha of nothing", bmp_with_alpha(four(RGB, 0)), {}, RGB),
    ("BMP, an alpha of 128", bmp_with_alpha(four(RGB, 128)), {}, RGB),
    ("PNG, an alpha of nothing", encoded(Image.fromarray(four(RGB, 0)), "PNG"), {}, RGB),
    ("PNG, one colour and an alpha of nothing", encoded(Image.fromarray(four(FLAT, 0)), "PNG"), {}, FLAT),
    ("WebP, an alpha of nothing", encoded(Image.fromarray(four(RGB, 0)), "WEBP", lossless=True, exact=True), {}, RGB),
    ("TIFF, an alpha of nothing", tiff_of(four(RGB, 0), 2, t338=2), {}, RGB),
    ("grey TIFF, an alpha of nothing", tiff_of(four(RGB[:, :, :1], 0), 1, t338=2), {}, RGB[:, :, 0]),
    ("palette, all transparent", encoded(in_mode("P"), "PNG", transparency=bytes(256)), {},
     in_mode("P").convert("RGB")),
    ("colours multiplied by an alpha", tiff_of(four(FLAT // 2, [[255] * 8] * 3 + [[128] * 8] * 3), 2, t338=1), {},
     FLAT // 2),
    ("1-bit PNG with a transparent colour", png_file(1, 0, [b"\xa0"], 4, (b"tRNS", b"\0\1")), {}, np.zeros((1, 4))),
]  # fmt: skip
PREVIEW = {256: 8, 257: 6, 258: 8, 259: 1, 262: 1, 277: 1, 278: 6}
REFUSED: list[tuple[str, bytes, str]] = [
    ("floats", tiff_of(UNIT, 1), r"32-bit floating-point numbers \(here .* to 1\).*set white_level.*train again"),
    ("signed", tiff_of(SIGNED, 1), "16-bit signed numbers .*set white_level"),
    ("unsigned 32-bit", tiff_of(GREY16.astype(np.uint32), 1), "32-bit unsigned numbers .*set white_level"),
    ("8-bit signed", tiff_of(RGB[:, :, 0].astype(np.int8), 1), "signed values"),
    ("64-bit floats", tiff_of(UNIT.astype(np.float64), 1), r"not taken.*\(bits 64, sample format 3"),
    ("16-bit floats", tiff_of(UNIT.astype(np.float16), 1), r"not taken.*\(bits 16, sample format 3"),
    ("compressed big-endian floats", tiff_of(UNIT, 1, packed=True, order=">"), "compressed and big-endian"),
    ("compressed big-endian signed", tiff_of(SIGNED, 1, packed=True, order=">"), "compressed and big-endian"),
    ("16-bit, 0 is white, big-endian", tiff_of(GREY16, 0, order=">"), r"not taken.*photometric 0"),
    ("no word on what 0 is", tiff_file({**SMALL, 258: 8}, [bytes(42)]), "whether 0 is black or white"),
    ("16-bit planes", tiff_of(RGB.astype(np.uint16), 2, planes=True), "separate planes"),
    ("planes multiplied by an alpha", tiff_of(four(RGB, 9), 2, t338=1, planes=True), "separate planes"),
    ("YCbCr planes", ycbcr(t530=(1, 1), planes=True), "YCbCr|separate planes"),
    ("YCbCr of fewer colours", ycbcr(t530=(2, 2)), "YCbCr of subsampled colours"),
    ("YCbCr that does not say so", ycbcr(), "YCbCr of subsampled colours"),
    ("YCbCr of a narrowed range", ycbcr(t530=(1, 1), t532=(16, 235, 128, 240, 128, 240)), "narrowed range"),
    ("four values without a word", tiff_of(four(RGB, RGB[:, :, 0]), 2), "does not say what the fourth is"),
    ("a table of 8-bit values", tiff_of(RGB[:, :, 0], 3, t320=tuple([*range(256)] * 3)), "8-bit values"),
    ("grey multiplied by its alpha", tiff_of(RGB[:, :, :2], 1, t338=1), "multiplied by its alpha"),
    ("multiplied by an alpha of nothing", tiff_of(four(RGB, 0), 2, t338=1), "every pixel is transparent"),
    ("transparent, black beneath", encoded(Image.new("RGBA", (8, 6)), "PNG"), "every pixel is transparent"),
    ("an alpha that leaves a row",
     encoded(Image.fromarray(four(np.tile(RGB, (5, 1, 1)), [[255]] + [[0]] * 29)), "PNG"),
     r"lets 3\.3% of the image be seen"),
    ("an alpha of 0 and 1", encoded(Image.fromarray(four(RGB, RGB[:, :, 0] % 2)), "PNG"), r"lets 0\.\d% of"),
    ("CMYK of an unknown sign", without_segment(encoded(in_mode("CMYK"), "JPEG"), 0xEE), "no Adobe marker"),
    ("4-bit PNG with a transparent colour", png_file(4, 0, [b"\x12"], 2, (b"tRNS", b"\0\2")), "PNG of 4 bits with"),
    ("16-bit PNG with a transparent colour", png_file(16, 0, [b"\1\2"], 1, (b"tRNS", b"\1\2")), "PNG of 16 bits"),
    ("16-bit colour PNG, the same", png_file(16, 2, [b"\1\2" * 3], 1, (b"tRNS", b"\1\2" * 3)), "PNG of 16 bits with"),
    ("12-bit colour in 16 bits", png_file(16, 2, [b"\x0f\xff" * 3], 1), "less than a quarter of its range"),
    ("12-bit grey in 16 bits", tiff_of(GREY16 // 16, 1), r"brightest value is 4095 of 65535.*white_level"),
    ("12-bit grey, 0 is white, in 16 bits", tiff_of(GREY16 // 16, 0), "brightest value is 4095"),
    ("a preview", tiff_of(RGB[:, :, 0], 1, t254=1), "preview or mask of another"),
    ("an old preview", tiff_of(RGB[:, :, 0], 1, t255=2), "preview or mask of another"),
    ("a mask of another picture", tiff_of(RGB[:, :, 0], 1, t254=4), "preview or mask of another"),
    ("a digital negative", tiff_of(RGB[:, :, 0], 1, t50706=(1, 4)), r"camera raw \(DNG\) is not supported"),
    ("a Canon negative", tiff_of(RGB[:, :, 0], 1)[:8] + b"CR" + bytes(99), r"camera raw \(CR2\) is not supported"),
    ("small beside a larger one", tiff_file(PREVIEW, [bytes(48)], others=[directory({256: 80, 257: 60})]),
     r"first page \(48 pixels\) is smaller than another one in it \(4,800\)"),
    ("small before a larger third page",
     pages(Image.new("L", (8, 6)), Image.new("L", (8, 6)), Image.new("L", (80, 60))), "smaller than another one"),
    ("small before a larger page, with places of 64 bits",
     pages(Image.new("L", (8, 6)), Image.new("L", (80, 60)), big_tiff=True), "smaller than another one"),
    ("a colour that the table does not have", png_file(8, 3, [b"\0\1\2"], 3, (b"PLTE", bytes(range(6)))),
     "pixels of colour 2, and a colour table of 2"),
    ("colours without a table", png_file(8, 3, [b"\0\1\2"], 3), "a colour table of 0"),
    ("a table of one colour", png_file(8, 3, [b"\0\1\2"], 3, (b"PLTE", bytes(9))), "3 different values one colour"),
    ("a JPEG that ends in zeros, not in its end mark", UNFINISHED, "without an end mark: the file was cut off"),
    ("the same, with a whole preview", PREVIEWED, "without an end mark: the file was cut off"),
    ("BMP of 10 bits a colour",
     bmp_with_alpha(four(RGB, 0)).replace(b"\0\0\xff\0\0\xff\0\0", b"\0\0\xf0\3\0\xff\0\0"),
     "BMP of a kind that is not taken.*bitfields"),
]  # fmt: skip


def ids(table: list[Any]) -> list[str]:
    return [row[0] for row in table]


@pytest.mark.parametrize(("_", "data", "levels", "expected"), TAKEN, ids=ids(TAKEN))
def test_what_is_taken_is_what_the_camera_meant(_: str, data: bytes, levels: dict, expected: Any) -> None:
    found, wanted = decode(data, **levels), np.asarray(expected)
    wanted = wanted if wanted.ndim == 3 else np.repeat(wanted[:, :, None], 3, axis=2)
    assert found.shape == wanted.shape
    assert np.abs(found.astype(int) - wanted).max() <= 2  # two steps through another colour space


@pytest.mark.parametrize(("_", "data", "why"), REFUSED, ids=ids(REFUSED))
def test_what_would_be_misread_is_refused_with_the_reason(_: str, data: bytes, why: str) -> None:
    with pytest.raises(UnreadableImage, match=why):
        decode(data)


def test_levels_are_of_that_camera_or_refused() -> None:
    with pytest.raises(UnreadableImage, match=r"100% of the grey values .* lie above white_level 1 and"):
        decode(tiff_of(UNIT * 254 + 1.5, 1), white_level=1)
    half = tiff_of(np.array([[1, 2, 3, 4]], np.uint16), 1)
    assert decode(half, white_level=2)[0, :, 0].tolist() == [128, 255, 255, 255]
    with pytest.raises(UnreadableImage, match="75%"):
        decode(half, white_level=1)
    with pytest.raises(UnreadableImage, match=r"down to -0\.48\d+, and nothing says which is black.*black_level"):
        decode(tiff_of(UNIT - np.float32(0.5), 1), white_level=1)
    with pytest.raises(UnreadableImage, match="white_level 4095 and black_level 64 cannot be met"):
        decode(tiff_of(RGB.astype(np.uint16) * 257, 2), white_level=4095, black_level=64)
    for levels, words in (
        ({"white_level": 5, "black_level": 5}, "white_level 5 is not above black_level 5"),
        ({"white_level": -1}, "white_level -1 is not above black_level 0"),
        ({"white_level": float("nan")}, "white_level nan is no level"),
    ):
        with pytest.raises(ValueError, match=words):
            decode(half, **levels)


def test_a_file_may_be_dark_but_not_as_dark_as_another_cameras() -> None:
    for grey, colour, words in ((16383, 63, "brightest value is 16383"), (16384, 64, None)):
        files = tiff_of(np.full((2, 2), grey, np.uint16), 1), tiff_of(np.full((2, 2, 3), colour << 8, np.uint16), 2)
        for data, why in zip(files, (words, "less than a quarter"), strict=True):
            if words is None:
                assert decode(data).max() == 64
            else:
                with pytest.raises(UnreadableImage, match=why):
                    decode(data)
            assert decode(data, white_level=65535).max() in (63, 64), "somebody said that it is that dark"


def test_levels_beyond_what_the_file_holds_are_another_cameras() -> None:
    twelve = next(data for name, data, _, _ in TAKEN if name == "12-bit grey")
    for levels in ({"white_level": 65535}, {"black_level": 4095}, {"black_level": 5000}):
        with pytest.raises(
            UnreadableImage, match=r"12-bit grey, of which black_level \d+ and white_level \d+ cannot"
        ):
            decode(twelve, **levels)


def test_half_a_file_is_no_picture_whatever_other_software_has_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    data = encoded(Image.fromarray(np.resize(RGB, (64, 64, 3))), "PNG")
    with pytest.raises(UnreadableImage, match="cut off"):
        decode(data[: len(data) // 2])


def test_a_mode_that_nobody_has_thought_of_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "open", lambda *_, **__: Image.new("HSV", (8, 6)))
    with pytest.raises(UnreadableImage, match="pixels of mode HSV"):
        decode(b"any")


def test_levels_leave_8_bit_pictures_alone() -> None:
    assert (decode(encoded(Image.fromarray(RGB), "PNG"), white_level=4095, black_level=64) == RGB).all()


MARKS = np.zeros((6, 8), bool)
MARKS[2:4, 3:6] = True


@pytest.mark.parametrize(
    "data",
    [
        encoded(Image.fromarray(MARKS), "PNG"),
        encoded(Image.fromarray(MARKS.astype(np.uint8)), "PNG"),
        encoded(Image.fromarray(MARKS.astype(np.uint16)), "PNG"),
        tiff_of(MARKS.astype(np.uint16), 1),
        tiff_of(65535 - MARKS.astype(np.uint16), 0),
        tiff_of(MARKS.astype(np.int32), 1),
        tiff_of(MARKS.astype(np.float32) / 9, 1),
        bmp_with_alpha(four(np.dstack([MARKS * np.uint8(255)] * 3), 0)),
        encoded(Image.fromarray(four(np.full((6, 8, 3), 255, np.uint8), MARKS * np.uint8(255))), "PNG"),
        encoded(Image.fromarray(MARKS.astype(np.uint8), "L").quantize(2), "PNG"),
        encoded(Image.fromarray(MARKS.astype(np.uint8) * 255).resize((80, 60), 0), "JPEG", quality=60),
        encoded(Image.fromarray(MARKS.astype(np.uint8) * 255).resize((80, 60), 0), "WEBP", quality=60),
    ],
    ids=["1 bit", "a little", "16 bits", "TIFF", "0 is white", "32 bits", "floats", "BMP, alpha of nothing",
         "cut out", "palette", "JPEG", "lossy WebP"],
)  # fmt: skip
def test_a_mask_marks_what_is_not_black(data: bytes) -> None:
    found = decode_mask(data)
    scale = found.shape[0] // 6
    np.testing.assert_array_equal(found, np.kron(MARKS, np.ones((scale, scale), bool)))


def test_masks_without_marks_and_masks_that_cannot_be_told() -> None:
    shades = Image.fromarray(np.repeat(np.array([[0, 100, 255]], np.uint8), 16, axis=0).repeat(16, axis=1))
    assert decode_mask(encoded(shades, "JPEG"))[8, 8::16].tolist() == [False, False, True]
    noise = Image.fromarray(DRAW.integers(0, 9, (16, 16), dtype=np.uint8))
    assert not decode_mask(encoded(noise, "JPEG")).any()
    assert not decode_mask(encoded(Image.new("RGBA", (8, 6)), "PNG")).any()
    with pytest.raises(UnreadableImage, match="16-bit colour"):
        decode_mask(tiff_of(RGB.astype(np.uint16), 2))
    with pytest.raises(UnreadableImage, match="none is known to be black"):
        decode_mask(tiff_of(UNIT, 0))
    with pytest.raises(UnreadableImage, match="not finite"):
        decode_mask(tiff_of(UNIT * np.float32("nan"), 1))
