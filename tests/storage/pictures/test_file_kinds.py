"""Files that are no picture of ours are called what they are, whatever they are named."""

import struct

import pytest

from storage.errors import UnreadableImage
from storage.images import decode
from storage.pictures.file_kinds import kind_of
from tests.picture_files import box

PAGE = b"\r\n<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head></html>"
FILES = [
    ("HEIC", box(b"heic", b"mif1heic"), "HEIC is not supported.*export it as PNG, JPEG"),
    ("HEIC", box(b"mif1", b"miafheic"), "HEIC is not supported"),
    ("AVIF", box(b"avif", b"mif1"), "AVIF is not supported"),
    ("AVIF", box(b"abcd", b"avif"), "AVIF is not supported"),
    ("camera raw (CR3)", box(b"crx "), "camera raw"),
    ("MP4 or MOV video", box(b"isom", b"mp42"), "MP4 or MOV video is not supported"),
    ("JPEG XL", b"\xff\x0a" + bytes(range(99)), "JPEG XL is not supported"),
    ("JPEG 2000", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(99), "JPEG 2000 is not supported"),
    ("GIF", b"GIF89a" + bytes(99), "GIF is not supported"),
    ("camera raw (RAF)", b"FUJIFILMCCD-RAW 0201" + bytes(99), "camera raw .RAF. is not supported"),
    ("PDF", b"%PDF-1.7\n" + bytes(range(256)), "PDF is not supported"),
    ("SVG", b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG is not supported"),
    ("AVI video", b"RIFF" + struct.pack("<I", 99) + b"AVI LIST" + bytes(99), "AVI video is not supported"),
    ("zip", b"PK\x03\x04" + bytes(99), "zip is not supported.*unpack it"),
    ("DICOM", bytes(128) + b"DICM" + bytes(99), "DICOM is not supported"),
    ("CUR", struct.pack("<HHHBBBBHHII", 0, 2, 1, 8, 8, 0, 0, 0, 0, 99, 22) + bytes(99), "CUR is not supported"),
    ("TGA", struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, 8, 8, 24, 0) + bytes(192), "TGA is not supported"),
    ("TGA", bytes(2) + b"\x0b" + bytes(99) + b"TRUEVISION-XFILE.\0", "TGA is not supported"),
    ("tar", bytes(257) + b"ustar" + bytes(250), "tar is not supported"),
    ("PBM, PGM or PPM", b"P5 3 3 255\n" + bytes(9), "PPM is not supported"),
    (
        "DIB (a BMP without its file header)",
        struct.pack("<IiiHH", 40, 3, 3, 1, 24) + bytes(99),
        "DIB .* not supported",
    ),
    ("HTML page", PAGE, "a HTML page and no picture.*a server sent a page in the picture's place"),
    (
        "Git LFS pointer",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "Git LFS pointer.*git lfs pull",
    ),
    ("text", "größer als nichts\n".encode(), "a text and no picture"),
    ("text", "size,place\n".encode("utf-16"), "a text and no picture"),
    ("text", b"x" * 4095 + "é".encode() * 9, "a text and no picture"),
    ("zero bytes", bytes(500), "nothing but zero bytes.*Copy it again"),
    (None, b"\x89\0\1\2\3" * 40, "not a PNG, JPEG, BMP, TIFF or WebP image"),
]


@pytest.mark.parametrize(("kind", "data", "words"), FILES, ids=[str(kind) for kind, _, _ in FILES])
def test_a_file_is_called_what_it_is(kind: str | None, data: bytes, words: str) -> None:
    assert kind_of(data) == kind
    with pytest.raises(UnreadableImage, match=words):
        decode(data)
